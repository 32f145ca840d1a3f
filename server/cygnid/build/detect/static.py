"""A folder of files that is served as it is."""

from cygnid.build.detect.files import Files
from cygnid.build.detect.found import Found

LOOKED_FOR = "static site: index.html, or public/index.html"


def detect(files: Files) -> Found | None:
    for folder in ("", "public"):
        names = files.names(folder)
        if "index.html" in names:
            path = f"{folder}/index.html".lstrip("/")
            fallback = "200.html" if "200.html" in names else None
            return Found(language="static", evidence=path, output_dir=folder or ".", fallback=fallback)
    return None
