"""The verbs beside `up`: token, migrate, doctor, and what each says when it cannot."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from tests.make.database import fresh_database
from tests.up.harness import Cygnid, free_port

ROOT = os.geteuid() == 0


@pytest.fixture
def cygnid(open_folder: Path) -> Iterator[Cygnid]:
    made = Cygnid(open_folder / "data", free_port())
    yield made
    made.clean()


def database(cygnid: Cygnid) -> str:
    folder = quote(str(cygnid.data / "postgres"), safe="")
    return f"postgresql://cygni@/cygni?host={folder}%2Fsocket&port=5432&passfile={folder}%2Fpassword"


async def test_a_minted_token_is_the_owners_and_recorded(cygnid: Cygnid) -> None:
    shown = cygnid.up()["setupCode"]
    code = cygnid.run("setup-code").stdout.strip()
    assert [len(part) for part in shown.split("-")] == [len(part) for part in code.split("-")] == [4] * 5
    assert code != shown
    token = cygnid.run("token").stdout.strip()
    short = json.loads(cygnid.run("token", "--json", "--minutes", "10").stdout)["token"]
    assert token.startswith("cygp_")
    connection = await asyncpg.connect(database(cygnid))
    try:
        rows = await connection.fetch("SELECT last4, user_id, expires_at, scopes FROM tokens ORDER BY created_at")
        codes = await connection.fetchval("SELECT count(*) FROM one_time_secrets WHERE purpose = 'setup'")
        created = await connection.fetchval("SELECT count(*) FROM changes WHERE type = 'token.created'")
    finally:
        await connection.close()
    assert [row["last4"] for row in rows[1:]] == [token[-4:], short[-4:]]
    assert len({row["user_id"] for row in rows}) == 1
    assert [row["expires_at"] is None for row in rows] == [True, True, False]
    assert created == 3
    assert codes == 1


def test_who_names_no_ports_gets_those_of_the_last_time(cygnid: Cygnid) -> None:
    first = cygnid.up()
    cygnid.run("down")
    again = json.loads(cygnid.run("up", "--detach", "--json").stdout.splitlines()[-1])
    assert (again["apiUrl"], again["appsUrl"]) == (first["apiUrl"], first["appsUrl"])


def test_without_an_installation_each_says_what_to_do(cygnid: Cygnid) -> None:
    for verb in ("token", "setup-code", "doctor"):
        tried = cygnid.run(verb, check=False)
        assert tried.returncode == 1
        assert "cygnid up" in tried.stdout + tried.stderr
    assert not cygnid.data.exists()


def test_a_token_needs_the_database_to_run(cygnid: Cygnid) -> None:
    cygnid.up()
    cygnid.run("down")
    tried = cygnid.run("token", check=False)
    assert tried.returncode == 1
    assert "cygnid up" in tried.stderr


def test_the_doctor_names_what_is_not_well(cygnid: Cygnid) -> None:
    cygnid.up()
    said = cygnid.run("doctor", "--json", check=False)
    checks = {check["name"]: check for check in json.loads(said.stdout)["checks"]}
    assert checks["supervisor"]["status"] == "ok"
    assert checks["api"]["status"] == "ok"
    assert checks["database"]["status"] == "ok"
    # the stand-in worker starts no edge and says nothing
    for name in ("edge", "worker"):
        assert checks[name]["status"] == "broken"
        assert checks[name]["fix"]
    assert said.returncode == 1
    assert all(check["fix"] for check in checks.values() if check["status"] == "broken" and check["name"] != "sandbox")
    assert "edge" in cygnid.run("doctor", check=False).stdout


def test_the_doctor_finds_a_stopped_installation(cygnid: Cygnid) -> None:
    cygnid.up()
    cygnid.run("down")
    checks = json.loads(cygnid.run("doctor", "--json", check=False).stdout)["checks"]
    broken = {check["name"]: check["fix"] for check in checks if check["status"] == "broken"}
    assert "cygnid up" in broken["supervisor"]
    assert "log" in broken["database"]


async def test_an_external_database_is_migrated_and_used(cygnid: Cygnid, postgres_server: str) -> None:
    async with fresh_database(postgres_server, template="template0") as url:
        summary = cygnid.up(CYGNI_DATABASE_URL=url)
        assert summary["pids"]["postgres"] is None
        assert not (cygnid.data / "postgres").exists()
        assert cygnid.get("/v1/health")["status"] == "ok"
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT count(*) FROM users") == 1
        await connection.close()
        cygnid.run("down")


@pytest.mark.skipif(not ROOT, reason="an ordinary user's processes share its uid and need no open path")
def test_a_folder_that_other_users_cannot_reach_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    tried = Cygnid(tmp_path / "data", free_port()).run("up", "--detach", check=False)
    assert tried.returncode == 1
    assert "--data-dir" in tried.stderr


def test_a_folder_too_deep_for_sockets_is_refused(open_folder: Path) -> None:
    tried = Cygnid(open_folder / ("deep" * 25), free_port()).run("up", "--detach", check=False)
    assert tried.returncode == 1
    assert "shorter --data-dir" in tried.stderr
