"""Compiles an app's modules, run inside of a build: `python -I -S -c <this text> FOLDER NAME...`; folders of these
names are left alone. By whatever Python the app has, so it holds to what 3.9 knows and to documented interfaces
(PEP 552), and imports little: `compileall` takes twice as long before it reads its first file."""

import importlib.util
import marshal
import os
import sys

UNCHECKED_HASH = b"\1\0\0\0"


def main() -> None:
    root, *leave_out = sys.argv[1:]
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in leave_out]
        for name in names:
            if name.endswith(".py"):
                compile_file(os.path.join(folder, name))


def compile_file(path: str) -> None:
    """A file that is no Python of this version stays as it is."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, path, "exec", dont_inherit=True)
        target = importlib.util.cache_from_source(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source))
            marshal.dump(code, file)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return


if __name__ == "__main__":
    main()
