"""The samples of docs/reference, as somebody copies them: each compiles, and calls what it is a sample of."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cygni import CygniClient
from generator import emit
from generator.read import read

API = read(emit.SDK.parent / "openapi.json", emit.SDK / "behavior.json")
METHODS = {method.id: method for service in API.services for method in service.methods}
SECONDS = 900
"""That a compiler may take on a busy machine before it counts as stuck."""
# Passes on what would be sent, and nothing is.
RUBY = """
require "cygni"
class Cygni::Wire
  def exchange(call) = throw(:sent, call)
  alias stream exchange
end
ARGV.each do |path|
  call = catch(:sent) { load(path) && nil } or raise "#{path} calls nothing"
  puts [File.basename(path, ".rb"), call.http_method, call.target].join(" ")
end
"""


def samples(title: str) -> dict[str, str]:
    """The method's id → its sample in one language."""
    found: dict[str, str] = {}
    block = re.compile(rf"<summary>Copy as {title}</summary>\n\n```\w+\n(.*?)\n```\n", re.DOTALL)
    for page in sorted((emit.SDK.parent / "docs/reference").glob("*.md")):
        for section in page.read_text().split("\n## ")[1:]:
            name, _, text = section.partition("\n")
            if sample := block.search(text):
                found[name] = sample[1] + "\n"
    assert found.keys() == METHODS.keys()
    return found


def written(folder: Path, title: str, end: str) -> list[Path]:
    paths: list[Path] = []
    for name, text in samples(title).items():
        paths.append(folder / f"{name}{end}")
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_text(text)
    return paths


def run(*words: str | Path, cwd: Path, **env: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
    done = subprocess.run(
        words, cwd=cwd, env={**inherited, **env}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def calls(name: str, http_method: str, url: str) -> bool:
    """Whether a request is the one that the method makes."""
    method = METHODS[name]
    path = re.sub(r"\{\w+\}", "[^/]+", method.path.rstrip("/"))
    return http_method == method.http_method and re.search(rf"{path}/?(\?|$)", url) is not None


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sent(BaseException):
        pass

    def send(_client: object, call: object) -> None:
        raise Sent(call)

    monkeypatch.setattr(CygniClient, "_send", send)
    monkeypatch.setenv("CYGNI_API_KEY", "cygp_test")
    monkeypatch.chdir(tmp_path)
    Path("archive.tar.gz").write_bytes(b"")
    for name, text in samples("Python").items():
        with pytest.raises(Sent) as sent:
            exec(compile(text, name, "exec"), {})
        call = sent.value.args[0]
        assert calls(name, call.method, call.url), name


def test_ruby(tmp_path: Path) -> None:
    if shutil.which("ruby") is None:
        pytest.skip("ruby is not installed")
    (tmp_path / "archive.tar.gz").write_bytes(b"")
    paths = written(tmp_path, "Ruby", ".rb")
    said = run("ruby", "-w", "-I", emit.SDK / "ruby" / "lib", "-e", RUBY, *paths, cwd=tmp_path, CYGNI_API_KEY="cygp_x")
    assert len(said.splitlines()) == len(paths)
    assert [line for line in said.splitlines() if not calls(*line.split())] == []


def test_go(tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    written(tmp_path, "Go", "/main.go")
    (tmp_path / "go.mod").write_text(
        "module example\n\ngo 1.23\n\nrequire github.com/cygni/cygni-go v0.0.0\n\n"
        f"replace github.com/cygni/cygni-go => {emit.SDK / 'go'}\n"
    )
    run("go", "vet", "./...", cwd=tmp_path, GOPROXY="off", GOTOOLCHAIN="local")


def test_node(tmp_path: Path) -> None:
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    node = emit.SDK / "node"
    prepared = subprocess.run([sys.executable, "scripts/prepare.py"], cwd=node, capture_output=True, text=True)
    if prepared.returncode == 77:
        pytest.skip(prepared.stderr.strip().splitlines()[-1])
    assert prepared.returncode == 0, prepared.stderr
    modules = tmp_path / "node_modules"
    (modules / "@cygni").mkdir(parents=True)
    (modules / "@cygni" / "sdk").symlink_to(node)
    (modules / "@types").symlink_to(node / "node_modules" / "@types")
    strict = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--types", "node"]
    tsc = node / "node_modules" / "typescript" / "bin" / "tsc"
    run("node", tsc, *strict, *written(tmp_path, "Node", ".mts"), cwd=tmp_path)
