"""The trees of submodules, fetched into the repository that names them and put in their places there.

So one tree is listed, limited and unpacked by the rules of every other, and has one digest.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from cygnid.source import git_command as command
from cygnid.source import git_submodules as submodules
from cygnid.source.base import GitRemote, SourceInvalid, SourceUnavailable
from cygnid.source.git_submodules import Allowed, Submodule
from cygnid.source.git_url import BadUrl, GitUrl, parse
from cygnid.source.git_work import Work

_MODULES_BYTES = 1 << 20


class Entry(NamedTuple):
    """One of a tree."""

    mode: str
    size: int
    path: str
    sha: str

    @property
    def is_submodule(self) -> bool:
        return self.mode == "160000"


class Grafting:
    """`connect` makes work of the same folder that fetches from another repository, `fetch` fetches a commit by it and
    `listing` lists a tree; each raises SourceInvalid and SourceUnavailable."""

    def __init__(
        self,
        work: Work,
        allowed: Allowed,
        *,
        connect: Callable[[Work, GitRemote], Awaitable[Work]],
        fetch: Callable[[Work, str], Awaitable[str]],
        listing: Callable[[Work, str], Awaitable[Sequence[Entry]]],
    ) -> None:
        self._work = work
        self._allowed = allowed
        self._connect, self._fetch, self._listing = connect, fetch, listing
        self.notes: list[str] = []
        """What was left out, and how to have it."""

    async def graft(self, tree: str, listing: Sequence[Entry]) -> tuple[str, Sequence[Entry]]:
        """The tree with all submodules that are allowed, and what it holds. Raises SourceInvalid when one that is
        allowed cannot be fetched, SourceUnavailable."""
        base = self._work.remote.url if self._work.remote else None
        todo = [Submodule(path=e.path, commit=e.sha, base=base, below="", depth=1) for e in listing if e.is_submodule]
        count = 0
        while todo:
            module = todo.pop(0)
            url = await self._url(tree, module)
            if url is None:
                continue
            count += 1
            if count > submodules.MAX:
                raise SourceInvalid(f"The repository has more than {submodules.MAX} submodules.")
            tree = await self._placed(tree, module, url)
            listing = await self._listing(self._work, tree)
            below = f"{module.path}/"
            todo += [
                Submodule(path=e.path, commit=e.sha, base=url, below=below, depth=module.depth + 1)
                for e in listing
                if e.is_submodule and e.path.startswith(below)
            ]
        return tree, listing

    async def _url(self, tree: str, module: Submodule) -> str | None:
        """Where it is fetched from; None, and a note, when it is not."""
        said = await self._work.run(*submodules.list_modules(tree, module.below), limit=_MODULES_BYTES)
        text = submodules.modules(said.output).get(module.path.removeprefix(module.below))
        if text is None:
            self._leave(module, f"{module.below}.gitmodules does not say where it is")
            return None
        try:
            url = submodules.resolved(text, module.base)
            parsed = parse(url)
        except BadUrl as bad:
            self._leave(module, f"its URL cannot be used: {bad}")
            return None
        if module.depth > submodules.MAX_DEPTH:
            self._leave(module, f"it is nested deeper than {submodules.MAX_DEPTH}")
            return None
        if not self._allowed.allows(parsed):
            way = f"CYGNI_GIT_SUBMODULES={submodules.wanted(parsed)}" if parsed.scheme != "file" else ""
            hint = f"; whoever runs this installation can allow it: {way}" if way else ""
            self._leave(module, f"{command.cleaned(url)} is not allowed{hint}")
            return None
        return url

    def _leave(self, module: Submodule, why: str) -> None:
        self.notes.append(f"submodule {command.cleaned(module.path)} is not fetched, its folder is empty: {why}")

    async def _placed(self, tree: str, module: Submodule, url: str) -> str:
        try:
            work = await self._connect(self._work, _remote(self._work, url))
            await self._fetch(work, module.commit)
        except SourceInvalid as error:
            raise SourceInvalid(_named(module, error.message), hint=error.hint) from error
        except SourceUnavailable as error:
            raise SourceUnavailable(_named(module, error.message), hint=error.hint) from error
        for words in submodules.grafted(tree, module.path, module.commit):
            await self._must(module, *words)
        return await self._must(module, *submodules.WRITE_TREE)

    async def _must(self, module: Submodule, *words: str) -> str:
        said = await self._work.run(*words)
        if said.code != 0:
            raise SourceInvalid(_named(module, "Its files cannot be read."), hint=command.cleaned(said.errors))
        return said.output.decode().strip()


def _named(module: Submodule, message: str) -> str:
    return f"Submodule {command.cleaned(module.path)}: {message}"


def _remote(work: Work, url: str) -> GitRemote:
    """With the credentials of the repository that is deployed, where the host is the same; they go to no other."""
    own = work.remote
    if own is None or _door(parse(own.url)) != _door(parse(url)):
        return GitRemote(url=url)
    return replace(own, url=url)


def _door(url: GitUrl) -> tuple[str, str, str | None]:
    return url.scheme, url.authority, url.user
