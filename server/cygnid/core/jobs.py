"""Work on many things side by side, each thing's jobs one after the other: what slow ones must not hold up."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

log = logging.getLogger("cygnid.jobs")


class Jobs:
    """The jobs of one reconciler while it runs; those that are left at the end are cancelled.

    `wake` is set whenever a job has ended. A job that raises one of `fatal` ends the whole run; any other failure is
    logged, and its thing left alone for `retry_seconds`.
    """

    def __init__(self, wake: asyncio.Event, *, fatal: tuple[type[Exception], ...], retry_seconds: float = 5) -> None:
        self._wake = wake
        self._fatal = fatal
        self._retry = retry_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: Exception | None = None

    @property
    def busy(self) -> frozenset[str]:
        """The things that are worked on."""
        return frozenset(self._tasks)

    def start(self, thing: str, job: Callable[[], Awaitable[None]]) -> None:
        """Nothing may be under way on this thing."""
        assert thing not in self._tasks, thing
        self._tasks[thing] = asyncio.create_task(self._run(thing, job), name=thing)

    async def look_until_calm(self, look: Callable[[], Awaitable[float | None]]) -> None:
        """Look, again whenever `wake` is set, until nothing is under way and `look` waits for nothing.

        `look` starts jobs and answers in how many seconds it must be called at the latest; None: not of itself. What it
        read of things that were `busy` before it read is older than what is done to them. Looks take half of the time
        at most.
        """
        while True:
            self._wake.clear()
            began = time.monotonic()
            pause = await look()
            await asyncio.sleep(time.monotonic() - began)
            if self._failed is not None:
                raise self._failed
            if pause is None and not self._tasks and not self._wake.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = list(self._tasks.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _run(self, thing: str, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except self._fatal as error:
            self._failed = error
        except Exception:
            log.exception("the work on %s failed and is done again", thing)
            await asyncio.sleep(self._retry)
        finally:
            del self._tasks[thing]
            self._wake.set()
