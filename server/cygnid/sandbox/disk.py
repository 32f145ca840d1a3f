"""How much is in a folder, and emptying one."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def used_bytes(folders: Iterable[str]) -> int:
    """Allocated bytes below the folders, links not followed; what vanishes meanwhile counts nothing."""
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
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            continue  # an ordinary user's sandbox closed the folder to itself
    return total


def remove_tree(folder: Path) -> None:
    """Delete it and all in it, also folders without permissions (an overlay's work folder is one); idempotent."""

    def open_and_retry(remove: object, path: str, error: object) -> None:
        if isinstance(error, tuple) and isinstance(error[1], FileNotFoundError):
            return
        parent = os.path.dirname(path)
        os.chmod(parent, 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path)
        else:
            os.unlink(path)

    if folder.exists():
        shutil.rmtree(folder, onerror=open_and_retry)
