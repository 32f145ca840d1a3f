"""A folder of files that is served as it is."""

from cygnid.build.detect.language import Found, Language, Look


def detect(look: Look) -> Found | None:
    for folder in ("", "public"):
        names = look.files.names(folder)
        if "index.html" in names:
            path = f"{folder}/index.html".lstrip("/")
            fallback = "200.html" if "200.html" in names else None
            return Found(language="static", evidence=path, output_dir=folder or ".", fallback=fallback)
    return None


LANGUAGE = Language(
    name="static",
    looked_for="static site: index.html, or public/index.html",
    detect=detect,
    names=frozenset({"html"}),
)
