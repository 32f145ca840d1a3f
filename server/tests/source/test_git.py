"""What a git repository becomes, held against real servers on loopback."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from cygnid.sandbox.targets import Targets
from cygnid.source.archive import ArchiveSource
from cygnid.source.base import GitRemote, LocalRepository, SourceInvalid, SourceUnavailable
from cygnid.source.git_command import can_pin
from cygnid.source.git_work import GitLimits
from tests.sandbox.harness import some_uid
from tests.source.archives import pack, spec_of
from tests.source.git_harness import FILES, Subject, contents, refused
from tests.source.git_server import GitServer


async def test_the_head_of_a_branch_with_its_commit(subject: Subject) -> None:
    repository = subject.repository()
    repository.commit({"old": "1"})
    sha = repository.commit(FILES, message="Say hello\n\nWith reasons.")
    tree = await subject.fetch()
    assert contents(tree) == FILES
    assert tree.commit is not None
    assert (tree.commit.sha, tree.commit.message) == (sha, "Say hello\n\nWith reasons.")
    assert (tree.commit.author_name, tree.commit.author_email) == ("Ada", "ada@example.com")
    assert (tree.files, tree.size_bytes, tree.notes, tree.changed) == (2, 19, (), None)


async def test_its_digest_is_that_of_the_same_files_uploaded(subject: Subject) -> None:
    subject.repository().commit(FILES)
    tree = await subject.fetch()
    uploaded = await ArchiveSource().fetch(spec_of(subject.folder / "upload", pack(FILES)), subject.folder / "other")
    assert tree.digest == uploaded.digest


async def test_a_folder_at_the_top_stays_one(subject: Subject) -> None:
    subject.repository().commit({"app/main.py": "1"})
    assert contents(await subject.fetch()) == {"app/main.py": "1"}


@pytest.mark.parametrize("annotated", [False, True])
async def test_a_tag(subject: Subject, annotated: bool) -> None:
    repository = subject.repository()
    sha = repository.commit({"a": "tagged"})
    repository.git("tag", *(["-a", "-m", "one"] if annotated else []), "v1", sha)
    repository.commit({"a": "newer"})
    tree = await subject.fetch(tag="v1")
    assert (contents(tree), tree.commit and tree.commit.sha) == ({"a": "tagged"}, sha)


async def test_a_commit_that_is_no_head_any_more(subject: Subject) -> None:
    repository = subject.repository()
    sha = repository.commit({"a": "old"})
    repository.commit({"a": "new"})
    assert contents(await subject.fetch(commit=sha, branch="main")) == {"a": "old"}


async def test_what_has_changed_since(subject: Subject) -> None:
    repository = subject.repository()
    first = repository.commit({"a": "1", "gone": "1", "docs/same": "1"})
    repository.commit({"a": "2", "docs/same": "1", "docs/new": "1"})
    assert (await subject.fetch(since=first)).changed == {"a", "gone", "docs/new"}
    assert (await subject.fetch(since="0" * 39 + "1")).changed is None


async def test_a_repository_of_ours(subject: Subject) -> None:
    repository = subject.repository()
    sha = repository.commit(FILES)
    uid = some_uid()
    for path in (repository.path, *repository.path.rglob("*")):
        if uid is not None:
            shutil.chown(path, uid, uid)
    tree = await subject.fetch(repository=LocalRepository(path=repository.path, uid=uid), commit=sha)
    assert contents(tree) == FILES


async def test_a_file_url_below_the_root_that_is_allowed(subject: Subject) -> None:
    repository = subject.repository()
    repository.commit(FILES)
    (subject.folder / "elsewhere").symlink_to("/etc")
    remote = GitRemote(url=f"file://{repository.path}")
    source = subject.source(file_root=subject.server.folder)
    assert contents(await subject.fetch(source=source, repository=remote)) == FILES
    for root in (None, subject.folder / "other", repository.path / "refs"):
        error = await refused(subject.fetch(source=subject.source(file_root=root), repository=remote))
        assert isinstance(error, SourceInvalid)


async def test_heads(subject: Subject) -> None:
    repository = subject.repository()
    one = repository.commit({"a": "1"})
    two = repository.commit({"a": "2"}, ref="refs/heads/feature/x")
    repository.git("tag", "next", one)
    remote = GitRemote(url=subject.server.remote("app.git"))
    heads = await subject.source().heads(remote, ["main", "feature/x", "next", "x"], name="watch")
    assert heads.shas == {"main": one, "feature/x": two}


async def test_bytes_are_those_that_were_committed(subject: Subject) -> None:
    attributes = "* text eol=crlf export-subst ident\nsecret export-ignore\nsecret/** export-ignore\n"
    files = {".gitattributes": attributes, "a": "$Format:%H$ $Id$\n", "secret/b": "x\r\ny\n"}
    subject.repository().commit(files)
    tree = await subject.fetch()
    assert {p: (tree.path / p).read_bytes().decode() for p in files} == files


async def test_a_token_goes_to_its_host_alone(subject: Subject) -> None:
    subject.server.credentials = ("deploy", "s3cret'\"\\ $(x)")
    subject.repository().commit(FILES)
    remote = GitRemote(url=subject.server.remote("app.git"), username="deploy", token="s3cret'\"\\ $(x)")
    assert contents(await subject.fetch(repository=remote)) == FILES
    wrong = GitRemote(url=subject.server.remote("app.git"), username="deploy", token="wrong-token")
    error = await refused(subject.fetch(repository=wrong))
    assert isinstance(error, SourceUnavailable)
    assert "credentials" in error.message
    assert "wrong-token" not in f"{error.message}{error.hint}"
    assert "token" in error.hint
    none = await refused(subject.fetch())
    assert "connection" in none.hint


async def test_what_is_missing_is_named(subject: Subject) -> None:
    subject.repository("empty.git")
    error = await refused(subject.fetch("empty.git"))
    assert (type(error), error.message) == (SourceInvalid, "The repository is empty.")
    repository = subject.repository()
    repository.commit(FILES, ref="refs/heads/master")
    repository.commit(FILES, ref="refs/heads/dev")
    error = await refused(subject.fetch())
    assert (error.message, error.hint) == ("The repository has no branch main.", "Its branches: dev, master.")
    assert "tag v9" in (await refused(subject.fetch(tag="v9"))).message
    assert "commit 012301230123" in (await refused(subject.fetch(commit="0123" * 10))).message
    error = await refused(subject.fetch("nothing.git"))
    assert "no such repository" in error.message


async def test_a_redirect_is_not_followed(subject: Subject) -> None:
    subject.repository().commit(FILES)
    with GitServer(subject.server.folder).running() as inside:
        subject.server.answer = (302, {"Location": inside.remote("app.git/info/refs?service=git-upload-pack")})
        error = await refused(subject.fetch())
    assert "redirect" in error.message
    assert inside.seen == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"]
)
async def test_nothing_inside_is_asked(subject: Subject, host: str) -> None:
    subject.repository().commit(FILES)
    port = subject.server.url.rpartition(":")[2]
    remote = GitRemote(url=f"https://{host}:{port}/app.git")
    error = await refused(subject.fetch(source=subject.source(targets=Targets()), repository=remote))
    assert (type(error), "internet" in error.message) == (SourceInvalid, True)
    assert subject.server.seen == []


class Rebound(Targets):
    """A name that leads to 127.0.0.1 while it is judged, and for everybody else to nowhere."""

    async def resolve(self, host: str) -> list[str]:
        assert host == "rebound.invalid"
        return ["127.0.0.1"]


async def test_it_connects_to_what_was_judged(subject: Subject) -> None:
    subject.repository().commit(FILES)
    port = subject.server.url.rpartition(":")[2]
    source = subject.source(targets=Rebound(["rebound.invalid"]))
    remote = GitRemote(url=f"http://rebound.invalid:{port}/app.git")
    assert contents(await subject.fetch(source=source, repository=remote)) == FILES
    assert subject.server.seen[0][1]["Host"] == f"rebound.invalid:{port}"


async def test_a_server_that_is_silent(subject: Subject) -> None:
    subject.server.hanging.set()
    source = subject.source(limits=GitLimits(seconds=2))
    error = await refused(subject.fetch(source=source))
    assert "within 2 s" in error.message


async def test_a_server_that_never_ends(subject: Subject) -> None:
    subject.server.endless = True
    error = await refused(subject.fetch(source=subject.source(limits=GitLimits(seconds=3))))
    assert isinstance(error, SourceUnavailable)


async def test_a_repository_that_is_too_large(subject: Subject) -> None:
    noise = Path("/dev/urandom").open("rb")  # noqa: SIM115, ASYNC230
    with noise:
        subject.repository().commit({f"{i}": noise.read(8 << 20) for i in range(6)})
    source = subject.source(limits=GitLimits(max_bytes=1 << 20))
    error = await refused(subject.fetch(source=source))
    assert "1 MiB" in error.message


HOSTILE: Mapping[str, tuple[Mapping[str, str | bytes], Mapping[str, str]]] = {
    "a link out": ({"link": "/etc/passwd", "a": "1"}, {"link": "120000"}),
    "a link up": ({"x/link": "../../secret", "a": "1"}, {"x_link": "120000"}),
    "a control character": ({"a\tb": "1"}, {}),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_trees(subject: Subject, name: str) -> None:
    files, modes = HOSTILE[name]
    subject.repository().commit(files, **modes)
    assert isinstance(await refused(subject.fetch()), SourceInvalid)


async def test_trees_that_name_each_other_without_end(subject: Subject) -> None:
    repository = subject.repository()
    tree = repository.git("mktree", "-z", stdin=f"100644 blob {repository.blob(b'x')}\ta\0".encode())
    for _ in range(12):
        entries = "".join(f"040000 tree {tree}\t{name}\0" for name in "0123456789")
        tree = repository.git("mktree", "-z", stdin=entries.encode())
    repository.commit_tree(tree)
    error = await refused(subject.fetch())
    assert isinstance(error, SourceInvalid)
    assert error.message == "The repository has more than 50000 files."


async def test_names_that_git_itself_uses(subject: Subject) -> None:
    repository = subject.repository()
    blob = repository.blob(b"#!/bin/sh\ntouch /tmp/canary\n")
    hooks = repository.git("mktree", "-z", stdin=f"100755 blob {blob}\tpost-checkout\0".encode())
    git = repository.git("mktree", "-z", stdin=f"040000 tree {hooks}\thooks\0".encode())
    tree = repository.git(
        "mktree", "-z", stdin=f"040000 tree {git}\t.git\x00100644 blob {repository.blob(b'1')}\ta\0".encode()
    )
    repository.commit_tree(tree)
    assert isinstance(await refused(subject.fetch()), SourceInvalid)


async def test_submodules_and_large_files_are_named(subject: Subject) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    files = {
        ".gitmodules": '[submodule "x"]\n\tpath = vendor/x\n\turl = https://example.com/x.git\n',
        ".gitattributes": "*.bin filter=lfs\n",
        "vendor/x": "0123" * 10,
        "model.bin": pointer,
        "a": "1",
    }
    subject.repository().commit(files, vendor_x="160000")
    tree = await subject.fetch()
    assert "vendor/x" in tree.notes[0]
    assert "model.bin" in tree.notes[1]
    assert "git lfs" in tree.notes[1]


async def test_what_it_runs_can_be_ended_by_another_process(subject: Subject) -> None:
    (subject.folder / "git" / "dep.1").mkdir()
    await subject.source().kill(subject.folder / "dep.1")
    assert not (subject.folder / "git" / "dep.1").exists()


def test_a_git_that_would_resolve_by_itself_is_too_old() -> None:
    said = ["git version 2.36.9", "git version 2.37.0", "git version 2.39.5 (Apple Git-154)", "git version 3.0.1", "?"]
    assert [can_pin(version) for version in said] == [False, True, True, True, False]
