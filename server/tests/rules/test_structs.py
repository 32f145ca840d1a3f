"""Shapes on the wire: frozen and keyword-only said again in each subclass, since msgspec inherits neither; no output
field with a default; no time without a zone."""

import ast
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

import cygnid.core.schemas
import cygnid.resources
from cygnid.core.schemas import MetaOut, Out

SERVER = Path(__file__).parents[2] / "cygnid"


def unfrozen(root: Path) -> list[str]:
    """Classes derived from a Struct without both keywords. PageQuery and its like are named by their base's name."""
    classes = {
        node.name: (file, node)
        for file in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    }

    def is_struct(name: str) -> bool:
        if name == "Struct":
            return True
        return name in classes and any(is_struct(_name(base)) for base in classes[name][1].bases)

    found: list[str] = []
    for name, (file, node) in classes.items():
        derived = [base for base in node.bases if _name(base) in classes and is_struct(_name(base))]
        said = {keyword.arg for keyword in node.keywords}
        if derived and not {"frozen", "kw_only"} <= said:
            found.append(f"{file.relative_to(root)}: {name} must say frozen=True, kw_only=True itself")
    return found


def loose(shapes: Iterable[type[msgspec.Struct]]) -> list[str]:
    found: list[str] = []
    for shape in shapes:
        if shape.__struct_defaults__ and shape is not MetaOut:
            found.append(f"{shape.__name__}: an output field has no default, an absent value is null")
        for field, hint in get_type_hints(shape, include_extras=True).items():
            if any(kind is datetime for kind in _bare(hint)):
                found.append(f"{shape.__name__}.{field}: a time on the wire is a Timestamp")
    return found


def outputs() -> Iterator[type[msgspec.Struct]]:
    for module in pkgutil.walk_packages(cygnid.resources.__path__, "cygnid.resources."):
        if module.name.endswith(".schemas"):
            importlib.import_module(module.name)
    waiting = list(Out.__subclasses__())
    while waiting:
        shape = waiting.pop()
        yield shape
        waiting.extend(shape.__subclasses__())


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _bare(hint: Any) -> Iterator[Any]:
    """The types in a hint that stand there without Annotated around them."""
    if hasattr(hint, "__metadata__"):
        return
    if get_origin(hint) is None:
        yield hint
    for inner in get_args(hint):
        yield from _bare(inner)


def test_every_struct_says_it_is_frozen_and_keyword_only() -> None:
    assert not unfrozen(SERVER)


def test_outputs_are_complete_and_have_time_zones() -> None:
    assert not loose(outputs())


def test_a_forgotten_keyword_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "class Base(msgspec.Struct, frozen=True): pass\nclass Child(Base, frozen=True): pass\nclass Other(dict): pass\n"
    )
    assert [line.split()[1] for line in unfrozen(tmp_path)] == ["Child"]


def test_a_default_and_a_bare_time_are_found() -> None:
    class Bad(msgspec.Struct, kw_only=True):
        at: datetime | None
        size: int = 1

    assert len(loose([Bad])) == 2
