"""The command `cygni`."""

__version__ = "0.1.0"
