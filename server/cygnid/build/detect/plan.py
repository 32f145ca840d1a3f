"""From settings, cygni.toml, Procfile, app.json and detection to one Plan, in this order, saying who decided what."""

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cygnid.build import cygni_toml, patterns
from cygnid.build.base import Asks, BuildFailed, BuildSettings, Plan, ProcessPlan
from cygnid.build.cygni_toml import CygniToml, ProcessSettings
from cygnid.build.detect import app_json, procfile
from cygnid.build.detect.files import Below, Files, MemoryFiles
from cygnid.build.detect.language import Found, Look
from cygnid.build.detect.languages import LANGUAGES

MAX_PROCESSES = 50
MOST_CHANGED = 10_000
"""Of more paths none is looked at: one of them will be watched."""
API, DETECTED = "API settings", "detected"


@dataclass(frozen=True)
class Choice:
    value: str
    source: str


def detect(
    files: Files, settings: BuildSettings, *, framework: str | None, available: Mapping[str, Sequence[str]]
) -> Plan:
    """`available`: language → versions on this machine. Raises BuildFailed: nothing_detected (with all that was
    looked for), toolchain_missing (wanted and available), source_invalid (a file of the app's that cannot be read)."""
    toml, root, root_source = _root(files, settings)
    below: Files = Below(files, root) if root else files
    reasons = [f"root folder {root} ({root_source})"] if root else []
    procs = procfile.parse(text) if (text := below.read(procfile.NAME)) is not None else {}
    heroku = app_json.read(below)
    prefer = framework or toml.framework
    named = [command for name, command in procs.items() if name != "release"]
    named += [process.command for process in toml.processes.values() if process.command]
    started = frozenset(command.split()[0] for command in named if command.split())
    above: Files = files if root else MemoryFiles({})
    look = Look(files=below, available=available, says_start=bool(named), above=above, root=root)
    found = _language(look, prefer, reasons, started)

    def pick(name: str, detected: str | None) -> Choice | None:
        for value, source in (
            (getattr(settings, name), API),
            (getattr(toml, name), cygni_toml.NAME),
            (procs.get("release") if name == "release_command" else None, procfile.NAME),
            (detected, DETECTED),
        ):
            if value:
                return Choice(value, source)
        return None

    install = pick("install_command", found.install_command if found else None)
    build = pick("build_command", found.build_command if found else None)
    release = pick("release_command", found.release_command if found else None)
    commands = _commands(procs, toml, found)
    _check_sizes({"install": install, "build": build, "release": release, **commands}, len(commands))
    output = pick("output_dir", found.output_dir if found and not commands else None)
    said_static = output is not None and output.source != DETECTED
    if not commands and found is None and not said_static:
        raise _nothing(below, root)
    is_static = output is not None and (said_static or found is not None) and not _explicit(commands)
    if not is_static and not commands:
        assert found is not None
        raise BuildFailed(
            "nothing_detected",
            f"{found.language.capitalize()} was recognised by {found.evidence}, but nothing says how to start it.",
            hint=_startable(found),
        )
    kept = {} if is_static else commands
    custom_install = install is not None and install.source != DETECTED
    for label, choice in (("install", install), ("build", build), ("output folder", output if is_static else None)):
        if choice:
            reasons.append(f"{label}: {choice.value} ({choice.source})")
    if release and not is_static:
        reasons.append(f"release command: {release.value} ({release.source})")
    first = None if is_static else heroku.postdeploy
    if first:
        reasons.append(f"once, after the first release: {first} ({app_json.NAME}: scripts.postdeploy)")
    reasons += [f"process {name}: {choice.value} ({choice.source})" for name, choice in kept.items()]
    reasons += [f"note: {note}" for note in (*(found.notes if found else ()), *heroku.notes)]
    watched, watched_by = _watched(settings, toml)
    if watched:
        reasons.append(f"watch paths: {' '.join(watched)} ({watched_by})")
    if dotenv := next((name for name in below.names() if name in (".env", ".env.production")), None):
        reasons.append(f"note: {dotenv} is not loaded by the platform; set variables on the project.")
    language = found.language if found else ("static" if is_static else "procfile")
    return Plan(
        kind="static" if is_static else "release",
        language=language,
        framework=found.framework if found else None,
        root=Path(root),
        toolchain=f"{language}-{found.version}" if found and found.version else "",
        tools=found.tools if found else (),
        install_command=install.value if install else None,
        install_files=() if custom_install or not found else found.install_files,
        install_root=None if custom_install or not found or found.install_root is None else Path(found.install_root),
        install_members=() if custom_install or not found else found.install_members,
        install_made={} if custom_install or not found else found.install_made,
        install_key=None if custom_install or not found else found.install_key,
        build_command=build.value if build else None,
        output_dir=posixpath.normpath(output.value) if is_static and output else None,
        release_command=release.value if release and not is_static else None,
        first_command=first,
        processes=tuple(
            _process(name, choice.value, toml.processes.get(name), heroku.instances.get(name))
            for name, choice in kept.items()
        ),
        fallback=(toml.fallback or (found.fallback if found else None)) if is_static else None,
        env={**(found.env if found else {}), **heroku.env, **toml.env},
        watch_paths=watched,
        reasons=tuple(reasons),
    )


def untouched(files: Files, settings: BuildSettings, changed: Collection[str]) -> str | None:
    """Which watch paths there are, where none of the `changed` paths is one of them; None: something is to be built.
    The cygni.toml that counts is always watched, since it may say what is watched and how it is built."""
    try:
        toml, root, source = _root(files, settings)
    except BuildFailed:
        return None  # the build says what is wrong
    watched, _ = _watched(settings, toml)
    own = posixpath.join(root if source == API else "", cygni_toml.NAME)
    if not watched or len(changed) > MOST_CHANGED or own in changed or patterns.first_match(watched, changed):
        return None
    return ", ".join(watched[:5]) + (f" and {len(watched) - 5} more" if len(watched) > 5 else "")


def asks(files: Files, settings: BuildSettings) -> Asks:
    """What is to be set before the app can be built. Raises BuildFailed(source_invalid)."""
    toml, root, _ = _root(files, settings)
    heroku = app_json.read(Below(files, root) if root else files)
    required = {key: why for key, why in heroku.required.items() if key not in toml.env}
    return Asks(required=required, generated=heroku.generated - toml.env.keys())


def _watched(settings: BuildSettings, toml: CygniToml) -> tuple[tuple[str, ...], str]:
    """(patterns, who said them)."""
    return (settings.watch_paths, API) if settings.watch_paths else (toml.watch_paths, cygni_toml.NAME)


def _root(files: Files, settings: BuildSettings) -> tuple[CygniToml, str, str]:
    """(cygni.toml, root folder, who said it). With a root folder set by API, the cygni.toml in there counts."""
    root = _inside(settings.root_dir, API)
    source = API
    text = files.read(posixpath.join(root, cygni_toml.NAME))
    toml = cygni_toml.parse(text) if text is not None else CygniToml()
    if not root and toml.root_dir:
        root, source = _inside(toml.root_dir, cygni_toml.NAME), cygni_toml.NAME
    if root and not files.names(root):
        raise BuildFailed(
            "source_invalid",
            f"The root folder {root} ({source}) is not in the source.",
            hint=f"At the top there are: {', '.join(files.names()[:20])}.",
        )
    return toml, root, source


def _inside(folder: str | None, source: str) -> str:
    path = posixpath.normpath(folder.strip("/")) if folder else "."
    if path == ".." or path.startswith("../"):
        raise BuildFailed(
            "source_invalid", f"The root folder {folder} ({source}) leaves the source.", hint="Name a folder inside it."
        )
    return "" if path == "." else path


def _language(look: Look, prefer: str | None, reasons: list[str], started: frozenset[str]) -> Found | None:
    wanted = prefer.lower() if prefer else None
    ordered = sorted(LANGUAGES, key=lambda language: wanted not in (language.name, *language.names))
    # what lies there says more than what is started: a command may be a helper's
    for programs in (frozenset[str](), started):
        for language in ordered:
            if language.name == "static" and programs != started:
                continue  # pages beside a program of the app's own are the program's to serve
            found = language.detect(replace(look, started=programs & language.programs))
            if found is None:
                continue
            named = f"{found.language} {found.version}".strip()
            framework = f" ({found.framework})" if found.framework else ""
            reasons.append(f"{named}{framework}: recognised by {found.evidence}")
            reasons += [f"{tool.replace('-', ' ', 1)}: for the build" for tool in found.tools]
            if found.language == "python" and "package.json" in look.files.names():
                reasons.append("note: package.json is there too; set the framework to node to build that instead.")
            return found
    return None


def _commands(procs: Mapping[str, str], toml: CygniToml, found: Found | None) -> dict[str, Choice]:
    """Process type → command. What is detected counts only when nobody names a command."""
    commands = {name: Choice(command, procfile.NAME) for name, command in procs.items() if name != "release"}
    for name, process in toml.processes.items():
        if process.command:
            commands[name] = Choice(process.command, cygni_toml.NAME)
    if not commands and found and found.web:
        commands["web"] = Choice(found.web, DETECTED)
    for name in toml.processes:
        if name not in commands:
            raise BuildFailed(
                "source_invalid",
                f"{cygni_toml.NAME}: process {name} has no command.",
                hint=f"Give [processes.{name}] a command, or name it in a Procfile.",
            )
    return commands


def _check_sizes(choices: Mapping[str, Choice | None], processes: int) -> None:
    """Of what an app's files say: the API has its own checks."""
    if processes > MAX_PROCESSES:
        raise BuildFailed(
            "source_invalid",
            f"The app names {processes} process types; at most {MAX_PROCESSES} can run.",
            hint="Start several programs by one command, or make several projects.",
        )
    for name, choice in choices.items():
        if choice and len(choice.value.encode()) > cygni_toml.MAX_VALUE_BYTES:
            raise BuildFailed(
                "source_invalid",
                f"The command of {name} ({choice.source}) has more than {cygni_toml.MAX_VALUE_BYTES} bytes.",
                hint="Put it into a script, and name that.",
            )


def _explicit(commands: Mapping[str, Choice]) -> bool:
    return any(choice.source != DETECTED for choice in commands.values())


def _process(name: str, command: str, settings: ProcessSettings | None, instances: int | None) -> ProcessPlan:
    """`instances`: as another file says, where the settings do not."""
    said = settings or ProcessSettings()
    return ProcessPlan(
        type=name,
        command=command,
        port=said.port,
        protocol=said.protocol or "http1",
        keep_alive_seconds=4 if said.keep_alive_seconds is None else said.keep_alive_seconds,
        health_check=said.health_check,
        instances=instances if said.instances is None else said.instances,
        cpu=said.cpu,
        memory_mb=said.memory_mb,
    )


def _startable(found: Found) -> str:
    first = f"{found.unstartable[0].upper()}{found.unstartable[1:]}; or a" if found.unstartable else "Add a"
    return f"{first} Procfile with `web: <command>` that listens on $PORT, or the same in cygni.toml's [processes.web]."


def _nothing(files: Files, root: str) -> BuildFailed:
    names = files.names()
    there = ", ".join(names[:20]) + (", …" if len(names) > 20 else "") if names else "nothing"
    looked = "; ".join((*(language.looked_for for language in LANGUAGES), "Procfile", "cygni.toml"))
    return BuildFailed(
        "nothing_detected",
        f"Nothing was recognised in {root or 'the top folder'}. Looked for: {looked}. Found: {there}.",
        hint="Add a Procfile with `web: <command>` that listens on $PORT, or set the root folder to where the app is.",
    )
