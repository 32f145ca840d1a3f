"""git over HTTP (gitprotocol-http(5), the smart one), outside of /v1: `<origin>/git/<project>.git`.

Who asks and for what is settled on a connection that is given back; then bytes go both ways as they come, between the
client and git, which the worker runs in a sandbox. Errors are plain text, which git shows as `remote:` lines.
"""

import asyncio
import base64
import binascii
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Never

from cygnid.core.access import Permission
from cygnid.core.actors import Actor
from cygnid.core.changes import Subject
from cygnid.core.db import UNREACHABLE, Read, read
from cygnid.core.errors import (
    BadRequest,
    CygniError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from cygnid.core.http import Services
from cygnid.core.plans import PLANS
from cygnid.git.client import Git, GitRun
from cygnid.git.push import Push
from cygnid.resources.projects.access import environment_access, project_access
from cygnid.resources.projects.queries import ProjectRow
from cygnid.source.repository_spec import cgi

log = logging.getLogger("cygnid.git")
Service = Literal["git-upload-pack", "git-receive-pack"]
_PATH = re.compile(r"/git/(?P<project>[A-Za-z0-9_-]{1,64})\.git/(?P<path>info/refs|git-upload-pack|git-receive-pack)")
_PROTOCOL = re.compile(r"[a-z0-9=:]{1,64}")
_CHUNK_BYTES = 1 << 16
_PASSED_ON = (b"content-type", b"cache-control", b"expires", b"pragma")
_POSTS_A_LOOK = 16
"""A client looks what there is, then sends: by a fetch that negotiates, in several requests. They count as one."""
_MOST_BUCKETS = 10_000

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class _Gone(Exception):
    """The client has left, or neither sends nor takes anything any more."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a request is about, before anybody knows whether it may be."""

    project: str
    path: str
    method: Literal["GET", "POST"]
    service: Service
    headers: dict[str, str]


class GitDoor:
    """`patience_seconds`: how long a client may send or take nothing; `seconds`: how long a request may take as a
    whole, up to the deployment whose log it shows."""

    def __init__(self, services: Services, *, patience_seconds: float = 60, seconds: float = 1800) -> None:
        self._services = services
        self._patience, self._seconds = patience_seconds, seconds
        self._git = Git(services.settings.git_folder)
        self._paid = OrderedDict[str, int]()
        self._turns = _Turns()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
            except (TimeoutError, OSError) as error:
                raise _Gone from error

        try:
            await self._answer(scope, receive, watched)
        except _Gone:
            return
        except Exception as error:
            known = _known(error)
            if isinstance(known, InternalError):
                log.exception("%s %s failed, request %s", scope["method"], scope["path"], scope["state"]["request_id"])
            if begun:
                raise  # the connection breaks, which tells git
            await _refuse(scope, send, known)

    async def _answer(self, scope: Any, receive: Receive, send: Send) -> None:
        asked = _asked(scope)
        ip = scope["client"][0] if scope.get("client") else None
        async with read(self._services.pool) as reader:
            actor = await self._services.authenticate(reader, _secret(asked.headers), ip)
            self._charge(scope["state"], actor, asked)
            try:
                project = await _project(reader, actor, asked.project)
            except Forbidden as refused:
                if asked.service == "git-receive-pack":  # to fetch is to read, of which no row is made
                    subject = Subject(
                        type="project",
                        id=refused.project_id,
                        name=asked.project,
                        team_id=refused.team_id or actor.team_id,
                        project_id=refused.project_id,
                        environment=refused.environment,
                    )
                    request_id = scope["state"]["request_id"]
                    self._services.refusals.add(actor, "git.push", subject, refused, request_id)
                raise
        writes = asked.service == "git-receive-pack" and asked.method == "POST"
        variables = cgi(
            method=asked.method,
            service=asked.service,
            path=asked.path,
            headers=asked.headers,
            user=actor.id or "somebody",
        )
        run = await self._git.begin(project.id, variables, writes=writes)
        try:
            await self._converse(scope, receive, send, run, actor=actor, project=project)
        finally:
            await run.close()

    async def _converse(
        self, scope: Any, receive: Receive, send: Send, run: GitRun, *, actor: Actor, project: ProjectRow
    ) -> None:
        push: Push | None = None
        tasks: list[asyncio.Task[Any]] = []
        try:
            async with asyncio.timeout(self._seconds) as limit:
                if run.hook is not None:
                    push = Push(
                        self._services,
                        self._git,
                        actor,
                        project,
                        request_id=scope["state"]["request_id"],
                        hook=run.hook,
                        turn=self._turns.of(project.id),
                        # from here on it takes as long as the deployment, which has limits of its own
                        stored=lambda: limit.reschedule(None),
                    )
                    tasks.append(asyncio.create_task(push.converse()))
                feeding = asyncio.create_task(self._feed(receive, run))
                relaying = asyncio.create_task(_relay(run, send))
                tasks += [feeding, relaying]
                await asyncio.wait({feeding, relaying}, return_when=asyncio.FIRST_COMPLETED)
                if not relaying.done():
                    feeding.result()  # always an error: it ends by itself in no other way
                await relaying
        except TimeoutError as error:
            raise _Gone from error
        finally:
            if push is not None:
                await push.finish()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed(self, receive: Receive, run: GitRun) -> Never:
        """The body to git; then wait for the client to leave. Raises _Gone."""
        more = wanted = True
        while more:
            try:
                async with asyncio.timeout(self._patience):
                    message = await receive()
            except TimeoutError as error:
                raise _Gone from error
            if message["type"] == "http.disconnect":
                raise _Gone
            more = message.get("more_body", False)
            if wanted:
                try:
                    run.body.write(message.get("body", b""))
                    await run.body.drain()
                except OSError:
                    wanted = False  # git has said all it has to say: the rest is read for the client to hear it
        with suppress(OSError):
            run.body.write_eof()
        while (await receive())["type"] != "http.disconnect":
            pass
        raise _Gone

    def _charge(self, state: Any, actor: Actor, asked: _Asked) -> None:
        """A fetch or a push is one request to whoever counts, though it takes several. Raises RateLimited."""
        bucket = actor.bucket
        left = self._paid.get(bucket, 0)
        if asked.method == "POST" and left:
            self._paid[bucket] = left - 1
            return
        verdict = self._services.limiter.hit(bucket, PLANS[actor.plan])
        state["headers"].update(verdict.headers)
        if not verdict.allowed:
            raise RateLimited(headers={"Retry-After": str(verdict.retry_after)})
        if asked.method == "GET":
            self._paid[bucket] = _POSTS_A_LOOK
            self._paid.move_to_end(bucket)
            while len(self._paid) > _MOST_BUCKETS:
                self._paid.popitem(last=False)


class _Turns:
    """A lock for each project that is pushed to, while it is."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}

    def of(self, project_id: str) -> asyncio.Lock:
        for known in [known for known, lock in self._locks.items() if not lock.locked()]:
            if known != project_id:
                del self._locks[known]
        return self._locks.setdefault(project_id, asyncio.Lock())


async def _project(reader: Read, actor: Actor, name: str) -> ProjectRow:
    """Raises NotFound, Forbidden."""
    # to read a project's code is to be one of those who may deploy it
    needs = Permission.DEPLOYMENTS_WRITE
    if actor.environment is None:
        return (await project_access(reader, actor, name, needs)).project
    return (await environment_access(reader, actor, name, actor.environment, needs)).project


async def _relay(run: GitRun, send: Send) -> None:
    """Git's answer to the client. Raises Unavailable when there is none."""
    try:
        head = await run.answer.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
        ended = await run.ended()
        log.warning("git gave no answer: %s", ended.message)
        raise Unavailable("git gave no answer.") from error
    status, headers = _parsed(head)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while chunk := await run.answer.read(_CHUNK_BYTES):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    ended = await run.ended()
    if ended.what != "ended" or ended.out_of_memory:
        raise Unavailable("git was ended: it needed too much memory, space or time.")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _parsed(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and headers of a CGI answer (RFC 3875, 6.3), the latter as far as they are a client's business."""
    status, headers = 200, list[tuple[bytes, bytes]]()
    for line in head.strip().split(b"\r\n"):
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        if name == b"status" and value[:3].isdigit():
            status = int(value[:3])
        elif name in _PASSED_ON:
            headers.append((name, value))
    return status, headers


def _asked(scope: Any) -> _Asked:
    """Raises NotFound, MethodNotAllowed, BadRequest, UnsupportedMediaType."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    found = _PATH.fullmatch(scope["path"])
    if found is None:
        raise NotFound("There is nothing here.", hint="A project's repository is at /git/<project>.git.")
    path: Any = found["path"]
    method = "GET" if path == "info/refs" else "POST"
    if scope["method"] != method:
        raise MethodNotAllowed(headers={"Allow": method})
    query = scope["query_string"].decode("latin-1")
    if method == "GET":
        service: Any = query.removeprefix("service=")
        if service not in ("git-upload-pack", "git-receive-pack"):
            raise BadRequest("Only git's smart HTTP protocol is spoken here.", hint="Use git 1.6.6 or newer.")
    else:
        service = path
        if query:
            raise BadRequest("This takes no parameters.")
        if headers.get("content-type") != f"application/x-{service}-request":
            raise UnsupportedMediaType(hint=f"Send application/x-{service}-request.")
        if headers.get("content-encoding", "gzip") not in ("gzip", "x-gzip"):
            raise UnsupportedMediaType(hint="A body may be sent as it is, or by gzip.")
    if not _PROTOCOL.fullmatch(headers.get("git-protocol", "version=2")):
        raise BadRequest("The header Git-Protocol says nothing that is known here.")
    return _Asked(project=found["project"], path=path, method=method, service=service, headers=headers)


def _secret(headers: dict[str, str]) -> str:
    """The password of Basic authentication (RFC 7617), whatever the user's name; or a bearer. Raises Unauthorized."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        raise Unauthorized
    try:
        return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized from error


def _known(error: Exception) -> CygniError:
    if isinstance(error, CygniError):
        return error
    return Unavailable(headers={"Retry-After": "1"}) if isinstance(error, UNREACHABLE) else InternalError()


async def _refuse(scope: Any, send: Send, error: CygniError) -> None:
    hint = error.hint
    if isinstance(error, Unauthorized):
        hint = "Give a token as the password, with any user name. `cygni git remote add` sets that up."
        error.headers["WWW-Authenticate"] = 'Basic realm="Cygni", charset="UTF-8"'
    elif isinstance(error, NotFound):
        error.message = "There is no such project, or this token may not see it."
    else:
        error.headers.pop("WWW-Authenticate", None)
        if required := error.details.get("requiredScopes"):
            hint = f"It needs {', '.join(required)}: ask an owner or admin of the team, or use another token."
    text = "\n".join(part for part in (error.message, hint) if part) + "\n"
    scope["state"]["headers"].update(error.headers)
    scope["state"]["headers"]["Cache-Control"] = "no-store"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text.encode()))]
    if scope["method"] == "POST":
        headers.append((b"connection", b"close"))  # a body that nobody reads may follow
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": False})
