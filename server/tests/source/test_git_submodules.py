"""Submodules: none without the operator's word, none elsewhere than it says, and no credentials for another host."""

import pytest

from cygnid.source.base import GitRemote, SourceInvalid, SourceUnavailable
from cygnid.source.git_submodules import MAX, Allowed, modules, resolved, wanted
from cygnid.source.git_url import BadUrl, parse
from tests.source.git_harness import Subject, contents, refused
from tests.source.git_server import GitServer, Repository


def gitmodules(**urls: str) -> str:
    return "".join(f'[submodule "{name}"]\n\tpath = {name}\n\turl = {url}\n' for name, url in urls.items())


def with_lib(repository: Repository, url: str, commit: str) -> str:
    return repository.commit({".gitmodules": gitmodules(lib=url), "app": "1", "lib": commit}, lib="160000")


@pytest.mark.parametrize(
    ("words", "url", "allows"),
    [
        (["example.com/acme"], "https://example.com/acme/lib.git", True),
        (["example.com/acme"], "git@example.com:acme/deep/lib", True),
        (["example.com/acme/lib"], "https://EXAMPLE.com/acme/lib.git/", True),
        (["example.com"], "https://example.com/any", True),
        (["example.com:8443/acme"], "https://example.com:8443/acme/lib", True),
        ([], "https://example.com/acme/lib", False),
        (["example.com/acme"], "https://example.com/acme-evil/lib", False),
        (["example.com/acme"], "https://example.com/other/lib", False),
        (["example.com/acme"], "https://example.com:8443/acme/lib", False),
        (["example.com/acme"], "https://sub.example.com/acme/lib", False),
        (["example.com/acme"], "https://example.com/acme/../other/lib", False),
        (["example.com/acme"], "https://example.com/acme/%2e%2E/other/lib", False),
        (["example.com/acme"], "https://example.com/acme/..%2fother/lib", False),
        (["example.com/acme"], "https://example.com/acme//../../other/lib", False),
        (["localhost"], "file:///srv/lib", False),
    ],
)
def test_what_is_allowed(words: list[str], url: str, allows: bool) -> None:
    assert Allowed(words).allows(parse(url)) is allows


def test_a_word_that_names_no_host_is_refused() -> None:
    for word in ("https://example.com/acme", "user@example.com", "/srv", ""):
        with pytest.raises(ValueError, match="host"):
            Allowed([word])


@pytest.mark.parametrize(
    ("text", "base", "url"),
    [
        ("https://example.com/lib", "https://h/a/b.git", "https://example.com/lib"),
        ("../lib.git", "https://h:1/acme/app.git", "https://h:1/acme/lib.git"),
        ("../../o/lib", "https://h/acme/app/", "https://h/o/lib"),
        ("./lib", "https://h/acme", "https://h/acme/lib"),
        ("../lib", "git@h:acme/app.git", "git@h:acme/lib"),
        ("../../../../etc", "https://h/acme/app.git", None),
        ("../../../lib", "git@h:acme/app.git", None),
        ("../lib", None, None),
    ],
)
def test_a_relative_url(text: str, base: str | None, url: str | None) -> None:
    if url is None:
        with pytest.raises(BadUrl):
            resolved(text, base)
    else:
        assert resolved(text, base) == url


def test_what_gitmodules_says() -> None:
    said = b"submodule.a.b.path\nvendor/x\0submodule.a.b.url\nhttps://h/x\0submodule.c.path\nc\0"
    assert modules(said) == {"vendor/x": "https://h/x"}
    assert wanted(parse("https://h:8443/acme/x.git")) == "h:8443/acme"
    assert wanted(parse("https://h/x.git")) == "h"


async def test_without_the_operators_word_none_is_fetched(subject: Subject) -> None:
    library = Repository.make(subject.server.folder / "lib.git")
    with_lib(subject.repository(), subject.server.remote("lib.git"), library.commit({"lib.py": "1"}))
    tree = await subject.fetch()
    assert (contents(tree)["app"], list((tree.path / "lib").iterdir())) == ("1", [])
    assert f"CYGNI_GIT_SUBMODULES={subject.server.host}" in tree.notes[0]
    assert not [path for path, _ in subject.server.seen if "lib.git" in path]


async def test_what_is_allowed_is_in_its_place_at_its_commit(subject: Subject) -> None:
    inner = Repository.make(subject.server.folder / "inner.git")
    library = Repository.make(subject.server.folder / "lib.git")
    commit = library.commit(
        {".gitmodules": gitmodules(inner="../inner.git"), "lib.py": "1", "inner": inner.commit({"deep": "2"})},
        inner="160000",
    )
    library.commit({"lib.py": "newer"})
    sha = with_lib(subject.repository(), "../lib.git", commit)
    tree = await subject.fetch(source=subject.source(submodules=Allowed([subject.server.host])))
    files = {name: text for name, text in contents(tree).items() if not name.endswith(".gitmodules")}
    assert files == {"app": "1", "lib/lib.py": "1", "lib/inner/deep": "2"}
    assert (tree.notes, tree.commit and tree.commit.sha) == ((), sha)


async def test_a_connection_is_for_its_own_host(subject: Subject) -> None:
    (subject.folder / "other").mkdir()
    library = Repository.make(subject.folder / "other" / "lib.git")
    commit = library.commit({"lib.py": "1"})
    near = Repository.make(subject.server.folder / "near.git")
    subject.server.credentials = ("git", "a-token")
    with GitServer(subject.folder / "other").running() as other:
        subject.repository().commit(
            {
                ".gitmodules": gitmodules(lib=other.remote("lib.git"), near="../near.git"),
                "lib": commit,
                "near": near.commit({"near.py": "1"}),
            },
            lib="160000",
            near="160000",
        )
        remote = GitRemote(url=subject.server.remote("app.git"), token="a-token")
        source = subject.source(submodules=Allowed([subject.server.host, other.host]))
        tree = await subject.fetch(source=source, repository=remote)
        assert {"lib/lib.py", "near/near.py"} <= contents(tree).keys()
        assert other.seen
        assert not [headers for _, headers in other.seen if "Authorization" in headers]
        other.credentials = ("git", "a-token")
        error = await refused(subject.fetch(source=source, repository=remote))
        assert error.message.startswith("Submodule lib: ")
        assert not [headers for _, headers in other.seen if "Authorization" in headers]


async def test_what_cannot_be_had_is_said(subject: Subject) -> None:
    allowed = Allowed([subject.server.host, "10.255.0.1"])
    library = Repository.make(subject.server.folder / "lib.git")
    commit = library.commit({"lib.py": "1"})
    source = subject.source(submodules=allowed)
    repository = subject.repository()

    with_lib(repository, subject.server.remote("lib.git"), "1" * 40)
    error = await refused(subject.fetch(source=source))
    assert isinstance(error, SourceInvalid)
    assert error.message == f"Submodule lib: The repository has no commit {'1' * 12}."

    with_lib(repository, subject.server.remote("gone.git"), commit)
    assert isinstance(await refused(subject.fetch(source=source)), SourceUnavailable)

    with_lib(repository, "https://10.255.0.1/lib.git", commit)
    error = await refused(subject.fetch(source=source))
    assert error.message == "Submodule lib: The host 10.255.0.1 is not on the public internet."


@pytest.mark.parametrize(
    "url", ["file:///etc", "/etc", "ext::touch x", "--upload-pack=x", "https://u:secret@example.com/x", "../../../../x"]
)
async def test_a_url_that_leads_elsewhere_is_left_out(subject: Subject, url: str) -> None:
    with_lib(subject.repository(), url, "1" * 40)
    tree = await subject.fetch(source=subject.source(submodules=Allowed([subject.server.host, "example.com"])))
    assert "submodule lib is not fetched" in tree.notes[0]
    assert "secret" not in tree.notes[0]


async def test_one_that_gitmodules_does_not_name_is_left_out(subject: Subject) -> None:
    subject.repository().commit({"app": "1", "lib": "1" * 40}, lib="160000")
    tree = await subject.fetch()
    assert tree.notes == ("submodule lib is not fetched, its folder is empty: .gitmodules does not say where it is",)


async def test_they_end(subject: Subject) -> None:
    library = Repository.make(subject.server.folder / "lib.git")
    commit = library.commit({"lib.py": "1"})
    names = [f"lib{number}" for number in range(MAX + 1)]
    text = gitmodules(**dict.fromkeys(names, subject.server.remote("lib.git")))
    subject.repository().commit({".gitmodules": text, **dict.fromkeys(names, commit)}, **dict.fromkeys(names, "160000"))
    error = await refused(subject.fetch(source=subject.source(submodules=Allowed([subject.server.host]))))
    assert error.message == f"The repository has more than {MAX} submodules."
