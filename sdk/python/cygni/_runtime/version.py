# Not read from the installed package's metadata: that import costs more than the rest of this package together.
__version__ = "0.1.0"
