"""Registering by an invitation: the address that was invited, once, wherever registering is closed to others."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.make.api import Api, api_of
from tests.make.calls import refused
from tests.make.letters import SMTP, letters
from tests.resources.auth.test_sign_in import audit, log_in

BODY = {"email": "Bo@example.test", "password": "four rather odd words", "name": "Bo"}


@pytest.fixture(params=["invitation", "closed"])
async def closed(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_of(database_url, tmp_path, registration=request.param) as made:
        yield made


async def register(api: Api, **fields: str) -> Any:
    return await api.client("").request("POST", "/auth/register", json={**BODY, **fields})


async def invite(api: Api, email: str = "bo@example.test") -> dict[str, Any]:
    owner = await api.owner()
    body = {"email": email, "role": "developer"}
    return (await owner.request("POST", f"/teams/{api.team_id}/invitations", json=body)).data


async def test_who_was_invited_registers_and_is_a_member(closed: Api) -> None:
    token = (await invite(closed))["acceptUrl"].partition("#")[2]
    for fields in ({}, {"invitationToken": "unknown"}):
        error = await refused(register(closed, **fields))
        assert (error.status, error.code) == (403, "registration_closed")
    other = await refused(register(closed, email="eve@elsewhere.test", invitationToken=token))
    assert (other.status, other.code) == (403, "forbidden")
    made = await register(closed, invitationToken=token)
    assert (made.status, made.data["email"], made.data["emailVerified"]) == (201, "bo@example.test", False)
    again = await refused(register(closed, email="bo2@example.test", invitationToken=token))
    assert again.code == "registration_closed"
    session = await log_in(closed.client(""), "bo@example.test", BODY["password"])
    [team] = (await closed.client(session["secret"]).request("GET", "/me")).data["teams"]
    assert (team["id"], team["roleName"]) == (closed.team_id, "developer")
    rows = await audit(closed, "member.joined")
    assert [row["actor_id"] for row in rows if row["resource_name"] == "Bo"] == [made.data["id"]]
    assert await closed.pool.fetchval("SELECT count(*) FROM users WHERE email LIKE '%elsewhere%'") == 0


async def test_an_address_that_the_invitation_was_mailed_to_is_confirmed(database_url: str, tmp_path: Path) -> None:
    async with api_of(database_url, tmp_path, **SMTP) as api:
        await invite(api)
        [letter] = await letters(api)
        token = letter.text.partition("#")[2].split()[0] if "#" in letter.text else ""
        assert token
        made = await register(api, invitationToken=token)
        assert made.data["emailVerified"] is True
        assert await letters(api) == []
