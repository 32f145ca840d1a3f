"""What an app is and how it is built and started: pure functions over a read-only view of its tree."""

from cygnid.build.detect.files import FolderFiles, MemoryFiles
from cygnid.build.detect.plan import asks, detect, untouched

__all__ = ["FolderFiles", "MemoryFiles", "asks", "detect", "untouched"]
