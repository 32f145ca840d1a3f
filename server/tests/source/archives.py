"""Archives as tests need them, good and hostile."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import zstandard

from cygnid.source.base import ArchiveSpec

ContentType = Literal["application/gzip", "application/zstd", "application/zip"]


def spec_of(path: Path, content: bytes, content_type: ContentType = "application/gzip") -> ArchiveSpec:
    path.write_bytes(content)
    return ArchiveSpec(path=path, content_type=content_type, sha256=hashlib.sha256(content).hexdigest())


def file(name: str, size: int = 1, *, mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar(*members: tarfile.TarInfo, content: Callable[[tarfile.TarInfo], bytes] | None = None) -> bytes:
    """Plain tar; each file is filled with x unless `content` says otherwise."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in members:
            data = content(info) if content else b"x" * info.size
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return buffer.getvalue()


def tgz(*members: tarfile.TarInfo, content: Callable[[tarfile.TarInfo], bytes] | None = None) -> bytes:
    return gzip.compress(tar(*members, content=content), 1)


def pack(files: Mapping[str, str], content_type: ContentType = "application/gzip") -> bytes:
    """The files, as people's tools would pack them."""
    if content_type == "application/zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return buffer.getvalue()
    plain = tar(
        *(file(name, len(content.encode())) for name, content in files.items()),
        content=lambda info: files[info.name].encode(),
    )
    return gzip.compress(plain) if content_type == "application/gzip" else zstandard.compress(plain)
