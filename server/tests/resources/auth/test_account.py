"""One's own password, address and name: changed, reset, confirmed, and who is told."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import db
from cygnid.core.errors import NotFound
from cygnid.up.first import new_reset_token
from tests.make.api import Api, api_of
from tests.make.calls import refused
from tests.make.letters import SMTP, letters, link
from tests.make.people import PASSWORD, give_password
from tests.resources.auth.test_sign_in import ADA, audit, log_in
from tests.resources.tokens.test_routes import Clock, time

__all__ = ["time"]  # a fixture
NEW = "five rather odd words here"


@pytest.fixture
async def mailing(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """An installation that sends mail."""
    async with api_of(database_url, tmp_path, dashboard_url="https://app.example.com", **SMTP) as made:
        yield made


@pytest.fixture
async def ada(mailing: Api) -> AsyncIterator[AsyncCygniClient]:
    """By a session; her address is not confirmed yet."""
    async with db.begin(mailing.pool) as tx:
        await give_password(tx, mailing.owner_id)
    async with mailing.client(await mailing.session(mailing.owner_id)) as client:
        yield client


async def post(client: AsyncCygniClient, path: str, **body: Any) -> Any:
    return await client.request("POST", f"/auth/{path}", json=body)


async def user(client: AsyncCygniClient) -> dict[str, Any]:
    return (await client.request("GET", "/me")).data["user"]


async def test_a_new_password_ends_the_other_sessions_and_is_told(mailing: Api, ada: AsyncCygniClient) -> None:
    nobody = mailing.client("")
    other = mailing.client((await log_in(nobody))["secret"])
    token = mailing.client(await mailing.token(mailing.owner_id))
    await post(nobody, "password-reset", email=ADA)
    [asked] = await letters(mailing)
    assert (await post(ada, "password", currentPassword=PASSWORD, newPassword=NEW)).status == 204
    assert (await refused(user(other))).code == "token_revoked"
    assert (await user(ada))["email"] == (await user(token))["email"] == ADA
    assert (await refused(log_in(nobody))).code == "invalid_credentials"
    await log_in(nobody, password=NEW)
    [told] = await letters(mailing)
    assert (told.to, told.subject) == (ADA, "Cygni: Your password was changed")
    reset = await refused(post(nobody, "password-reset/confirm", resetToken=link(asked), newPassword=NEW))
    assert reset.details["field"] == "resetToken"
    [row] = await audit(mailing, "user.password_changed")
    assert (row["actor_id"], row["team_id"]) == (mailing.owner_id, mailing.team_id)
    assert NEW not in str(row)


@pytest.mark.parametrize(("current", "new", "status", "code"), [
    ("wrong", NEW, 401, "invalid_credentials"), (PASSWORD, "short", 400, "validation_error"),
    (PASSWORD, "ada@example.test", 400, "validation_error"), (PASSWORD, "password1234", 400, "validation_error"),
])  # fmt: skip
async def test_a_password_is_not_changed_by_who_does_not_know_it(  # noqa: PLR0917
    mailing: Api, ada: AsyncCygniClient, current: str, new: str, status: int, code: str
) -> None:
    error = await refused(post(ada, "password", currentPassword=current, newPassword=new))
    assert (error.status, error.code) == (status, code)
    await log_in(mailing.client(""))
    assert await letters(mailing) == []


async def test_guessing_with_a_stolen_session_is_throttled(ada: AsyncCygniClient) -> None:
    for _ in range(10):
        await refused(post(ada, "password", currentPassword="wrong", newPassword=NEW))
    assert (await refused(post(ada, "password", currentPassword=PASSWORD, newPassword=NEW))).status == 429


async def test_of_two_changes_at_once_one_counts(mailing: Api, ada: AsyncCygniClient) -> None:
    changes = [post(ada, "password", currentPassword=PASSWORD, newPassword=f"{NEW} {n}") for n in range(3)]
    done = await asyncio.gather(*changes, return_exceptions=True)
    [counted] = [index for index, one in enumerate(done) if not isinstance(one, BaseException)]
    await log_in(mailing.client(""), password=f"{NEW} {counted}")


async def test_a_reset_works_once_for_an_hour_and_says_nothing_of_who_is_here(
    mailing: Api, ada: AsyncCygniClient, time: Clock
) -> None:
    nobody = mailing.client("")
    for email in ("nobody@example.test", "no address", " ADA@example.test"):
        assert (await post(nobody, "password-reset", email=email)).status == 204
    [letter] = await letters(mailing)
    assert letter.to == ADA
    assert f"https://app.example.com/password-reset#{link(letter)}" in letter.text
    again = await post(nobody, "password-reset", email=ADA)
    assert again.status == 204
    [newer] = await letters(mailing)
    replaced = await refused(post(nobody, "password-reset/confirm", resetToken=link(letter), newPassword=NEW))
    assert (replaced.status, replaced.details["field"]) == (400, "resetToken")
    weak = await refused(post(nobody, "password-reset/confirm", resetToken=link(newer), newPassword="password1234"))
    assert weak.details["field"] == "newPassword"
    tries = [post(nobody, "password-reset/confirm", resetToken=link(newer), newPassword=NEW) for _ in range(3)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert [one.status for one in done if not isinstance(one, BaseException)] == [204]
    assert (await refused(user(ada))).code == "token_revoked"
    session = await log_in(nobody, password=NEW)
    # it came to this address, so it is theirs
    assert (await user(mailing.client(session["secret"])))["emailVerified"] is True
    await letters(mailing)
    await post(nobody, "password-reset", email=ADA)
    [late] = await letters(mailing)
    time.now += timedelta(hours=1)
    over = await refused(post(nobody, "password-reset/confirm", resetToken=link(late), newPassword=NEW))
    assert over.details["field"] == "resetToken"


async def test_nobody_is_flooded_with_resets(mailing: Api) -> None:
    nobody = mailing.client("")
    for email in ("eve@example.test", "nobody@example.test"):
        for _ in range(10):
            await post(nobody, "password-reset", email=email)
        assert (await refused(post(nobody, "password-reset", email=email))).status == 429


async def test_without_mail_who_runs_the_installation_hands_a_reset_over(api: Api) -> None:
    nobody = api.client("")
    assert (await post(nobody, "password-reset", email=ADA)).status == 204
    assert await letters(api) == []
    with pytest.raises(NotFound):
        await new_reset_token(api.pool, "nobody@example.test")
    secret = await new_reset_token(api.pool, ADA)
    assert (await post(nobody, "password-reset/confirm", resetToken=secret, newPassword=NEW)).status == 204
    session = await log_in(nobody, password=NEW)
    assert (await user(api.client(session["secret"])))["emailVerified"] is False


async def test_a_new_address_is_confirmed_and_the_old_one_told(
    mailing: Api, ada: AsyncCygniClient, time: Clock
) -> None:
    nobody, new = mailing.client(""), "ada@new.example.com"
    change = {"email": " Ada@New.example.com ", "currentPassword": PASSWORD}
    assert (await ada.request("PATCH", "/me", json=change)).data["user"]["email"] == ADA
    ask, tell = await letters(mailing)
    assert (ask.to, tell.to) == (new, ADA)
    assert new in tell.text
    assert link(ask) not in tell.text
    time.now += timedelta(hours=24)
    over = await refused(post(nobody, "email/confirm", confirmationToken=link(ask)))
    assert (over.status, over.details["field"]) == (400, "confirmationToken")
    fresh = mailing.client(await mailing.session(mailing.owner_id))
    await fresh.request("PATCH", "/me", json=change)
    ask, _ = await letters(mailing)
    assert (await post(nobody, "email/confirm", confirmationToken=link(ask))).status == 204
    assert (await refused(post(nobody, "email/confirm", confirmationToken=link(ask)))).status == 400
    now_is = await user(fresh)
    assert (now_is["email"], now_is["emailVerified"]) == (new, True)
    await log_in(nobody, new)
    assert (await refused(log_in(nobody))).status == 401
    [row] = await audit(mailing, "user.updated")
    assert (row["actor_id"], new in row["after"], ADA in row["before"]) == (mailing.owner_id, True, True)


async def test_an_address_that_somebody_took_meanwhile_stays_theirs(mailing: Api, ada: AsyncCygniClient) -> None:
    await ada.request("PATCH", "/me", json={"email": "eve@example.test", "currentPassword": PASSWORD})
    ask, _ = await letters(mailing)
    error = await refused(post(ada, "email/confirm", confirmationToken=link(ask)))
    assert (error.status, error.code) == (409, "conflict")
    assert (await user(ada))["email"] == ADA


async def test_without_mail_a_new_address_counts_at_once_unconfirmed(api: Api) -> None:
    async with db.begin(api.pool) as tx:
        await give_password(tx, api.owner_id)
    ada = api.client(await api.session(api.owner_id))
    change = {"email": "ada@new.example.com", "currentPassword": PASSWORD}
    shown = (await ada.request("PATCH", "/me", json=change)).data["user"]
    assert (shown["email"], shown["emailVerified"]) == ("ada@new.example.com", False)


async def test_who_registers_confirms_the_address(mailing: Api) -> None:
    nobody = mailing.client("")
    assert (await nobody.request("GET", "/auth/methods")).data["mail"] is True
    await post(nobody, "register", email="bo@example.com", name="Bo", password=NEW)
    [ask] = await letters(mailing)
    assert ask.to == "bo@example.com"
    await post(nobody, "email/confirm", confirmationToken=link(ask))
    session = await log_in(nobody, "bo@example.com", NEW)
    assert (await user(mailing.client(session["secret"])))["emailVerified"] is True


async def test_name_and_preferences_change_and_two_at_once_are_told(mailing: Api, ada: AsyncCygniClient) -> None:
    read = await ada.request("GET", "/me")
    change = {"name": "Ada Lovelace", "preferences": {"theme": "dark", "columns": ["a"]}}
    changed = await ada.request("PATCH", "/me", json=change, if_match=read.headers["etag"])
    assert {key: changed.data["user"][key] for key in change} == change
    stale = await refused(ada.request("PATCH", "/me", json={"name": "x"}, if_match=read.headers["etag"]))
    assert (stale.status, stale.details["etag"]) == (412, changed.headers["etag"])
    same = await ada.request("PATCH", "/me", json=change, if_match=changed.headers["etag"])
    assert same.headers["etag"] == changed.headers["etag"]
    assert len(await audit(mailing, "user.updated")) == 1
    assert await letters(mailing) == []


@pytest.mark.parametrize(("change", "status", "field"), [
    ({"email": "ada@new.example.com"}, 400, "currentPassword"), ({"email": "ada"}, 400, "email"),
    ({"name": " "}, 400, "name"), ({"preferences": {"a": "x" * 20_000}}, 400, "preferences"),
    ({"isInstanceAdmin": True}, 400, "isInstanceAdmin"), ({"emailVerified": True}, 400, "emailVerified"),
    ({"email": "ada@new.example.com", "currentPassword": "wrong"}, 401, None),
])  # fmt: skip
async def test_bad_changes_are_named(
    mailing: Api, ada: AsyncCygniClient, change: dict[str, Any], status: int, field: str | None
) -> None:
    error = await refused(ada.request("PATCH", "/me", json=change))
    assert (error.status, error.details.get("field")) == (status, field)
    assert (await user(ada))["name"] == "ada"
