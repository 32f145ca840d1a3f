"""How much is in a folder, and emptying one."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

ErrorInfo = tuple[type[BaseException], BaseException, TracebackType]


def used_bytes(folders: Iterable[str]) -> int:
    """Allocated bytes below the folders, links not followed; what vanishes meanwhile counts nothing. What is nested
    deeper than a path can name counts as more than any limit: else it would be where to write without one."""
    total = 0
    pending = list(folders)
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                    except FileNotFoundError:
                        continue
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # gone meanwhile; as an ordinary user, also closed by the sandbox to itself
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return sys.maxsize
            raise
    return total


def remove_tree(folder: Path) -> None:
    """Delete it and all in it, also folders without permissions (an overlay's work folder is one), however deep they
    are nested. Idempotent, also while another process does the same."""
    opened: set[str] = set()

    def open_and_retry(remove: object, path: str, error: ErrorInfo) -> None:
        if isinstance(error[1], FileNotFoundError):
            return
        if path in opened:
            raise error[1]
        opened.add(path)
        with contextlib.suppress(FileNotFoundError):
            os.chmod(os.path.dirname(path), 0o700)
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, 0o700)
                shutil.rmtree(path, onerror=open_and_retry)
            else:
                os.unlink(path)

    try:
        shutil.rmtree(folder, onerror=open_and_retry)
    except (RecursionError, OSError) as error:
        # deeper than Python's stack, a path or the open files reach; rm needs none of them
        if isinstance(error, OSError) and error.errno not in (errno.ENAMETOOLONG, errno.EMFILE):
            raise
        if os.geteuid() != 0:
            subprocess.run(["chmod", "-R", "u+rwX", "--", folder], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["rm", "-rf", "--", folder], check=True)
