"""Frameworks of Node: whether one makes a server or a site, by its configuration and its dependencies."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from cygnid.build.detect.files import Files

_REPLACED = re.compile(
    r"(npx )?(vite\b|react-scripts start|vue-cli-service serve|parcel\b|astro\b|gatsby (develop|serve)|eleventy\b"
    r"|next( dev\b.*| start)?$|nux[ti] (dev|preview|start)|nest start|docusaurus (start|serve)|vitepress (dev|preview)"
    r"|(remix|react-router) (vite:)?dev|(remix|react-router)-serve\b)"
)
"""Start scripts that are for developing, or do what is inferred anyway: those the framework's own start replaces."""


@dataclass(frozen=True, kw_only=True)
class Framework:
    package: str
    """The dependency that it was recognised by."""
    build: str | None = None
    """Where there is no build script."""
    finish: str = ""
    """What remains to be done after the build script, whoever wrote that."""
    output_dir: str | None = None
    fallback: str | None = None
    web: str | None = None
    """None with an output folder: a site; None without: `unstartable` says why."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    unstartable: str = ""
    note: str = ""

    def replaces(self, start: str | None) -> bool:
        return start is None or _REPLACED.match(start) is not None


@dataclass(frozen=True, kw_only=True)
class _App:
    files: Files
    dependencies: Collection[str]
    scripts: Mapping[str, str]
    is_nested: bool

    def config(self, *names: str) -> str:
        """Without comments: configurations are programs, of which single settings are read by their words."""
        paths = [f"{name}.{end}" for name in names for end in ("js", "mjs", "cjs", "ts", "mts")]
        text = next((text for path in paths if (text := self.files.read(path)) is not None), "")
        return re.sub(r"/\*.*?\*/|(?m:(?:^|\s)//.*$)", "", text, flags=re.DOTALL)

    def setting(self, key: str, *names: str) -> str | None:
        found = re.search(rf"\b{key}[\"']?\s*[:=]\s*[\"'`](?:\./)?([\w./-]+?)/?[\"'`]", self.config(*names))
        return found[1] if found else None


def recognise(
    files: Files, dependencies: Collection[str], scripts: Mapping[str, str], *, is_nested: bool
) -> Framework | None:
    """`is_nested`: the app is a folder of a larger source."""
    app = _App(files=files, dependencies=dependencies, scripts=scripts, is_nested=is_nested)
    return next((decide(app) for package, decide in _KNOWN.items() if package in dependencies), None)


def _next(app: _App) -> Framework:
    output = app.setting("output", "next.config")
    if output == "export":
        note = "next.config has output: export, so this is a site"
        return Framework(
            package="next", build="next build", output_dir=app.setting("distDir", "next.config") or "out", note=note
        )
    folder = app.setting("distDir", "next.config") or ".next"
    if output == "standalone" and not app.is_nested:
        return Framework(
            package="next",
            build="next build",
            finish=f"cp -r {folder}/static {folder}/standalone/{folder}/"
            f" && if [ -d public ]; then cp -r public {folder}/standalone/; fi",
            web=f"node {folder}/standalone/server.js",
            env={"HOSTNAME": "0.0.0.0"},
            note="next.config has output: standalone, so its own server is started",
        )
    return Framework(package="next", build="next build", web="next start")


def _nuxt(app: _App) -> Framework:
    if "generate" in app.scripts.get("build", ""):
        note = "the build script generates, so this is a site"
        return Framework(package="nuxt", output_dir=".output/public", fallback="200.html", note=note)
    return Framework(package="nuxt", build="nuxt build", web="node .output/server/index.mjs")


def _svelte(app: _App) -> Framework:
    kit = "@sveltejs/kit"
    if "@sveltejs/adapter-node" in app.dependencies:
        folder = app.setting("out", "svelte.config") or "build"
        return Framework(package=kit, build="vite build", web=f"node {folder}", note="adapter-node makes a server")
    if "@sveltejs/adapter-static" in app.dependencies:
        return Framework(
            package=kit,
            build="vite build",
            output_dir=app.setting("pages", "svelte.config") or "build",
            fallback=app.setting("fallback", "svelte.config"),
            note="adapter-static makes a site",
        )
    why = (
        "SvelteKit's adapter-auto makes nothing that can be started here: install @sveltejs/adapter-node for a server, "
    )
    return Framework(package=kit, build="vite build", unstartable=f"{why}or @sveltejs/adapter-static for a site")


def _react_router(app: _App) -> Framework | None:
    is_remix = "@remix-run/dev" in app.dependencies
    package, tool = ("@remix-run/dev", "remix") if is_remix else ("@react-router/dev", "react-router")
    config = app.config("vite.config") if is_remix else app.config("react-router.config")
    build = "remix vite:build" if is_remix else "react-router build"
    if re.search(r"\bssr\s*:\s*false\b", config):
        note = "ssr: false, so this is a site"
        return Framework(package=package, build=build, output_dir="build/client", fallback="index.html", note=note)
    if not {"@remix-run/serve", "@react-router/serve"} & set(app.dependencies):
        return None  # with a server of the app's own
    classic = is_remix and not config
    entry = "build/index.js" if classic else "build/server/index.js"
    return Framework(package=package, build="remix build" if classic else build, web=f"{tool}-serve {entry}")


def _astro(app: _App) -> Framework:
    folder = app.setting("outDir", "astro.config") or "dist"
    if "@astrojs/node" not in app.dependencies:
        note = "@astrojs/node is not installed, so this is a site"
        return Framework(package="astro", build="astro build", output_dir=folder, note=note)
    return Framework(
        package="astro",
        build="astro build",
        web=f"node {folder}/server/entry.mjs",
        env={"HOST": "0.0.0.0"},
        note="@astrojs/node makes a server",
    )


def _nest(app: _App) -> Framework:
    production = app.scripts.get("start:prod")
    note = "the start:prod script is started" if production else ""
    return Framework(package="@nestjs/core", web="npm run start:prod" if production else "node dist/main", note=note)


def _vitepress(app: _App) -> Framework:
    below = next((f"{folder}/" for folder in ("docs", "doc") if ".vitepress" in app.files.names(folder)), "")
    script = next((name for name in ("docs:build",) if name in app.scripts), None)
    build = f"npm run {script}" if script else f"vitepress build {below}".strip()
    return Framework(package="vitepress", build=build, output_dir=f"{below}.vitepress/dist")


def _site(package: str, build: str, folder: str, key: str, *configs: str, single: bool = False) -> "_Decide":
    def decide(app: _App) -> Framework:
        found = app.setting(key, *configs) if key else None
        fallback = "index.html" if single else None  # pages of one file: unknown paths are its own to answer
        return Framework(package=package, build=build, output_dir=found or folder, fallback=fallback)

    return decide


_Decide = Callable[[_App], Framework | None]
_KNOWN: dict[str, _Decide] = {  # the first that is a dependency: what is built upon Vite comes before it
    "next": _next,
    "nuxt": _nuxt,
    "@sveltejs/kit": _svelte,
    "@react-router/dev": _react_router,
    "@remix-run/dev": _react_router,
    "@nestjs/core": _nest,
    "astro": _astro,
    "gatsby": _site("gatsby", "gatsby build", "public", ""),
    "@docusaurus/core": _site("@docusaurus/core", "docusaurus build", "build", ""),
    "@11ty/eleventy": _site("@11ty/eleventy", "eleventy", "_site", "output", ".eleventy", "eleventy.config"),
    "vitepress": _vitepress,
    "react-scripts": _site("react-scripts", "react-scripts build", "build", "", single=True),
    "@vue/cli-service": _site(
        "@vue/cli-service", "vue-cli-service build", "dist", "outputDir", "vue.config", single=True
    ),
    "vite": _site("vite", "vite build", "dist", "outDir", "vite.config", single=True),
    "parcel": _site("parcel", "parcel build", "dist", "", single=True),
}
