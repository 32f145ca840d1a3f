"""Small apps of frameworks, installed from the registry, built, started by what was detected, and asked."""

import json
import os
from collections.abc import Mapping

import pytest

from tests.build.harness import Workshop, workshop
from tests.build.releases import run_release
from tests.build.test_process_builder import NODE, NPM

_ASK = """
const end = Date.now() + 40000;
const ask = () => fetch('http://127.0.0.1:8000/').then(async (answer) => {
  console.log(answer.status, await answer.text());
}, (error) => { if (Date.now() > end) throw error; setTimeout(ask, 100); });
ask();
"""
SAYS = "Hello from here"
QUICK = ("sveltekit",)
ALL = pytest.mark.skipif("CYGNI_TEST_FRAMEWORKS" not in os.environ, reason="takes minutes: set CYGNI_TEST_FRAMEWORKS")
SERVERS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "next": (
        {"next": "^15", "react": "^19", "react-dom": "^19"},
        {
            "app/layout.jsx": "export default ({ children }) => <html lang='en'><body>{children}</body></html>;\n",
            "app/page.jsx": f"export default () => <p>{SAYS}</p>;\n",
        },
    ),
    "sveltekit": (
        {
            "svelte": "^5",
            "vite": "^6",
            "@sveltejs/kit": "^2",
            "@sveltejs/adapter-node": "^5",
            "@sveltejs/vite-plugin-svelte": "^5",
        },
        {
            "svelte.config.js": (
                "import adapter from '@sveltejs/adapter-node';\nexport default { kit: { adapter: adapter() } };\n"
            ),
            "vite.config.js": (
                "import { sveltekit } from '@sveltejs/kit/vite';\nexport default { plugins: [sveltekit()] };\n"
            ),
            "src/app.html": "<!doctype html><head>%sveltekit.head%</head><body>%sveltekit.body%</body>\n",
            "src/routes/+page.svelte": f"<p>{SAYS}</p>\n",
        },
    ),
    "astro": (
        {"astro": "^5", "@astrojs/node": "^9"},
        {
            "astro.config.mjs": (
                "import { defineConfig } from 'astro/config';\nimport node from '@astrojs/node';\n"
                "export default defineConfig({ output: 'server', adapter: node({ mode: 'standalone' }) });\n"
            ),
            "src/pages/index.astro": f"<p>{SAYS}</p>\n",
        },
    ),
    "nuxt": ({"nuxt": "^3"}, {"app.vue": f"<template><p>{SAYS}</p></template>\n"}),
    "react-router": (
        {
            "react": "^19",
            "react-dom": "^19",
            "react-router": "7.18.4",  # its packages want each other in one version
            "@react-router/node": "7.18.4",
            "@react-router/serve": "7.18.4",
            "@react-router/dev": "7.18.4",
            "isbot": "^5",
            "vite": "^6",
        },
        {
            "vite.config.js": (
                "import { reactRouter } from '@react-router/dev/vite';\nexport default { plugins: [reactRouter()] };\n"
            ),
            "app/routes.js": "import { index } from '@react-router/dev/routes';\nexport default [index('home.jsx')];\n",
            "app/root.jsx": (
                "import { Outlet } from 'react-router';\n"
                "export default () => <html lang='en'><body><Outlet /></body></html>;\n"
            ),
            "app/home.jsx": f"export default () => <p>{SAYS}</p>;\n",
        },
    ),
}


def app(dependencies: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    package = {"name": "hello", "type": "module", "dependencies": dependencies}
    return {"package.json": json.dumps(package), **files}


async def answer(shop: Workshop, files: Mapping[str, str]) -> str:
    artifact = await shop.builder.build(shop.request(files))
    assert artifact.kind == "release"
    command = artifact.plan.processes[0].command
    return await run_release(shop, artifact, f'{{ {command}; }} & node -e "$ASK"; kill $!'.replace("$ASK", _ASK))


@NODE
@NPM
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else ALL) for name in SERVERS])
async def test_a_server_answers(name: str) -> None:
    async with workshop() as shop:
        try:
            said = await answer(shop, app(*SERVERS[name]))
        finally:
            print(shop.log)
        assert SAYS in said
        assert "200 " in said
