"""`app.json`, as Heroku's apps describe themselves. A file of this name that says none of this is another tool's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cygnid.build.cygni_toml import ENV_KEY, MAX_VALUE_BYTES, PROCESS_TYPE
from cygnid.build.detect.files import Files
from cygnid.build.detect.inputs import json_file, table, text_of

NAME = "app.json"
_MOST_INSTANCES = 100


@dataclass(frozen=True, kw_only=True)
class AppJson:
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Defaults."""
    required: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variable that must be set → what it is for, or ""."""
    generated: frozenset[str] = frozenset()
    """Variables that get a random value where they are not set."""
    postdeploy: str | None = None
    """Once in an environment, after its first release command."""
    instances: Mapping[str, int] = field(default_factory=dict[str, int])
    """Process type → how many run at first."""
    notes: tuple[str, ...] = ()


def read(files: Files) -> AppJson:
    """Raises BuildFailed(source_invalid) for what is no JSON. What has another form than Heroku's is not meant for
    this, and left alone."""
    content = json_file(files, NAME)
    env, required, generated = dict[str, str](), dict[str, str](), set[str]()
    for key, said in table(content, "env").items():
        about = table(said)
        value = said if isinstance(said, str) else about.get("value")
        if not ENV_KEY.fullmatch(key):
            continue
        if isinstance(value, str) and "\0" not in value and len(value.encode()) <= MAX_VALUE_BYTES:
            env[key] = value
        elif about.get("generator") == "secret":
            generated.add(key)
        elif about.get("required") is not False:
            required[key] = text_of(about.get("description")) or ""
    formation = {name: table(said) for name, said in table(content, "formation").items()}
    counts = {name: said.get("quantity") for name, said in formation.items()}
    return AppJson(
        env=env,
        required=required,
        generated=frozenset(generated),
        postdeploy=text_of(table(content, "scripts").get("postdeploy")),
        instances={
            name: count
            for name, count in counts.items()
            if PROCESS_TYPE.fullmatch(name) and type(count) is int and 0 <= count <= _MOST_INSTANCES
        },
        notes=tuple(_notes(content, formation)),
    )


def _notes(content: dict[str, Any], formation: Mapping[str, dict[str, Any]]) -> list[str]:
    found: list[str] = []
    if sized := sorted(name for name, said in formation.items() if said.get("size")):
        found.append(f"{NAME} names sizes for {', '.join(sized)}: set memory_mb and cpu in cygni.toml instead.")
    if addons := _names(content.get("addons"), "plan"):
        found.append(f"{NAME} asks for {', '.join(addons)}: set the variables that the app expects of them.")
    if buildpacks := _names(content.get("buildpacks"), "url"):
        found.append(f"{NAME} names buildpacks ({', '.join(buildpacks)}): what is built is detected here.")
    return found


def _names(value: Any, key: str) -> list[str]:
    entries = cast("list[Any]", value) if isinstance(value, list) else []
    texts = (entry if isinstance(entry, str) else text_of(table(entry).get(key)) for entry in entries)
    return [text[:80] for text in texts if text][:10]
