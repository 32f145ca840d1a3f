"""Becoming another user for good, and dying with one's parent: for `preexec_fn` and for children of the launcher."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def drop(uid: int) -> None:
    """Become `uid` with the group of the same number and no others; there is no way back."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def die_with_parent(sig: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send `sig` to this process when the *thread* that forked it ends: fork from one that lasts.
    Call it after `drop`: changing the uid clears it (prctl(2), PR_SET_PDEATHSIG). Survives execve of plain programs."""
    if _libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
