"""Python: where the application object is. Modules are parsed, never imported."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cygnid.build.detect.files import Files

MODULES = ("wsgi", "asgi", "app", "main", "application", "server", "api", "run", "web")
_CLASSES: Mapping[str, tuple[str, bool]] = {  # class → (framework, is it ASGI)
    "Flask": ("flask", False),
    "APIFlask": ("flask", False),
    "Dash": ("dash", False),
    "Bottle": ("bottle", False),
    "FastAPI": ("fastapi", True),
    "Starlette": ("starlette", True),
    "Litestar": ("litestar", True),
    "Quart": ("quart", True),
    "FastHTML": ("fasthtml", True),
    "BlackSheep": ("blacksheep", True),
}
ASGI = frozenset(framework for framework, is_asgi in _CLASSES.values() if is_asgi)
_FACTORIES = ("create_app", "make_app", "build_app", "get_app")
_NO_APP = frozenset({"tests", "test", "docs", "migrations", "scripts", "venv", "env", "node_modules", "static"})
_MOST_BYTES = 256 << 10
_MOST_FOLDERS = 30


@dataclass(frozen=True, kw_only=True)
class Application:
    target: str
    """`module:variable`, or `module:function` of a factory."""
    framework: str | None
    is_factory: bool = False
    folder: str = ""
    """To be on the module path, where it is not the top."""
    path: str
    """Of the file it is in."""


def find(files: Files, framework: str | None) -> Application | None:
    """The first that a module with a usual name has, at the top and then one folder below. `framework` is what the
    dependencies say; it stands for an object of which the file does not show what it is."""
    for path, module, folder in _modules(files):
        text = files.read(path)
        if text is None or len(text) > _MOST_BYTES:
            continue
        found = _in_module(text)
        if found:
            name, is_factory, of = found
            if of is None and framework is None:
                continue
            own = "" if folder and re.search(rf"^\s*(from|import)\s+{folder}\b", text, re.MULTILINE) else folder
            own = "" if re.search(r"^\s*from\s+\.", text, re.MULTILINE) else own
            target = f"{folder}.{module}" if folder and not own else module
            return Application(
                target=f"{target.removesuffix('.__init__')}:{name}",
                framework=of or framework,
                is_factory=is_factory,
                folder=own,
                path=path,
            )
    return None


def _modules(files: Files) -> Iterator[tuple[str, str, str]]:
    """(path, module, folder)."""
    names = files.names()
    for module in MODULES:
        if f"{module}.py" in names:
            yield f"{module}.py", module, ""
    folders = [name for name in names if re.fullmatch(r"[A-Za-z_]\w*", name) and name not in _NO_APP]
    for folder in sorted(folders[:_MOST_FOLDERS], key=lambda name: name not in ("app", "src")):
        below = files.names(folder)
        # a package is imported as such; of any other folder, what is in it
        package = "__init__.py" in below or folder == "app"
        for module in (*MODULES, *(("__init__",) if package else ())):
            if f"{module}.py" in below:
                yield f"{folder}/{module}.py", f"{folder}.{module}" if package else module, "" if package else folder


def _in_module(text: str) -> tuple[str, bool, str | None] | None:
    """(name, is it a factory, framework) of the application that a module has."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _by_words(text)
    made: list[tuple[str, bool, str | None]] = []
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = node.value
            of = _class_of(value)
            for target in targets:
                if isinstance(target, ast.Name) and value is not None:
                    if of == "dash":
                        continue  # what serves it is its `server`
                    if of or target.id in ("app", "application"):
                        made.append((target.id, False, of))
                    elif target.id == "server" and isinstance(value, ast.Attribute) and value.attr == "server":
                        made.append((target.id, False, "dash"))
        elif isinstance(node, ast.ImportFrom):
            names = [alias.asname or alias.name for alias in node.names]
            made += [(name, False, None) for name in names if name in ("app", "application")]
        elif isinstance(node, ast.FunctionDef) and node.name in _FACTORIES and not _asks(node.args):
            inner = [_class_of(part) for part in ast.walk(node) if isinstance(part, ast.Call)]
            made.append((node.name, True, next((of for of in inner if of), None)))
    # an object before a factory, one of a known class before any other, the usual name before others
    made.sort(key=lambda each: (each[1], each[2] is None, each[0] not in ("app", "application")))
    return made[0] if made else None


def _class_of(value: ast.AST | None) -> str | None:
    if not isinstance(value, ast.Call):
        return None
    function = value.func
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    return _CLASSES[name][0] if name in _CLASSES else None


def _asks(arguments: ast.arguments) -> bool:
    """Whether a function cannot be called without arguments."""
    positional = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return positional > 0 or any(default is None for default in arguments.kw_defaults)


def _by_words(text: str) -> tuple[str, bool, str | None] | None:
    """Of a module that this Python cannot parse, since it is written for another one."""
    found = re.search(r"^(app|application)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(\w+)", text, re.MULTILINE)
    return (found[1], False, _CLASSES[found[2]][0] if found[2] in _CLASSES else None) if found else None
