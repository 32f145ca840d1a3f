"""An export is checked where it lies: the documented hash, every byte, gaps, order, ends and signatures."""

import json
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from cygni_cli.chain import FIRST_HASH, check, row_hash
from tests.fake_api import ROW

VECTOR = {
    "id": "aud_01kav9g3mge9h9vg1jj30g6p7f",
    "seq": 1,
    "teamId": "team_01kav9fxkpf5et43hmwh76vb50",
    "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
    "environment": "production",
    "createdAt": "2026-11-24T08:02:00.004Z",
    "action": "env.updated",
    "result": "success",
    "actor": {
        "type": "user",
        "id": "user_01kav9fyt8f1vrqshz3j61z96d",
        "name": "Ada",
        "tokenId": "tok_01kav9g00tfddrdnzeq9fesx94",
        "ip": "203.0.113.7",
    },
    "resource": {"type": "envVariable", "id": "env_01kav9g4v2et7r8dtw2kgqsax9", "name": "COLOR"},
    "before": {"version": 1, "value": "***"},
    "after": {"version": 2, "value": "***"},
    "reason": None,
    "requestId": "req_01kav9g61mewfbfp30h5abxqar",
    "prevHash": FIRST_HASH,
    "hash": "dbf2af434aa85b73bfb38188c2375a58278d21263a9a344ef8311344d0015ea9",
}
KEY = Ed25519PrivateKey.generate()


def chain(count, team="team_1"):
    """Rows as they are exported, with what is hard to write in a canonical form."""
    rows, previous = [], FIRST_HASH
    for seq in range(1, count + 1):
        after = {"é\n": 1e21, "a": 2**60, "A": [0.1, True, None, "\u2028\x1f😀"], "n": -seq}
        row = {**ROW, "id": f"aud_{seq}", "seq": seq, "teamId": team, "after": after, "prevHash": previous}
        row["hash"] = previous = row_hash(row)
        rows.append(row)
    return rows


def text(rows):
    return b"".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for row in rows)


def found(rows, *marks, **options):
    report = check(text(rows).splitlines(keepends=True), marks, **options)
    return [(problem.code, problem.seq) for problem in report.problems]


def public(key):
    return b64encode(key.public_key().public_bytes_raw()).decode()


def checkpoint(row, key=KEY, **fields):
    signed = f"{row['teamId'] or 'null'}\n{row['seq']}\n{row['hash']}".encode()
    mark = {"id": "chk_1", "teamId": row["teamId"], "seq": row["seq"], "hash": row["hash"]}
    return {**mark, "publicKey": public(key), "signature": b64encode(key.sign(signed)).decode(), **fields}


def test_the_documented_row_has_the_documented_hash():
    assert row_hash(VECTOR) == VECTOR["hash"]
    assert check([json.dumps(VECTOR).encode()]).problems == []


def test_several_chains_in_one_file():
    rows = [*chain(3), *chain(2, team=None)]
    rows = [rows[0], rows[3], rows[1], rows[4], rows[2]]
    report = check(text(rows).splitlines())
    assert report.problems == []
    assert {team: one.rows for team, one in report.chains.items()} == {"team_1": 3, None: 2}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_altered_byte_is_found(data):
    rows = chain(3)
    whole = text(rows)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    altered = whole[:at] + bytes([byte]) + whole[at + 1 :]
    report = check(altered.splitlines(keepends=True))
    if not report.problems:  # another way to write the same: \u001F
        assert [json.loads(line) for line in altered.split(b"\n") if line.strip()] == rows


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_row_removed_moved_or_doubled_is_found(data):
    rows = chain(6)
    mark = checkpoint(rows[-1])
    first, second = sorted(data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=2, unique=True)))
    kind = data.draw(st.sampled_from(["removed", "moved", "doubled"]))
    if kind == "removed":
        changed = rows[:first] + rows[first + 1 :]
    elif kind == "moved":
        changed = [*rows[:first], *rows[first + 1 : second + 1], rows[first], *rows[second + 1 :]]
    else:
        changed = [*rows[:second], rows[first], *rows[second:]]
    codes = found(changed, mark)
    # a file that begins later than the chain says so itself
    assert codes or (kind == "removed" and check(text(changed).splitlines()).chains["team_1"].first_seq == 2)


def test_what_is_wrong_is_named():
    rows = chain(6)
    assert found([*rows[:2], *rows[4:]]) == [("missing", 5)]
    assert found([*rows[:2], *rows[4:]], is_filtered=True) == []
    assert found([rows[1], rows[0]]) == [("order", 1)]
    assert found([{**rows[0], "reason": "x"}, rows[1]]) == [("altered", 1)]
    forged = {**rows[2], "reason": "x"}
    forged["hash"] = row_hash(forged)
    assert found([*rows[:2], forged, *rows[3:]]) == [("broken", 4)]
    report = check([b'{"seq": 1}\n', b"\xff\n", text(rows[:1])])
    assert [(problem.code, problem.line) for problem in report.problems] == [("unreadable", 1), ("unreadable", 2)]
    assert check([text(rows[:1]).replace(b'"reason":null', b'"reason":"x","reason":null')]).problems


def test_a_chain_computed_anew_is_not_what_was_signed():
    rows = chain(4)
    mark = checkpoint(rows[2])
    assert found(rows, mark) == []
    assert check(text(rows).splitlines(), [mark]).chains["team_1"].signed_to == 3
    forged, previous = [], FIRST_HASH
    for row in rows:
        forged.append({**row, "reason": "x", "prevHash": previous})
        forged[-1]["hash"] = previous = row_hash(forged[-1])
    assert found(forged) == []
    assert found(forged, mark) == [("not_signed", 3)]


def test_the_ends_are_what_was_signed():
    rows = chain(5)
    assert found(rows[:3], checkpoint(rows[4])) == [("missing", 4)]
    assert found(rows[:3], checkpoint(rows[4]), is_filtered=True) == []
    assert found(rows[2:], checkpoint(rows[1])) == []
    other = {**rows[2], "prevHash": "1" * 64}
    other["hash"] = row_hash(other)
    assert found([other], checkpoint(rows[1])) == [("not_first", 3)]
    first = {**rows[0], "prevHash": "1" * 64}
    first["hash"] = row_hash(first)
    assert found([first]) == [("not_first", 1)]


@pytest.mark.parametrize("fields", [{"seq": 2}, {"hash": "0" * 64}, {"teamId": None}, {"signature": "AA=="}])
def test_an_altered_checkpoint_is_found(fields):
    rows = chain(3)
    assert found(rows, {**checkpoint(rows[2]), **fields})[0][0] == "signature"


def test_only_the_key_that_is_given_counts():
    rows = chain(3)
    theirs = Ed25519PrivateKey.generate()
    assert found(rows, checkpoint(rows[2]), public_key=public(KEY)) == []
    assert found(rows, checkpoint(rows[2], key=theirs)) == []
    assert found(rows, checkpoint(rows[2], key=theirs), public_key=public(KEY)) == [("signature", 3)]
    assert found(rows, checkpoint(rows[2], key=theirs, publicKey=public(KEY))) == [("signature", 3)]


def test_the_command(cygni, home):
    rows = chain(3)
    (home / "audit.jsonl").write_bytes(text(rows))
    (home / "marks.json").write_text(json.dumps([checkpoint(rows[2])]))
    ran = cygni("audit", "verify", "audit.jsonl", "--checkpoint", "marks.json")
    assert ran.code == 0
    assert ran.out == "team_1: rows 1 to 3, 3 in all, signed up to 3\n"
    assert public(KEY) in ran.err
    ran = cygni("audit", "verify", "audit.jsonl", "--checkpoint", "marks.json", "--public-key", public(KEY), "--json")
    assert (ran.code, ran.json["valid"], ran.json["chains"][0]["signedTo"]) == (0, True, 3)
    (home / "audit.jsonl").write_bytes(text([rows[0], {**rows[1], "reason": "x"}, rows[2]]))
    ran = cygni("audit", "verify", "audit.jsonl")
    assert ran.code == 1
    assert "line 2, row 2: What this row says does not fit its hash" in ran.out
    assert "row 2 of team_1" in ran.err
    ran = cygni("audit", "verify", "audit.jsonl", "--json")
    assert (ran.code, ran.json["problems"][0]["line"]) == (1, 2)
    (home / "marks.json").write_text("nonsense")
    assert cygni("audit", "verify", "audit.jsonl", "--checkpoint", "marks.json").code == 1
    assert cygni("audit", "verify", "missing.jsonl").code in (1, 2)
    assert cygni("audit", "verify", "audit.jsonl", "--team", "acme").code == 2
    assert cygni("audit", "verify", "--filtered").code == 2
