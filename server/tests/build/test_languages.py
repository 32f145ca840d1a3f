"""The example of every language is built and answers; a language that the machine lacks is skipped."""

from collections.abc import AsyncIterator

import pytest

from cygnid.build.toolchains import find
from tests.build.harness import Workshop, workshop
from tests.build.releases import run_release
from tests.languages import EXAMPLES, LANGUAGES, hello, need

GET = """
import time, urllib.request
for _ in range(1200):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8000/", timeout=5).read().decode()); break
    except OSError: time.sleep(0.05)
"""


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        yield shop


@pytest.mark.parametrize("name", LANGUAGES)
async def test_the_example_answers(shop: Workshop, name: str) -> None:
    need(name)
    artifact = await shop.builder.build(shop.request(EXAMPLES / name, digest="sha256:1"))
    if artifact.kind == "static":
        assert hello(name) in (artifact.path / "index.html").read_text()
        return
    if artifact.plan.language in ("go", "rust"):
        left = sorted(path.relative_to(artifact.path).parts[0] for path in artifact.path.rglob("*") if path.is_file())
        assert "bin" in left
        assert not {"main.go", "go.mod", "src"} & set(left), left
    (web,) = artifact.plan.processes
    assert hello(name) in await run_release(shop, artifact, f"({web.command}) & /usr/bin/python3 -c '{GET}'; kill $!")


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
