"""Checks an exported audit log without the installation: its hashes, their order, and what was signed of them."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIRST_HASH = "0" * 64
_EXACT = 2**53 - 1


@dataclass(frozen=True)
class Problem:
    """What does not fit: the line of the file and the row, where it is one's."""

    code: str
    message: str
    line: int | None = None
    team_id: str | None = None
    seq: int | None = None


@dataclass
class Chain:
    """What the file has of one team's rows, or, without a team, of the installation's."""

    team_id: str | None
    first_seq: int
    last_seq: int = 0
    last_hash: str = ""
    rows: int = 0
    signed_to: int | None = None
    """The last row that a checkpoint covers."""


@dataclass
class Report:
    chains: dict[str | None, Chain] = field(default_factory=dict[str | None, Chain])
    problems: list[Problem] = field(default_factory=list[Problem])
    keys: set[str] = field(default_factory=set[str])
    """Public keys of the checkpoints that were used."""

    @property
    def rows(self) -> int:
        return sum(chain.rows for chain in self.chains.values())

    def as_json(self) -> dict[str, Any]:
        camel = {"team_id": "teamId", "first_seq": "firstSeq", "last_seq": "lastSeq", "last_hash": "lastHash"}
        camel["signed_to"] = "signedTo"

        def shown(thing: Any) -> dict[str, Any]:
            return {camel.get(name, name): value for name, value in asdict(thing).items()}

        return {
            "valid": not self.problems,
            "rows": self.rows,
            "chains": [shown(chain) for chain in self.chains.values()],
            "publicKeys": sorted(self.keys),
            "problems": [shown(problem) for problem in self.problems],
        }


def check(
    lines: Iterable[bytes],
    checkpoints: Sequence[Mapping[str, Any]] = (),
    *,
    public_key: str | None = None,
    is_filtered: bool = False,
) -> Report:
    """Read an export in JSON lines to its end.

    checkpoints: as the API shows them. public_key: the one that must have signed them, in base64; None: the one that
    each names. is_filtered: rows may be missing, so each stands for itself.
    """
    report = Report()
    marks = _signed(checkpoints, public_key, report)
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is None:
            report.problems.append(Problem("unreadable", "This line is not a row of an audit log.", number))
        else:
            _take(row, number, report, marks, is_filtered=is_filtered)
    if not is_filtered:
        _check_ends(report, marks)
    return report


def row_hash(row: Mapping[str, Any]) -> str | None:
    """Hex SHA-256 of the row's RFC 8785 form without `hash`; None: it has no such form."""
    try:
        return sha256(rfc8785.dumps(_numbers({key: row[key] for key in row if key != "hash"}))).hexdigest()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, OverflowError):
        return None


def _take(
    row: dict[str, Any], number: int, report: Report, marks: Mapping[tuple[str | None, int], str], *, is_filtered: bool
) -> None:
    team_id, seq = row["teamId"], row["seq"]

    def found(code: str, message: str) -> None:
        report.problems.append(Problem(code, message, number, team_id, seq))

    if row_hash(row) != row["hash"]:
        found("altered", "What this row says does not fit its hash: it was altered.")
    chain = report.chains.get(team_id)
    if chain is None:
        chain = report.chains[team_id] = Chain(team_id, seq)
        before = FIRST_HASH if seq == 1 else marks.get((team_id, seq - 1))
        if before is not None and row["prevHash"] != before:
            found("not_first", "This row follows another one than was signed, or than the first of a chain does.")
    elif seq <= chain.last_seq:
        found("order", f"This row comes after row {chain.last_seq}: the order was changed, or it is there twice.")
        return
    elif seq > chain.last_seq + 1:
        if not is_filtered:
            missing = (
                f"Row {seq - 1} is" if seq == chain.last_seq + 2 else f"Rows {chain.last_seq + 1} to {seq - 1} are"
            )
            found("missing", f"{missing} missing before this one.")
    elif row["prevHash"] != chain.last_hash:
        found("broken", "This row was written after another one than the one before it.")
    signed = marks.get((team_id, seq))
    if signed is not None:
        if signed == row["hash"]:
            chain.signed_to = seq
        else:
            found("not_signed", "Another hash of this row was signed: the chain was computed anew.")
    chain.last_seq, chain.last_hash, chain.rows = seq, row["hash"], chain.rows + 1


def _check_ends(report: Report, marks: Mapping[tuple[str | None, int], str]) -> None:
    """What was signed and is not in the file any more."""
    for team_id, chain in report.chains.items():
        last = max((seq for team, seq in marks if team == team_id), default=0)
        if last > chain.last_seq:
            message = f"Rows {chain.last_seq + 1} to {last} were signed and are missing at the end."
            report.problems.append(Problem("missing", message, None, team_id, chain.last_seq + 1))


def _signed(
    checkpoints: Sequence[Mapping[str, Any]], public_key: str | None, report: Report
) -> dict[tuple[str | None, int], str]:
    """Chain and seq → hash, of those that are signed as they should be."""
    found: dict[tuple[str | None, int], str] = {}
    for mark in checkpoints:
        try:
            team_id, seq, hash_, given = mark["teamId"], mark["seq"], mark["hash"], mark["publicKey"]
            raw, signature = b64decode(public_key or given, validate=True), b64decode(mark["signature"], validate=True)
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, f"{team_id or 'null'}\n{seq}\n{hash_}".encode())
        except (KeyError, TypeError, ValueError, InvalidSignature):
            said = f"Checkpoint {mark.get('id')} was not signed with {'this' if public_key else 'its'} key."
            report.problems.append(Problem("signature", said, None, mark.get("teamId"), mark.get("seq")))
        else:
            found[team_id, seq] = hash_
            report.keys.add(public_key or given)
    return found


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except ValueError:
        return None
    kinds = {"seq": int, "teamId": (str, type(None)), "prevHash": str, "hash": str}
    is_row = isinstance(row, dict) and all(isinstance(row.get(name, 0.0), kind) for name, kind in kinds.items())
    return row if is_row else None  # pyright: ignore[reportUnknownVariableType]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which a name stands twice could be read in two ways."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A name stands twice.")
    return found


def _numbers(value: Any) -> Any:
    """Integers beyond what a double holds exactly, as doubles, as RFC 8785 has it."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_numbers(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return float(value)
    return value
