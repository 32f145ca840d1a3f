"""Hugo: a site built from its content."""

from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import choose, matches_python, tool_version

_NAMES = tuple(f"{name}.{end}" for name in ("hugo", "config") for end in ("toml", "yaml", "yml", "json"))


def detect(look: Look) -> Found | None:
    names = look.files.names()
    config = next((name for name in _NAMES if name in names), None)
    if config is None or not (config.startswith("hugo") or {"content", "archetypes", "layouts", "themes"} & {*names}):
        return None
    version = choose("Hugo", look.versions("hugo"), tool_version(look.files, "hugo", "gohugo"), matches_python)
    return Found(
        language="hugo",
        evidence=config,
        version=version,
        build_command="hugo --minify --destination public",
        output_dir="public",
    )


LANGUAGE = Language(
    name="hugo",
    looked_for="Hugo: hugo.toml, or config.toml with content",
    detect=detect,
    recipe=Recipe(build_env={"HUGO_CACHEDIR": "{cache}/hugo", "HUGO_ENVIRONMENT": "production"}, caches=("hugo",)),
)
