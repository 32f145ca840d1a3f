"""The example of every language is built and answers; a language that the machine lacks is skipped."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cygnid.build.toolchains import find
from tests.build.harness import Workshop, workshop
from tests.build.releases import run_release

EXAMPLES = Path(__file__).parents[3] / "examples"
GET = """
import time, urllib.request
for _ in range(1200):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8000/", timeout=5).read().decode()); break
    except OSError: time.sleep(0.05)
"""
LANGUAGES = {
    "go": (["go"], None, "golang-go"),
    "rust": (["rust"], "index.crates.io", "cargo"),
    "java": (["java", "maven"], "repo.maven.apache.org", "default-jdk-headless maven"),
    "ruby": (["ruby"], None, "ruby"),
    "php": (["php"], None, "php-cli"),
    "hugo": (["hugo"], None, "hugo"),
    "deno": (["deno"], None, "deno (not packaged by Debian)"),
    "bun": (["bun"], None, "bun (not packaged by Debian)"),
}


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        yield shop


def reaches(host: str) -> bool:
    try:
        socket.create_connection((host, 443), 5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("name", LANGUAGES)
async def test_the_example_answers(shop: Workshop, name: str) -> None:
    needs, registry, package = LANGUAGES[name]
    missing = [language for language in needs if not find(language)]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)} on this machine: install {package}")
    if registry and not reaches(registry):
        pytest.skip(f"the packages of {name} cannot be reached")
    artifact = await shop.builder.build(shop.request(EXAMPLES / name, digest="sha256:1"))
    hello = f"Hello from {'PHP' if name == 'php' else name.capitalize()}"
    if artifact.kind == "static":
        assert hello in (artifact.path / "index.html").read_text()
        return
    (web,) = artifact.plan.processes
    assert hello in await run_release(shop, artifact, f"({web.command}) & /usr/bin/python3 -c '{GET}'; kill $!")


@pytest.mark.skipif(not (find("php") and find("composer")), reason="no PHP or no Composer: install php-cli composer")
async def test_composer_installs_once(shop: Workshop) -> None:
    composer = '{"repositories": {"packagist.org": false}, "autoload": {"psr-4": {"Shop\\\\": "src/"}}}'
    page = '<?php require __DIR__ . "/../vendor/autoload.php"; echo Shop\\Name::SAYS;'
    files = {"composer.json": composer, "public/index.php": page, "vendor/autoload.php": "<?php old();"}
    for says in ("first", "second"):
        files["src/Name.php"] = f'<?php namespace Shop; class Name {{ const SAYS = "{says}"; }}'
        before = shop.log if (shop.folder / "log").exists() else ""
        artifact = await shop.builder.build(shop.request(files))
        assert await run_release(shop, artifact, "php public/index.php") == says
        assert ("nothing to install" in shop.log.removeprefix(before)) == (says == "second")


@pytest.mark.skipif(not (find("ruby") and find("bundler")), reason="no Ruby or no Bundler: install ruby bundler")
async def test_bundler_installs_a_gem_of_the_source(shop: Workshop) -> None:
    files = {
        "Gemfile": 'gem "hello", path: "hello"\n',
        "hello/hello.gemspec": 'Gem::Specification.new { |s| s.name = "hello"; s.version = "1"; s.summary = "x"; '
        's.authors = ["x"]; s.files = ["lib/hello.rb"] }',
        "hello/lib/hello.rb": 'HELLO = "Hello from a gem"',
        "app.rb": 'require "hello"\nputs HELLO, ENV["PORT"]',
    }
    artifact = await shop.builder.build(shop.request(files))
    (web,) = artifact.plan.processes
    assert web.command == "bundle exec ruby app.rb"
    assert await run_release(shop, artifact, web.command) == "Hello from a gem\n8000\n"
