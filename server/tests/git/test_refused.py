"""What the door does not open for, and what git does not take."""

import asyncio
import base64
import os
import socket
import struct
import zlib
from collections.abc import AsyncGenerator
from hashlib import sha1
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cygnid.core.front import Front
from cygnid.git.door import GitDoor
from cygnid.sandbox.launch import Sandbox
from cygnid.source.repository_spec import RepositoryLimits
from tests.git.harness import Door, opened
from tests.make.api import Api
from tests.make.stage import LIMIT, until
from tests.sandbox.harness import some_uid

ZERO = "0" * 40
NEW = "report-status side-band-64k agent=test"


@pytest.fixture
async def project(door: Door) -> Any:
    door.api.app.stopping.set()  # nobody deploys here
    return (await (await door.api.owner()).request("POST", "/projects", json={"name": "shop"})).data


async def asked(door: Door, path: str, token: str | None = None, **options: Any) -> httpx2.Response:
    method = options.pop("method", "GET")
    headers = options.pop("headers", {})
    if token is not None:
        headers = {**headers, "Authorization": "Basic " + base64.b64encode(f"any:{token}".encode()).decode()}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", timeout=LIMIT) as client:
        return await client.request(method, path, headers=headers, **options)


LOOK = "/git/{}.git/info/refs?service=git-receive-pack"


async def test_a_token_is_the_password_and_nothing_else_is_let_in(door: Door, project: Any) -> None:
    token = await door.api.token(door.api.owner_id)
    nobody = await asked(door, LOOK.format("shop"))
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"].startswith('Basic realm="Cygni"')
    assert nobody.headers["x-request-id"]
    assert (await asked(door, LOOK.format("shop"), token[:-1] + "x")).status_code == 401
    assert (await asked(door, LOOK.format("shop"), token)).status_code == 200
    broken = await asked(door, LOOK.format("shop"), headers={"Authorization": "Basic %%%"})
    assert broken.status_code == 401
    await door.execute("UPDATE tokens SET expires_at = now() - interval '1 hour'")
    expired = await asked(door, LOOK.format("shop"), token)
    assert (expired.status_code, "expired" in expired.text) == (401, True)


async def test_other_teams_and_unknown_projects_are_alike(door: Door, project: Any) -> None:
    token = await door.api.token(door.api.outsider_id)
    answers = [await asked(door, LOOK.format(name), token) for name in ("shop", project["id"], "unknown")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert not list(door.api.settings.repositories_folder.iterdir()), "looking makes no repository"


async def test_who_may_only_read_may_neither_push_nor_fetch(door: Door, project: Any) -> None:
    token = await door.api.token(door.api.owner_id, ("projects:read", "deployments:read"))
    for service in ("git-receive-pack", "git-upload-pack"):
        refused = await asked(door, f"/git/shop.git/info/refs?service={service}", token)
        assert refused.status_code == 403
        assert "deployments:write" in refused.text


async def test_a_token_of_one_environment_pushes_what_that_follows_and_nothing_else(door: Door, project: Any) -> None:
    owner = await door.api.owner()
    await owner.request("POST", "/projects/shop/environments", json={"name": "stage", "branch": "stage"})
    body = {
        "kind": "deploy",
        "name": "ci",
        "scopes": ["deployments:write"],
        "projectId": "shop",
        "environment": "stage",
    }
    token = (await owner.request("POST", "/tokens", json=body)).data["secret"]
    work = await door.clone_of({"a": "1"})
    for refs in (["main"], ["main:other"], ["main:stage", "main"]):
        refused = await door.git("push", door.url(token=token), *refs, cwd=work, check=False)
        assert refused.code != 0
        assert "A deploy token acts in its own project and environment only." in refused.said
    assert await door.refs(project["id"]) == {}
    assert await door.value("SELECT count(*) FROM repository_pushes") == 0
    await door.git("push", door.url(token=token), "main:stage", cwd=work)
    assert list(await door.refs(project["id"])) == ["refs/heads/stage"]
    # of another project of the team
    await owner.request("POST", "/projects", json={"name": "blog"})
    assert (await asked(door, LOOK.format("blog"), token)).status_code in (403, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/git/",
        "/git/shop.git",
        "/git/shop.git/HEAD",
        "/git/shop.git/config",
        "/git/shop.git/objects/info/packs",
        "/git/../shop.git/info/refs?service=git-receive-pack",
        "/git/shop.git/../shop.git/info/refs?service=git-receive-pack",
        "/git/%2e%2e/shop.git/info/refs?service=git-receive-pack",
        "/git/shop%2f..%2fblog.git/info/refs?service=git-receive-pack",
        "/git/shop.git%00/info/refs?service=git-receive-pack",
        "/git/shop.git//info/refs?service=git-receive-pack",
        "/git/-x.git/info/refs?service=git-receive-pack",
    ],
)
async def test_no_other_path_leads_anywhere(door: Door, project: Any, path: str) -> None:
    token = await door.api.token(door.api.owner_id)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    login = base64.b64encode(f"x:{token}".encode()).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nConnection: close\r\n\r\n".encode()
    )
    status = int((await asyncio.wait_for(reader.read(), LIMIT)).split(b" ")[1])
    writer.close()
    assert status in (400, 404)


async def test_what_is_no_request_of_git_is_refused(door: Door, project: Any) -> None:
    token = await door.api.token(door.api.owner_id)
    push = "/git/shop.git/git-receive-pack"
    kind = {"Content-Type": "application/x-git-receive-pack-request"}
    assert (await asked(door, "/git/shop.git/info/refs", token)).status_code == 400
    assert (await asked(door, "/git/shop.git/info/refs?service=git-upload-archive", token)).status_code == 400
    assert (await asked(door, LOOK.format("shop"), token, method="POST")).status_code == 405
    assert (await asked(door, push, token)).status_code == 405
    assert (await asked(door, push, token, method="POST", content=b"0000")).status_code == 415
    bad = {**kind, "Content-Encoding": "br"}
    assert (await asked(door, push, token, method="POST", headers=bad, content=b"")).status_code == 415
    protocol = {"Git-Protocol": "version=2; rm -rf /"}
    assert (await asked(door, LOOK.format("shop"), token, headers=protocol)).status_code == 400
    probe = await asked(door, push, token, method="POST", headers=kind, content=b"0000")
    assert probe.status_code == 200


def packet(text: bytes) -> bytes:
    return b"%04x" % (len(text) + 4) + text


def pack(*objects: tuple[int, bytes]) -> bytes:
    """A pack (gitformat-pack(5)) of small objects by type: 1 commit, 2 tree, 3 blob."""
    data = b"PACK" + struct.pack(">II", 2, len(objects))
    for kind, content in objects:
        size = len(content)
        first, size = (kind << 4) | (size & 15), size >> 4
        head = bytearray()
        while size:
            head.append(first | 128)
            first, size = size & 127, size >> 7
        head.append(first)
        data += bytes(head) + zlib.compress(content)
    return data + sha1(data).digest()


def named(kind: bytes, content: bytes) -> str:
    return sha1(kind + b" %d\0" % len(content) + content).hexdigest()


def commit_of(tree: bytes) -> tuple[str, bytes]:
    """A commit of a tree, and a pack of both with one blob."""
    who = b"Ada <ada@example.com> 1700000000 +0000"
    content = b"tree " + named(b"tree", tree).encode() + b"\nauthor " + who + b"\ncommitter " + who + b"\n\nx\n"
    return named(b"commit", content), pack((3, b"x"), (2, tree), (1, content))


async def send(door: Door, sha: str, packed: bytes, ref: str = "refs/heads/main") -> httpx2.Response:
    token = await door.api.token(door.api.owner_id)
    body = packet(f"{ZERO} {sha} {ref}\0{NEW}".encode()) + b"0000" + packed
    kind = {"Content-Type": "application/x-git-receive-pack-request"}
    return await asked(door, "/git/shop.git/git-receive-pack", token, method="POST", headers=kind, content=body)


BLOB = bytes.fromhex(named(b"blob", b"x"))


async def test_a_whole_push_by_hand_is_taken(door: Door, project: Any) -> None:
    """So that what the next test sends is refused for the reason it means."""
    sha, packed = commit_of(b"100644 a\0" + BLOB)
    assert b"ok refs/heads/main" in (await send(door, sha, packed)).content
    assert await door.refs(project["id"]) == {"refs/heads/main": sha}


@pytest.mark.parametrize(
    "tree",
    [
        b"40000 .git\0" + bytes.fromhex(named(b"tree", b"")),
        b"100644 ..\0" + BLOB,
        b"100644 a/b\0" + BLOB,
        b"100644 a\0" + BLOB + b"100644 a\0" + BLOB,
        b"120000 .gitmodules\0" + BLOB,
    ],
    ids=["dot-git", "dot-dot", "path", "twice", "linked-gitmodules"],
)
async def test_trees_that_would_harm_a_checkout_are_refused(door: Door, project: Any, tree: bytes) -> None:
    sha, packed = commit_of(tree)
    answer = await send(door, sha, packed)
    assert b"unpack ok" not in answer.content
    assert await door.refs(project["id"]) == {}
    assert await door.value("SELECT count(*) FROM changes WHERE type = 'repository.pushed'") == 0


async def test_broken_packs_store_nothing(door: Door, project: Any) -> None:
    sha, packed = commit_of(b"100644 a\0" + BLOB)
    for broken in (
        packed[:-30],
        packed[:20] + b"xxxx" + packed[24:],
        b"PACK",
        b"",
        packed[:8] + b"\xff" * 4 + packed[12:],
    ):
        answer = await send(door, sha, broken)
        assert b"ok refs/heads/main" not in answer.content
    incomplete = await send(door, "1" * 40, packed)
    assert b"ok refs/heads/main" not in incomplete.content
    assert await door.refs(project["id"]) == {}


@pytest.mark.parametrize("ref", ["refs/notes/x", "refs/cygni/x", "refs/heads/../x", "HEAD", "refs/heads/x.lock"])
async def test_only_branches_and_tags_can_be_pushed(door: Door, project: Any, ref: str) -> None:
    sha, packed = commit_of(b"100644 a\0" + BLOB)
    answer = await send(door, sha, packed, ref)
    assert f"ok {ref}".encode() not in answer.content
    assert await door.refs(project["id"]) == {}


async def test_links_submodules_and_large_file_pointers_are_stored_as_they_are(door: Door, project: Any) -> None:
    """What may become of them is decided when the commit becomes a tree."""
    work = await door.clone_of({"big.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"})
    (work / "link").symlink_to("/etc/passwd")
    await door.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module", cwd=work)
    sha = await door.commit(work, {})
    await door.git("push", door.url(token=await door.api.token(door.api.owner_id)), "main", cwd=work)
    assert await door.refs(project["id"]) == {"refs/heads/main": sha}


async def test_an_empty_repository_has_nothing_to_push(door: Door, project: Any) -> None:
    url = door.url(token=await door.api.token(door.api.owner_id))
    await door.git("init", "--quiet", "--initial-branch=main", "empty")
    refused = await door.git("push", url, "main", cwd=door.folder / "empty", check=False)
    assert (refused.code != 0, "src refspec main does not match any" in refused.said) == (True, True)
    cloned = await door.git("clone", url, "cloned")
    assert "empty repository" in cloned.said


async def test_git_sees_its_repository_and_can_change_neither_configuration_nor_hooks(door: Door, project: Any) -> None:
    work = await door.clone_of({"a": "1"})
    await door.git("push", door.url(token=await door.api.token(door.api.owner_id)), "main", cwd=work)
    repository = door.repositories.path(project["id"])
    hook = repository / "hooks" / "post-receive"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\ntouch /repository.git/ran\n")
    hook.chmod(0o755)
    with (repository / "config").open("a") as config:
        config.write("[core]\n\thooksPath = /repository.git/hooks\n[receive]\n\tfsckObjects = false\n")
    sha, packed = commit_of(b"100644 ..\0" + BLOB)
    assert b"ok refs/heads/bad" not in (await send(door, sha, packed, "refs/heads/bad")).content
    await door.commit(work, {"a": "2"})
    await door.git("push", door.url(token=await door.api.token(door.api.owner_id)), "main", cwd=work)
    assert not (repository / "ran").exists()


@pytest.fixture
async def small(api: Api, sandbox: Sandbox, open_folder: Path) -> AsyncGenerator[Door]:
    """Little room, and little patience."""

    front: Any = vars(api.app)["_beside"]["git"]
    services = vars(vars(front)["_app"])["_services"]
    hasty = Front(GitDoor(services, patience_seconds=1.5))  # type: ignore[arg-type]
    limits = RepositoryLimits(push_bytes=200_000, repository_bytes=500_000)
    async with opened(api, sandbox, open_folder, uid=some_uid(), limits=limits, app=hasty) as made:
        api.app.stopping.set()
        await (await api.owner()).request("POST", "/projects", json={"name": "shop"})
        yield made


async def test_a_pack_that_is_too_large_and_a_repository_that_is_full_are_refused(small: Door) -> None:
    url = small.url(token=await small.api.token(small.api.owner_id))
    work = await small.clone_of({"a": "1"})
    (work / "large").write_bytes(os.urandom(300_000))
    await small.commit(work, {})
    refused = await small.git("push", url, "main", cwd=work, check=False)
    assert (refused.code != 0, "exceeds maximum allowed size" in refused.said) == (True, True)
    other = await small.clone_of({"a": "1"}, name="other")
    said = ""
    for number in range(5):
        (other / f"part{number}").write_bytes(os.urandom(140_000))
        await small.commit(other, {})
        ran = await small.git("push", url, "HEAD:main", cwd=other, check=False)
        if ran.code != 0:
            said = ran.said
            break
    assert "413" in said or "exceeds maximum allowed size" in said


async def test_a_client_that_stalls_is_cut_and_nothing_of_it_goes_on(small: Door) -> None:
    token = await small.api.token(small.api.owner_id)
    login = base64.b64encode(f"x:{token}".encode()).decode()
    with socket.create_connection(("127.0.0.1", small.port)) as slow:
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        head = (
            f"POST /git/shop.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n"
            "Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 1000000\r\n\r\n"
        )
        sha, packed = commit_of(b"100644 a\0" + BLOB)
        await loop.sock_sendall(slow, head.encode() + packet(f"{ZERO} {sha} refs/heads/main\0{NEW}".encode()))
        await loop.sock_sendall(slow, b"0000" + packed[:20])
        async with asyncio.timeout(LIMIT):
            while await loop.sock_recv(slow, 65536):
                pass

    def gone() -> bool:
        return not [path for path in small.api.settings.git_folder.glob("of-*/*") if path.is_dir()]

    await until(gone)
    repository = next(small.api.settings.repositories_folder.iterdir())
    assert not list(repository.glob("objects/tmp_objdir-*")), "what came by halves is gone"


async def test_without_a_worker_it_says_so(door: Door, project: Any) -> None:
    (door.api.settings.git_folder / "git.socket").unlink()
    away = await asked(door, LOOK.format("shop"), await door.api.token(door.api.owner_id))
    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
    assert "worker" in away.text
