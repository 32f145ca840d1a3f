"""Frameworks of Node: what is built, and whether a server or a site comes of it."""

import json

import pytest

from cygnid.build.base import BuildFailed, BuildSettings, Plan
from cygnid.build.detect import MemoryFiles, detect


def plan_of(
    dependencies: str, files: dict[str, str] | None = None, scripts: dict[str, str] | None = None, root: str = ""
) -> Plan:
    content = {"dependencies": dict.fromkeys(dependencies.split(), "1.0.0"), "scripts": scripts or {}}
    tree = {"package.json": json.dumps(content), **(files or {})}
    tree = {f"{root}/{name}" if root else name: text for name, text in tree.items()}
    settings = BuildSettings(root_dir=root or None)
    return detect(MemoryFiles(tree), settings, framework=None, available={"node": ["20.20.2"]})


SERVERS = {
    "next": ("next react", {}, "next build", "next start"),
    "next that builds elsewhere": (
        "next",
        {"next.config.ts": "export default { output: 'standalone', distDir: 'made' };"},
        (
            "next build && cp -r made/static made/standalone/made/"
            " && if [ -d public ]; then cp -r public made/standalone/; fi"
        ),
        "node made/standalone/server.js",
    ),
    "next with a comment": (
        "next",
        {"next.config.js": "module.exports = {\n  // output: 'export',\n  /* output: 'export' */\n}"},
        "next build",
        "next start",
    ),
    "nuxt": ("nuxt vue", {}, "nuxt build", "node .output/server/index.mjs"),
    "sveltekit": ("@sveltejs/kit @sveltejs/adapter-node vite", {}, "vite build", "node build"),
    "sveltekit elsewhere": (
        "@sveltejs/kit @sveltejs/adapter-node vite",
        {"svelte.config.js": "adapter: adapter({ out: 'made' })"},
        "vite build",
        "node made",
    ),
    "react router": (
        "@react-router/dev @react-router/serve vite",
        {},
        "react-router build",
        "react-router-serve build/server/index.js",
    ),
    "remix with vite": (
        "@remix-run/dev @remix-run/serve vite",
        {"vite.config.ts": "plugins: [remix()]"},
        "remix vite:build",
        "remix-serve build/server/index.js",
    ),
    "remix of before": ("@remix-run/dev @remix-run/serve", {}, "remix build", "remix-serve build/index.js"),
    "astro": ("astro @astrojs/node", {}, "astro build", "node dist/server/entry.mjs"),
    "express": ("express", {"server.js": ""}, None, "node server.js"),
    "fastify": ("fastify", {"app.js": ""}, None, "node app.js"),
    "koa": ("koa", {"index.js": ""}, None, "node index.js"),
    "nest": ("@nestjs/core", {}, None, "node dist/main"),
}
SITES = {
    "next": ("next", {"next.config.mjs": "export default { output: 'export' }"}, "next build", "out", None),
    "sveltekit": (
        "@sveltejs/kit @sveltejs/adapter-static vite",
        {"svelte.config.js": "adapter({ pages: 'site', fallback: '200.html' })"},
        "vite build",
        "site",
        "200.html",
    ),
    "react router": (
        "@react-router/dev @react-router/serve",
        {"react-router.config.ts": "export default { ssr: false }"},
        "react-router build",
        "build/client",
        "index.html",
    ),
    "astro": ("astro", {"astro.config.mjs": 'outDir: "./site"'}, "astro build", "site", None),
    "vite": ("vite", {"index.html": ""}, "vite build", "dist", "index.html"),
    "vite elsewhere": ("vite", {"vite.config.ts": "build: { outDir: 'web/' }"}, "vite build", "web", "index.html"),
    "eleventy": ("@11ty/eleventy", {".eleventy.js": "dir: { output: 'out' }"}, "eleventy", "out", None),
    "vitepress": ("vitepress vue", {".vitepress/config.ts": ""}, "vitepress build", ".vitepress/dist", None),
    "vitepress below": (
        "vitepress",
        {"docs/.vitepress/config.ts": ""},
        "vitepress build docs/",
        "docs/.vitepress/dist",
        None,
    ),
    "docusaurus": ("@docusaurus/core", {}, "docusaurus build", "build", None),
    "create react app": (
        "react-scripts react",
        {"public/index.html": ""},
        "react-scripts build",
        "build",
        "index.html",
    ),
    "gatsby": ("gatsby", {}, "gatsby build", "public", None),
}


@pytest.mark.parametrize("case", SERVERS)
def test_a_server_is_built_and_started_without_any_script(case: str) -> None:
    dependencies, files, build, web = SERVERS[case]
    plan = plan_of(dependencies, files)
    assert (plan.kind, plan.build_command) == ("release", build)
    assert [process.command for process in plan.processes] == [web]
    assert "--include=dev" in (plan.install_command or "") or build is None


@pytest.mark.parametrize("case", SITES)
def test_a_site_is_built_and_its_folder_served_without_any_script(case: str) -> None:
    dependencies, files, build, folder, fallback = SITES[case]
    plan = plan_of(dependencies, files)
    assert (plan.kind, plan.build_command) == ("static", build)
    assert (plan.output_dir, plan.fallback) == (folder, fallback)


@pytest.mark.parametrize(
    ("dependencies", "start", "kind", "command"),
    [
        ("next", "next dev", "release", "next start"),
        ("next", "next start", "release", "next start"),
        ("next", "node server.js", "release", "node server.js"),
        ("nuxt", "nuxt preview", "release", "node .output/server/index.mjs"),
        ("astro", "astro dev", "static", None),
        ("astro", "node mine.js", "release", "node mine.js"),
        ("vite express", "node server.js", "release", "node server.js"),
        ("vite", "vite preview", "static", None),
        ("@nestjs/core", "nest start", "release", "node dist/main"),
    ],
)
def test_a_start_script_counts_unless_it_is_for_developing(
    dependencies: str, start: str, kind: str, command: str | None
) -> None:
    plan = plan_of(dependencies, scripts={"start": start, "build": "x"})
    assert (plan.kind, plan.build_command) == (kind, "npm run build")
    assert [process.command for process in plan.processes] == ([command] if command else [])


def test_scripts_that_say_more_than_the_framework() -> None:
    nest = plan_of("@nestjs/core", scripts={"start": "nest start", "start:prod": "node dist/src/main"})
    assert nest.processes[0].command == "npm run start:prod"
    nuxt = plan_of("nuxt", scripts={"build": "nuxt generate"})
    assert (nuxt.kind, nuxt.output_dir, nuxt.fallback) == ("static", ".output/public", "200.html")
    docs = plan_of("vitepress", {"docs/.vitepress/config.ts": ""}, {"docs:build": "vitepress build docs"})
    assert docs.build_command == "npm run docs:build"


def test_servers_that_listen_on_loopback_by_default_are_told_otherwise_and_the_log_says_why_one_was_chosen() -> None:
    astro = plan_of("astro @astrojs/node")
    assert astro.env == {"HOST": "0.0.0.0"}
    assert "note: @astrojs/node makes a server." in astro.reasons
    standalone = {"next.config.js": "output: 'standalone'"}
    assert plan_of("next", standalone).env == {"HOSTNAME": "0.0.0.0"}
    # below a larger source Next puts its server into folders of other names
    assert plan_of("next", standalone, root="web").processes[0].command == "next start"


def test_sveltekit_without_an_adapter_that_makes_something_is_told_what_to_install() -> None:
    with pytest.raises(BuildFailed) as failure:
        plan_of("@sveltejs/kit @sveltejs/adapter-auto vite", scripts={"build": "vite build", "start": "vite preview"})
    assert "install @sveltejs/adapter-node for a server" in (failure.value.hint or "")
