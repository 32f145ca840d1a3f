"""One name in every spelling. Wire names are camelCase, with brackets in a query: `createdAt[gte]`."""

import re

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+|[0-9]+")


def words(name: str) -> list[str]:
    """`createdAt[gte]` → created, at, gte; `last4` and `sha256` stay one word, as does `allowedIps`' second."""
    return [word.lower() for word in _WORD.findall(name)]


def snake(name: str) -> str:
    return "_".join(words(name))


def kebab(name: str) -> str:
    return "-".join(words(name))


def pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in words(name))


def camel(name: str) -> str:
    text = pascal(name)
    return text[:1].lower() + text[1:]


def constant(name: str) -> str:
    return snake(name).upper()


def singular(name: str) -> str:
    """Of a collection in a path: audit-logs → audit-log, processes → process, deliveries → delivery."""
    if name.endswith("ies"):
        return name[:-3] + "y"
    if name.endswith(("sses", "xes")):
        return name[:-2]
    return name.removesuffix("s")


def escaped(name: str, reserved: frozenset[str] | set[str]) -> str:
    """The name with an underscore behind it where the language keeps the word for itself."""
    return f"{name}_" if name in reserved else name
