"""The data folder: who owns it, which uids are its own, and the key to its secrets."""

import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cygnid.core.postgres.child import closed_parent
from cygnid.up.uid_ranges import reserve

_LONGEST_SOCKET = 107
"""Bytes of a unix socket's path (unix(7))."""


class Unsuitable(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class Installation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`installation.json`. Uids, as root: uid_base is the database and the API, +1 the edge, +2 the file server, +4
    the push repositories, from +10 on the environments and builds."""

    installation_id: str
    """Names what is the installation's own on the machine: bridges, tables, cgroups."""
    uid_base: int | None
    """None: everything runs as the ordinary user who made it."""
    created_at: datetime
    port: int | None = None
    """The API's, and the edge's, when it was last started: where its users know it to be."""
    apps_port: int | None = None

    def environment(self, data: Path, operators: Mapping[str, str]) -> dict[str, str]:
        """The operator's environment with the settings that the data folder itself decides."""
        kept = {name: value for name, value in operators.items() if name != "CYGNI_UID_BASE"}
        uid = {} if self.uid_base is None else {"CYGNI_UID_BASE": str(self.uid_base)}
        return {**kept, "CYGNI_HOME": str(data), "CYGNI_INSTALLATION_ID": self.installation_id, **uid}


def default_data_folder() -> Path:
    return Path("/var/lib/cygni") if os.geteuid() == 0 else Path(".cygni")


def existing_installation(data: Path) -> Installation | None:
    """None: this folder holds none."""
    try:
        return msgspec.json.decode((data / "installation.json").read_bytes(), type=Installation)
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_installation(data: Path, *, uid_base: int | None = None) -> Installation:
    """Make the data folder, or find what is there. `uid_base` is used instead of a free range of the machine.

    Raises Unsuitable when it belongs to another user, or its uids could not reach it.
    """
    root = os.geteuid() == 0
    if (excess := len(os.fsencode(data / "edge" / "files" / "files-999999.sock")) - _LONGEST_SOCKET) > 0:
        raise Unsuitable(f"{data} is too long a path for the sockets in it, by {excess}. Choose a shorter --data-dir.")
    data.mkdir(parents=True, exist_ok=True)
    if data.stat().st_uid != os.geteuid():
        raise Unsuitable(f"{data} belongs to uid {data.stat().st_uid}, this is uid {os.geteuid()}. Choose --data-dir.")
    if root and (closed := closed_parent(data)):
        raise Unsuitable(
            f"{data} is in {closed}, which other users cannot enter, but the database and the applications run as "
            "users of their own. Choose another --data-dir, such as /var/lib/cygni."
        )
    data.chmod(0o711 if root else 0o700)
    installation = existing_installation(data)
    if installation is not None:
        if root != (installation.uid_base is not None):
            raise Unsuitable(f"{data} was made by {'an ordinary user' if root else 'root'}: its owners would not fit.")
    else:
        base = (uid_base or reserve(data)) if root else None
        installation = Installation(
            installation_id=secrets.token_hex(4), uid_base=base, created_at=datetime.now(UTC).replace(microsecond=0)
        )
        _keep(data, installation)
    _make_folders(data, installation.uid_base)
    return installation


def remember_ports(data: Path, installation: Installation, *, port: int, apps_port: int) -> None:
    """Who does not name ports the next time gets these again."""
    if (installation.port, installation.apps_port) != (port, apps_port):
        _keep(data, msgspec.structs.replace(installation, port=port, apps_port=apps_port))


def _keep(data: Path, installation: Installation) -> None:
    part = data / "installation.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(installation)) + b"\n")
    part.rename(data / "installation.json")


def _make_folders(data: Path, api_uid: int | None) -> None:
    """What must be there, and whose, before the first process: the API may not make folders in the data folder."""
    for name, mode, uid in (
        ("run", 0o711, None),
        ("logs", 0o700, None),
        ("toolchains", 0o755, None),
        ("keys", 0o700, api_uid),
        ("uploads", 0o700, api_uid),
        ("repositories", 0o711, None),
    ):
        folder = data / name
        if not folder.exists():
            folder.mkdir()
            folder.chmod(mode)
            if uid is not None:
                os.chown(folder, uid, uid)
    key = data / "keys" / "secret.key"
    if not key.exists():
        part = key.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        if api_uid is not None:
            os.chown(part, api_uid, api_uid)
        part.rename(key)
