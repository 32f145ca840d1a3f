"""Node: what installs it, what builds it, what starts it."""

import hashlib
import json
import posixpath
import re
import shlex
from collections.abc import Sequence
from typing import Any, cast

from cygnid.build.base import BuildFailed
from cygnid.build.detect import node_downloads, node_frameworks, node_managers, node_workspaces
from cygnid.build.detect.files import Files
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.node_workspaces import Workspace
from cygnid.build.detect.versions import Wish, matches_node, settle, tool_version

_SERVERS = ("next", "nuxt", "@nestjs/core", "@remix-run/serve", "fastify", "koa", "express", "hono", "@hapi/hapi")
_LOCAL = ("file:", "link:", "portal:", "patch:", ".")
_MOST_SHARED = 40
"""Packages of a workspace whose folders of dependencies are mounted one by one."""
_SIMPLE = re.compile(r"[\w./@-]+( [\w./@:,=+-]+)*")
_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall", "prepare")
_INSTALL_KEYS = (
    *("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta"),
    *("overrides", "resolutions", "pnpm", "packageManager"),
    *("bundleDependencies", "bundledDependencies", "engines", "os", "cpu"),
)


def detect(look: Look) -> Found | None:
    files = look.files
    names = files.names()
    if "package.json" not in names:
        return _without_package(look, names)
    package = _package(files)
    scripts = {key: value for key, value in _table(package, "scripts").items() if isinstance(value, str)}
    dependencies = {*_table(package, "dependencies"), *_table(package, "devDependencies")}
    made = node_frameworks.recognise(files, dependencies, scripts, is_nested=bool(look.root))
    server = next((name for name in _SERVERS if name in dependencies), None)
    web = _start(scripts, package, names)
    build = next((f"npm run {name}" for name in ("heroku-postbuild", "build") if name in scripts), None)
    # a site gives way to whatever starts; a server of a framework's to a start script only
    if made and made.replaces(scripts.get("start")) and (made.output_dir is None or web is None or "start" in scripts):
        web, build = made.web, " && ".join(part for part in (build or made.build, made.finish) if part) or None
    elif web is None and build is None and "index.html" in names:
        return None  # a static site that keeps its tools in package.json
    else:
        made = None
    workspace = node_workspaces.find(look)
    wish = _wish(files, package) or (workspace and _wish(workspace.files, workspace.package))
    version, notes = settle("Node", look.versions("node"), wish, matches_node, same=1)
    if workspace is not None:
        build, first = _with_neighbours(workspace, build)
        command, inputs, key, more = _install_workspace(workspace, building=build is not None)
        more = (*more, *first)
    else:
        command, inputs, key, more = _install(files, names, package, scripts, building=build is not None)
    return Found(
        language="node",
        framework=((made and made.package) or server or "").removeprefix("@").partition("/")[0] or None,
        evidence=", ".join(name for name in ("package.json", *node_managers.LOCKS) if name in names),
        version=version,
        install_command=command,
        install_files=inputs,
        install_key=key,
        install_root=workspace.home if workspace else None,
        install_members=tuple(workspace.members) if workspace and key is not None else (),
        build_command=build,
        output_dir=made.output_dir if made else None,
        fallback=made.fallback if made else None,
        web=web,
        unstartable=(made.unstartable if made else "")
        or "add a `start` script to package.json, or an output folder for a static site",
        env=made.env if made else {},
        notes=(*notes, *([f"{made.note}."] if made and made.note else ()), *more),
    )


def _without_package(look: Look, names: Sequence[str]) -> Found | None:
    is_there = "server.js" in names
    if not is_there and not look.started:
        return None
    version, notes = settle("Node", look.versions("node"), _wish(look.files, {}), matches_node, same=1)
    return Found(
        language="node",
        evidence="server.js" if is_there else "a command that starts with node",
        version=version,
        install_key="",
        web="node server.js" if is_there else None,
        notes=notes,
    )


def _package(files: Files) -> dict[str, Any]:
    try:
        package = json.loads(files.read("package.json") or "")
    except (ValueError, RecursionError) as error:
        raise BuildFailed(
            "source_invalid", f"package.json cannot be read: {error}", hint="Correct the file and deploy again."
        ) from None
    if not isinstance(package, dict):
        raise BuildFailed("source_invalid", "package.json is not an object.", hint="Correct it and deploy again.")
    return cast("dict[str, Any]", package)


def _table(package: dict[str, Any], key: str) -> dict[str, Any]:
    value = package.get(key)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _wish(files: Files, package: dict[str, Any]) -> Wish | None:
    for name in (".nvmrc", ".node-version"):
        wanted = (files.read(name) or "").strip()
        if wanted:
            return Wish(wanted, name)
    if wish := tool_version(files, "nodejs", "node"):
        return wish
    pinned = _table(package, "volta").get("node")
    if isinstance(pinned, str) and pinned.strip():
        return Wish(pinned, "package.json (volta.node)")
    engine = _table(package, "engines").get("node")
    return Wish(engine, "package.json (engines.node)") if isinstance(engine, str) and engine.strip() else None


def _install(
    files: Files, names: Sequence[str], package: dict[str, Any], scripts: dict[str, str], *, building: bool
) -> tuple[str | None, tuple[str, ...], str | None, tuple[str, ...]]:
    """(command, files it reads, key, notes)."""
    dependencies = {**_table(package, "dependencies"), **_table(package, "devDependencies")}
    manager = node_managers.choose(files, names, package)
    needs = dependencies or _table(package, "optionalDependencies")
    if not needs and manager.name == "npm":
        return None, (), "", ()
    command = node_managers.command(manager, building=building)
    notes = manager.notes
    hook = next((name for name in _INSTALL_SCRIPTS if name in scripts), None)
    if hook:
        return command, (), None, (*notes, f"package.json has a {hook} script: installed at each build.")
    if "@prisma/client" in dependencies:
        return command, (), None, (*notes, "Prisma writes its client into node_modules: installed at each build.")
    if "nuxt" in dependencies:
        # its server is made of copies with the modes that they have in node_modules, which it then writes to
        return command, (), None, (*notes, "Nuxt writes to what it copies from node_modules: installed at each build.")
    if any(isinstance(spec, str) and spec.startswith((*_LOCAL, "workspace:")) for spec in dependencies.values()):
        return command, (), None, (*notes, "package.json installs from the source itself: installed at each build.")
    if manager.from_source:
        return command, (), None, (*notes, f"There is {manager.from_source}: installed at each build.")
    digest = hashlib.sha256(command.encode())
    digest.update(json.dumps({key: package.get(key) for key in _INSTALL_KEYS}, sort_keys=True).encode())
    for name in manager.inputs[1:]:
        digest.update(f"\0{name}\0{files.read(name) or ''}".encode())
    return command, manager.inputs, digest.hexdigest(), notes


def _install_workspace(
    workspace: Workspace, *, building: bool
) -> tuple[str | None, tuple[str, ...], str | None, tuple[str, ...]]:
    """The same, of all packages of the workspace."""
    manager = node_managers.choose(workspace.files, workspace.files.names(), workspace.package, workspace=True)
    command = node_managers.command(manager, building=building)
    where = f"{workspace.home}/" if workspace.home else "the top"
    note = (
        f"the workspace in {where} has {1 + len(workspace.members)} packages: their dependencies are installed there."
    )
    notes = (*manager.notes, *([note] if workspace.members else []))
    if why := _reads_tree(workspace, manager):
        return command, (), None, (*notes, f"{why}: installed at each build.")
    digest = hashlib.sha256(f"{command}\0{workspace.key(_INSTALL_KEYS)}".encode())
    for name in manager.inputs[1:]:
        digest.update(f"\0{name}\0{workspace.files.read(name) or ''}".encode())
    return command, (*manager.inputs, *workspace.inputs), digest.hexdigest(), notes


def _reads_tree(workspace: Workspace, manager: node_managers.Manager) -> str | None:
    """Why installing reads more than the package.json of each package."""
    if manager.from_source:
        return f"There is {manager.from_source}"
    if len(workspace.members) > _MOST_SHARED:
        return f"It has more than {_MOST_SHARED} packages"
    for package in workspace.packages:
        who = package.get("name") or "package.json"
        asked = {**_table(package, "dependencies"), **_table(package, "devDependencies")}
        if hook := next((name for name in _INSTALL_SCRIPTS if name in _table(package, "scripts")), None):
            return f"{who} has a {hook} script"
        if package is not workspace.package and package.get("bin"):
            return f"{who} has programs of its own"
        if "@prisma/client" in asked:
            return "Prisma writes its client into node_modules"
        if "nuxt" in asked:
            return "Nuxt writes to what it copies from node_modules"
        if any(isinstance(spec, str) and spec.startswith(_LOCAL) for spec in asked.values()):
            return f"{who} installs from the source itself"
    return None


def _with_neighbours(workspace: Workspace, build: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The build command, after that of the packages which the app is made of; and what to say of it."""
    first = workspace.built_first()
    if not first:
        return build, ()
    folders = [posixpath.relpath(folder, workspace.member or ".") for folder in first]
    steps = [f"(cd {shlex.quote(folder)} && npm run build)" for folder in folders]
    note = f"{', '.join(first)}: built first, because {workspace.member or 'the app'} depends on it."
    return " && ".join([*steps, *([build] if build else [])]), (note,)


def _start(scripts: dict[str, str], package: dict[str, Any], names: Sequence[str]) -> str | None:
    script = scripts.get("start")
    if script:
        # Without npm between them the app starts sooner and gets its signals itself.
        direct = _SIMPLE.fullmatch(script) and "=" not in script.partition(" ")[0]
        return script if direct and not {"prestart", "poststart"} & scripts.keys() else "npm start"
    main = package.get("main")
    if isinstance(main, str) and "build" not in scripts and re.fullmatch(r"[\w./-]+", main):
        first = main.removeprefix("./").partition("/")[0]
        if first in names or f"{first}.js" in names:
            return f"node {main}"
    return next((f"node {name}" for name in ("server.js", "app.js", "index.js") if name in names), None)


LANGUAGE = Language(
    name="node",
    looked_for="Node: package.json with a start script, a main file or a build script; server.js",
    detect=detect,
    names=frozenset(
        {"express", "next", "nuxt", "vite", "astro", "react-scripts", "fastify", "koa", "nest", "remix", "sveltekit"}
    ),
    programs=frozenset({"node"}),
    recipe=Recipe(
        dependencies="node_modules",
        path=(
            *("{root}/node_modules/.bin", f"{{root}}/node_modules/{node_managers.HERE}/.bin"),
            *("{home}/node_modules/.bin", f"{{home}}/node_modules/{node_managers.HERE}/.bin"),
        ),
        env={
            "NODE_ENV": "production",
            "YARN_NODE_LINKER": "node-modules",  # of berry, whose own way needs its loader around every program
            "YARN_IGNORE_PATH": "1",  # a berry in the source is installed like all others
        },
        build_env={
            # Node sees the machine's memory, and would collect nothing before the build is out of its own
            "NODE_OPTIONS": "--max-old-space-size={heap_mb}",
            "npm_config_cache": "{cache}/npm",
            "npm_config_update_notifier": "false",
            "npm_config_fund": "false",
            "npm_config_audit": "false",
            "YARN_ENABLE_TELEMETRY": "0",
        },
        caches=("npm",),
        downloads=node_downloads.downloads,
        scratch=(".astro", ".cache", ".vite", ".vite-temp"),  # bundlers write there also when they only build
    ),
)
