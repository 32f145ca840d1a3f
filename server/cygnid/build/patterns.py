"""Which of a repository's paths a list of patterns names: those of gitignore(5), from the repository's top."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence

MOST = 100
LONGEST = 1024
_ANY = "**"


def problem(pattern: str) -> str:
    """What is wrong with a pattern, or ""."""
    parts = pattern.removeprefix("!").split("/")
    if not pattern.removeprefix("!").strip() or not pattern.isprintable():
        return "must be one line, not empty"
    if len(pattern) > LONGEST:
        return f"must have at most {LONGEST} characters"
    return "must not leave the repository" if ".." in parts else ""


def first_match(patterns: Sequence[str], paths: Iterable[str]) -> str | None:
    """The first that `matches` finds."""
    return next(matches(patterns, paths), None)


def matches(patterns: Sequence[str], paths: Iterable[str]) -> Iterator[str]:
    """Those of the paths of files that the patterns name. Of those that match, the last decides; one that begins
    with `!` takes away, and where the list begins with one, everything is named beforehand."""
    rules = [_Rule(pattern) for pattern in patterns]
    before = bool(rules) and rules[0].takes_away
    for path in paths:
        parts = path.split("/")
        deciding = next((rule for rule in reversed(rules) if rule.matches(parts)), None)
        if before if deciding is None else not deciding.takes_away:
            yield path


class _Rule:
    """A pattern without a slash, but at its end, is of any depth; what names a folder names all that is in it; one that
    ends with a slash names no file."""

    def __init__(self, pattern: str) -> None:
        self.takes_away = pattern.startswith("!")
        text = pattern.removeprefix("!")
        is_folder = text.endswith(("/", f"/{_ANY}"))
        words = [word for word in text.split("/") if word not in ("", ".")]
        if words[-1:] == [_ANY]:
            words.pop()
        anywhere = "/" not in text.rstrip("/")
        words = [*([_ANY] if anywhere else []), *words, *(["*"] if is_folder and words else []), _ANY]
        self._words = [None if word == _ANY else _compiled(word) for word in words]

    def matches(self, parts: Sequence[str]) -> bool:
        """Steps back to the last `**` only, which is enough: what came before it fits already. So no list of patterns
        takes long."""
        words = self._words
        at, word, star, after = 0, 0, -1, 0
        while at < len(parts):
            expected = words[word] if word < len(words) else None
            if word < len(words) and expected is None:
                star, after = word, at
                word += 1
            elif expected is not None and expected.match(parts[at]):
                word, at = word + 1, at + 1
            elif star >= 0:
                after += 1
                word, at = star + 1, after
            else:
                return False
        return all(rest is None for rest in words[word:])


def _compiled(word: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(word.replace("[^", "[!")))
