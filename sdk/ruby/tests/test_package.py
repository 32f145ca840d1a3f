"""The gem by Ruby's own tools, installed into an empty home, and programs that use it there."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.server import ScriptedServer

RUBY = Path(__file__).parents[1]
VECTOR = json.loads((RUBY.parent / "archive-vector.json").read_text())
SECONDS = 300
"""That a program may take on a busy machine before it counts as stuck."""
PAGINATION = {"page": None, "limit": 1, "total": None, "pages": None, "totalIsEstimate": False, "prevCursor": None}
FIRST = {"pagination": {**PAGINATION, "hasMore": True, "nextCursor": "c2"}}
LAST = {"pagination": {**PAGINATION, "hasMore": False, "nextCursor": None}}

pytestmark = pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed")


def ruby(*words, folder=RUBY, env=None):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CYGNI_", "RUBY", "GEM_"))}
    done = subprocess.run(
        ["ruby", *words], cwd=folder, env={**inherited, **(env or {})}, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a program for which the gem, and nothing else, has been installed."""
    folder = tmp_path_factory.mktemp("gem")
    ruby("-S", "gem", "build", "--strict", "cygni.gemspec", "--output", str(folder / "cygni.gem"))
    home = folder / "home"
    ruby("-S", "gem", "install", "--local", "--no-document", "--install-dir", str(home), str(folder / "cygni.gem"))
    assert [path.name.rpartition("-")[0] for path in (home / "gems").iterdir()] == ["cygni"]
    return {"GEM_HOME": str(home), "GEM_PATH": str(home), "HOME": str(folder)}


def program(text, env, script, tmp_path):
    """What the program prints, as JSON, and the requests that it made."""
    server = ScriptedServer(script)
    try:
        (tmp_path / "program.rb").write_text(f'require "cygni"\nrequire "json"\n{text}')
        own = {**env, "CYGNI_API_KEY": "cygp_test", "CYGNI_API_URL": server.origin}
        return json.loads(ruby("-w", "program.rb", folder=tmp_path, env=own).stdout), server.requests
    finally:
        server.stop()


def test_every_file_is_ruby_without_warnings():
    files = sorted(str(path) for path in RUBY.rglob("*.rb"))
    said = ruby("-w", "-e", "ARGV.each { |path| RubyVM::InstructionSequence.compile_file(path) }", *files)
    assert (len(files) > 30, said.stderr) == (True, "")


def test_nothing_but_the_standard_library_is_needed():
    assert "dependency" not in (RUBY / "cygni.gemspec").read_text()


def test_the_gem_has_its_code_and_signatures(installed):
    gem = next((Path(installed["GEM_HOME"]) / "gems").iterdir())
    found = {path.relative_to(gem).parts[0] for path in gem.rglob("*") if path.is_file()}
    assert found == {"README.md", "lib", "sig"}


def test_a_program_pages_and_reads_models(installed, tmp_path):
    text = """
    list = Cygni::Client.new.projects.list(limit: 1)
    project = list.first
    project => {name: taken, id: nil}
    puts JSON.generate([list.map(&:name), list.lazy.map(&:status).first, project.frozen?, project["later"], taken,
                        project.created_at.is_a?(Time), project == list.items[0], list.pages.count])
    """
    one = {"name": "one", "status": "hovering", "later": {"a": 1}, "createdAt": "2026-11-24T08:00:00.000Z"}
    first, last = {"data": [one], "meta": FIRST}, {"data": [{"name": "two"}], "meta": LAST}
    told, requests = program(text, installed, [first, last, last], tmp_path)
    assert told == [["one", "two"], "hovering", True, {"a": 1}, "one", True, True, 2]
    assert ["cursor=c2" in request.path for request in requests] == [False, True, True]


def test_a_program_rescues_errors(installed, tmp_path):
    text = """
    begin
      Cygni::Client.new.projects.get("none")
    rescue Cygni::NotFoundError => e
      puts JSON.generate([e.code, e.message, e.status, e.hint, e.details, e.request_id == e.last_response.request_id])
    end
    """
    error = {"code": "not_found", "message": "There is none.", "hint": "List them.", "details": {"kind": "project"}}
    told, _ = program(text, installed, [{"status": 404, "error": error}], tmp_path)
    assert told == ["not_found", "There is none.", 404, "List them.", {"kind": "project"}, True]


def test_threads_and_children_share_a_client(installed, tmp_path):
    text = """
    client = Cygni::Client.new
    names = Array.new(8) { Thread.new { Array.new(3) { client.projects.get("shop").name } } }.flat_map(&:value)
    from, to = IO.pipe
    Process.wait(fork { to.write(client.projects.get("shop").name) })
    to.close
    puts JSON.generate([names.uniq, names.size, from.read, client.projects.get("shop").name, client.frozen?])
    """
    told, _ = program(text, installed, [{"data": {"name": "shop"}}] * 26, tmp_path)
    assert told == [["shop"], 24, "shop", "shop", True]


def test_what_a_block_raises_comes_through_a_stream(installed, tmp_path):
    text = """
    stream = Cygni::Client.new.logs.stream(project_id: "shop", until: "2030-01-01")
    begin
      stream.each { raise Cygni::APIConnectionError, "of the block" }
    rescue Cygni::APIConnectionError => e
      told = e.message
    end
    puts JSON.generate([told, stream.map { |event| event.data.message }, stream.end.reason])
    """
    lines = [f'id: log_{n}\nevent: log\ndata: {{"message":"{n}"}}' for n in (1, 2)]
    end = 'event: end\ndata: {"reason":"finished"}'
    told, requests = program(text, installed, [{"sse": [lines[0]], "then": "hold"}, {"sse": [lines[1], end]}], tmp_path)
    assert told == ["of the block", ["2"], "finished"]
    assert requests[1].headers["last-event-id"] == "log_1"
    assert "until=2030-01-01" in requests[0].path


def test_the_tar_is_the_one_of_every_language(tmp_path):
    for file in VECTOR["files"]:
        path = tmp_path / "folder" / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in file:
            path.symlink_to(file["link"])
        else:
            path.write_text(file["text"])
            path.chmod(0o750 if file.get("executable") else 0o640)
    text = """
    require "cygni"
    require "digest"
    require "stringio"
    tar = StringIO.new("".b)
    Cygni::Archive.write_tar(ARGV[0], tar)
    zipped = Array.new(2) { StringIO.new("".b).tap { |file| Cygni::Archive.pack(ARGV[0], file) }.string }
    puts tar.size, Digest::SHA256.hexdigest(tar.string), zipped.uniq.size, zipped[0][4, 4].unpack1("V"),
         Zlib.gunzip(zipped[0]) == tar.string
    """
    # without a locale the names of files are still bytes of UTF-8
    said = ruby("-w", "-Ilib", "-e", text, str(tmp_path / "folder"), env={"LC_ALL": "C"})
    assert said.stdout.split() == [str(VECTOR["sizeBytes"]), VECTOR["sha256"], "1", "0", "true"], said.stderr


def test_the_signatures_are_whole():
    if subprocess.run(["ruby", "-e", 'require "rbs/cli"'], capture_output=True).returncode:
        pytest.skip("rbs is not installed")
    validate = 'require "rbs"; require "rbs/cli"; RBS::CLI.new(stdout: $stdout, stderr: $stderr).run(ARGV.dup)'
    ruby("-e", validate, "--", "-r", "pathname", "-I", "sig", "validate", "--silent")


def test_signatures_and_methods_are_the_same():
    """Each generated signature has a method with its keywords, and no method is without one."""
    if subprocess.run(["ruby", "-e", 'require "rbs"'], capture_output=True).returncode:
        pytest.skip("rbs is not installed")
    text = """
    require "cygni"
    require "pathname"
    require "rbs"
    loader = RBS::EnvironmentLoader.new
    loader.add(path: Pathname("sig"))
    loader.add(library: "pathname", version: nil)
    builder = RBS::DefinitionBuilder.new(env: RBS::Environment.from_loader(loader).resolve_type_names)
    kinds = [Cygni::Resources, Cygni::Models].flat_map { |from| from.constants.map { |name| from.const_get(name) } }
    kinds.grep(Class).each do |kind|
      signed = builder.build_instance(RBS::TypeName.new(name: kind.name.split("::").last.to_sym,
        namespace: RBS::Namespace.parse("::" + kind.name.rpartition("::").first))).methods
      kind.public_instance_methods(false).each do |name|
        type = signed.fetch(name).method_types.first.type
        keywords = kind.instance_method(name).parameters.group_by(&:first).transform_values { |all| all.map(&:last) }
        raise "#{kind}##{name}" if type.required_keywords.keys.sort != keywords.fetch(:keyreq, []).sort ||
                                   type.optional_keywords.keys.sort != keywords.fetch(:key, []).sort
        puts "#{kind}##{name}"
      end
    end
    """
    assert len(ruby("-Ilib", "-e", text).stdout.split()) > 300


def test_style():
    if shutil.which("rubocop") is None:
        pytest.skip("rubocop is not installed")
    ruby("-S", "rubocop", "--cache", "false")
