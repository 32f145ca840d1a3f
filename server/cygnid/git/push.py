"""A push as its hooks tell of it: may these refs change? they have; and what follows, told to who pushed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from cygnid.core.access import BOUND
from cygnid.core.actors import Actor
from cygnid.core.db import begin, read
from cygnid.core.errors import CygniError, Unavailable
from cygnid.core.http import Services
from cygnid.git.client import Git
from cygnid.git.story import tell
from cygnid.resources.deployments import pushes
from cygnid.resources.deployments.pushes import Outcome
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.queries import ProjectRow
from cygnid.resources.repositories import actions
from cygnid.resources.repositories.schemas import RefUpdate

log = logging.getLogger("cygnid.git")
MOST_UPDATES = 1000
"""Refs in one push."""
_NAME_CHARACTERS = 255
Hook = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Refused(Exception):
    """Nothing of the push is stored; the message is for people."""


class Push:
    """`turn` is held from before git stores the push until note is taken of it, so that pushes to a project are taken
    note of in the order in which they were stored. `stored` is called once that is done."""

    def __init__(
        self,
        services: Services,
        git: Git,
        actor: Actor,
        project: ProjectRow,
        *,
        request_id: str,
        hook: Hook,
        turn: asyncio.Lock,
        stored: Callable[[], None],
    ) -> None:
        self._services, self._git, self._actor, self._project = services, git, actor, project
        self._request_id, self._turn, self._stored = request_id, turn, stored
        self._reader, self._writer = hook
        self._has_turn = False
        self._push_id: str | None = None
        self._noting: asyncio.Task[list[Outcome] | None] | None = None

    async def converse(self) -> None:
        """Answer both hooks; returns when git has no more of them."""
        try:
            while (asked := await self._asked()) is not None:
                name, updates = asked
                try:
                    answer = self._before if name == "pre-receive" else self._after
                    await answer(updates)
                    await self._write(b"0\n")
                except _Refused as refused:
                    await self.say(*str(refused).splitlines())
                    await self._write(b"1\n")
        except (ConnectionResetError, BrokenPipeError):
            return  # whoever pushed has left
        except Exception:
            log.exception("a push to %s was not answered, request %s", self._project.id, self._request_id)
            with suppress(OSError):
                await self.say("Something failed on our side. What git has stored will be deployed by itself.")
                await self._write(b"1\n")

    async def finish(self) -> None:
        """What was begun in the database is brought to its end, though nobody may wait for it any more."""
        if self._noting is not None:
            await asyncio.wait({self._noting})
        self._give_turn()

    async def say(self, *lines: str) -> None:
        """Lines that git shows as `remote:`. Raises OSError when nobody listens."""
        await self._write("".join(f" {_shown(line)}\n" for line in lines).encode())

    async def _asked(self) -> tuple[str, list[RefUpdate]] | None:
        """The hook's name and its lines; None: git has ended."""
        name = (await self._reader.readline()).decode().strip()
        updates: list[RefUpdate] = []
        while line := (await self._reader.readline()).decode("utf-8", "replace").rstrip("\n"):
            if len(updates) <= MOST_UPDATES:
                old, new, ref = line.split(" ", 2)
                updates.append(RefUpdate(name=ref, old=old, new=new))
        return (name, updates) if name else None

    async def _before(self, updates: list[RefUpdate]) -> None:
        """Raises _Refused."""
        if len(updates) > MOST_UPDATES:
            raise _Refused(f"At most {MOST_UPDATES} branches and tags are taken in one push.")
        if long := next((each.name for each in updates if len(each.name) > _NAME_CHARACTERS), None):
            raise _Refused(f"{long[:40]}… is longer than {_NAME_CHARACTERS} characters.")
        await self._turn.acquire()
        self._has_turn = True
        try:
            async with begin(self._services.pool) as tx:
                if self._actor.environment is not None:
                    environment = await projects.environment(tx, self._project.id, self._actor.environment)
                    branch = environment and self._project.followed(environment)
                    if other := next((each for each in updates if each.branch is None or each.branch != branch), None):
                        raise _Refused(
                            f"{other.name}: {BOUND}\n{self._actor.environment} follows {branch or 'no branch'}."
                        )
                self._push_id = await actions.begin_push(
                    tx, self._actor, self._project, updates, request_id=self._request_id
                )
        except CygniError as error:
            raise _Refused("\n".join(part for part in (error.message, error.hint) if part)) from error

    async def _after(self, updates: list[RefUpdate]) -> None:
        self._noting = asyncio.create_task(self._note(updates))
        outcomes = await asyncio.shield(self._noting)
        self._give_turn()
        self._stored()
        if outcomes is None:
            await self.say("What it deploys is shown by `cygni deployments`.")
            return
        await tell(self._services, self._project, outcomes, self.say)

    async def _note(self, updates: list[RefUpdate]) -> list[Outcome] | None:
        """None: it took so long that somebody else took note of it."""
        assert self._push_id is not None, "git asks before it stores"
        async with read(self._services.pool) as reader:
            wanted = await pushes.wanted(reader, self._project, updates)
        commits = {}
        for sha in dict.fromkeys(wanted):
            with suppress(Unavailable):  # it is told of again when it is built
                if told := await self._git.commit(self._project.id, sha):
                    commits[sha] = pushes.commit_of(told)
        async with begin(self._services.pool) as tx:
            push = await actions.take_push(tx, self._push_id)
            return None if push is None else await pushes.take_note(tx, push, updates, commits)

    def _give_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turn.release()

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def _shown(line: str) -> str:
    """Without what would move a terminal's cursor."""
    return "".join(character for character in line if character >= " " or character == "\t")
