"""Signing in by a provider: a real one on loopback, true and lying; and whom its people are here."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk

from cygnid.core import clock
from cygnid.resources.auth import oidc
from cygnid.settings import InvalidSetting
from tests.make.api import Api, api_of
from tests.make.calls import refused
from tests.make.oidc import Idp, provider
from tests.resources.auth.test_sign_in import audit
from tests.resources.tokens.test_routes import Clock, time

__all__ = ["time"]  # a fixture
BACK = "https://app.example.com/callback"
BO = {"sub": "bo-1", "email": "Bo@example.test", "email_verified": True, "name": "Bo"}


@pytest.fixture
def idp() -> Iterator[Idp]:
    with provider() as made:
        made.person = dict(BO)
        yield made


@asynccontextmanager
async def with_provider(database_url: str, home: Path, idp: Idp, **more: Any) -> AsyncIterator[Api]:
    setting = json.dumps([{**idp.setting, **more.pop("provider", {})}])
    async with api_of(
        database_url, home, oidc_providers=setting, dashboard_url="https://app.example.com", **more
    ) as made:
        yield made


@pytest.fixture
async def corp(database_url: str, tmp_path: Path, idp: Idp) -> AsyncIterator[Api]:
    """Whoever the provider knows gets a user, though registration is closed."""
    async with with_provider(database_url, tmp_path, idp, registration="closed", provider={"register": True}) as made:
        yield made


async def post(api: Api, path: str, **body: Any) -> Any:
    return (await api.client("").request("POST", f"/auth/oidc/corp/{path}", json=body)).data


async def at_provider(api: Api, idp: Idp) -> dict[str, str]:
    """The browser has been there, and comes back with this."""
    return idp.authorize((await post(api, "start", redirectUri=BACK))["authorizationUrl"])


async def log_in(api: Api, idp: Idp) -> Any:
    return await post(api, "finish", **await at_provider(api, idp))


async def make_verified(api: Api, user_id: str, *, two_factor: bool = False) -> None:
    await api.pool.execute(
        "UPDATE users SET email_verified = true, two_factor_enabled = $2 WHERE id = $1", user_id, two_factor
    )


async def test_a_person_of_the_provider_gets_a_session_and_stays_the_same(corp: Api, idp: Idp) -> None:
    methods = (await corp.client("").request("GET", "/auth/methods")).data
    assert methods["providers"] == [{"id": "corp", "name": "Corp"}]
    session = await log_in(corp, idp)
    me = (await corp.client(session["secret"]).request("GET", "/me")).data
    assert {key: me["user"][key] for key in ("name", "email", "emailVerified", "isInstanceAdmin")} == {
        "name": "Bo", "email": "bo@example.test", "emailVerified": True, "isInstanceAdmin": False,
    }  # fmt: skip
    idp.person |= {"email": "bo@renamed.test", "name": "Robert"}
    assert (await log_in(corp, idp))["userId"] == session["userId"]
    # who has the address now is somebody else there, and therefore here
    idp.person |= {"sub": "bo-2", "email": "bo@example.test"}
    assert (await log_in(corp, idp))["userId"] == session["userId"]  # the same verified address
    rows = await audit(corp, "user.signed_in")
    assert {json.loads(row["data"])["method"] for row in rows} == {"corp"}


async def test_state_and_code_are_good_once_in_time_and_for_their_provider(corp: Api, idp: Idp, time: Clock) -> None:
    back = await at_provider(corp, idp)
    await post(corp, "finish", **back)
    assert (await refused(post(corp, "finish", **back))).code == "invalid_credentials"
    back = await at_provider(corp, idp)
    assert (await refused(post(corp, "finish", **{**back, "state": "other"}))).code == "invalid_credentials"
    assert (await refused(post(corp, "finish", **{**back, "code": "other"}))).code == "invalid_credentials"
    swapped = {**await at_provider(corp, idp), "code": (await at_provider(corp, idp))["code"]}
    # a code of another sign-in: PKCE and nonce are of this one
    assert (await refused(post(corp, "finish", **swapped))).status == 401
    late = await at_provider(corp, idp)
    time.now += timedelta(minutes=10)
    assert (await refused(post(corp, "finish", **late))).status == 401
    failed = await audit(corp, "user.sign_in_failed")
    assert {row["result"] for row in failed} == {"failed"}
    assert len(failed) == 5


@pytest.mark.parametrize("lie", [
    {"iss": "https://evil.example"}, {"iss": None}, {"aud": "another-client"}, {"aud": None},
    {"aud": ["cygni-client", "another"]}, {"aud": ["cygni-client", "another"], "azp": "another"},
    {"nonce": "another"}, {"nonce": None}, {"exp": 1_700_000_000}, {"exp": None}, {"iat": None}, {"sub": None},
    {"email_verified": False}, {"email_verified": None}, {"email": None}, {"email_verified": "yes"},
], ids=str)  # fmt: skip
async def test_what_a_provider_must_not_say_is_refused(corp: Api, idp: Idp, lie: dict[str, Any]) -> None:
    idp.lies = lie
    error = await refused(log_in(corp, idp))
    assert (error.status, error.code) == (401, "invalid_credentials")
    assert await corp.pool.fetchval("SELECT count(*) FROM identities") == 0
    assert len(await audit(corp, "user.sign_in_failed")) == 1


async def test_a_signature_of_another_key_or_kind_is_refused(corp: Api, idp: Idp) -> None:
    for key, algorithm in (
        (jwk.RSAKey.generate_key(2048, {"kid": "one"}), "RS256"),
        (jwk.OctKey.import_key(idp.setting["clientSecret"], {"kid": "one"}), "HS256"),
    ):
        idp.signs_with, idp.algorithm = key, algorithm
        assert (await refused(log_in(corp, idp))).code == "invalid_credentials"


async def test_several_audiences_are_right_when_it_is_said_for_whom(corp: Api, idp: Idp) -> None:
    idp.lies = {"aud": ["cygni-client", "another"], "azp": "cygni-client"}
    assert (await log_in(corp, idp))["kind"] == "session"


async def test_a_clock_may_be_a_minute_apart(corp: Api, idp: Idp) -> None:
    idp.lies = {"exp": int(clock.now().timestamp()) - 30}
    assert (await log_in(corp, idp))["kind"] == "session"


async def test_a_provider_that_is_away_or_another_is_told(corp: Api, idp: Idp) -> None:
    back = await at_provider(corp, idp)
    idp.is_away = True
    for call in (post(corp, "start", redirectUri=BACK), post(corp, "finish", **back)):
        error = await refused(call)
        assert (error.status, error.code) == (503, "unavailable")
    idp.is_away, idp.lies = False, {"issuer": "https://another.example"}
    assert (await refused(post(corp, "start", redirectUri=BACK))).status == 503


@pytest.mark.parametrize("uri", [
    "https://evil.example/callback", "https://app.example.com.evil.example/", "https://app.example.com@evil.example/",
    "http://app.example.com/callback", "javascript:alert(1)", "https://app.example.com/#x", "/callback",
])  # fmt: skip
async def test_codes_are_sent_to_ourselves_alone(corp: Api, uri: str) -> None:
    error = await refused(post(corp, "start", redirectUri=uri))
    assert (error.status, error.details["field"]) == (400, "redirectUri")


async def test_an_unknown_provider_is_not_found(corp: Api) -> None:
    body = {"redirectUri": BACK}
    error = await refused(corp.client("").request("POST", "/auth/oidc/other/start", json=body))
    assert (error.status, error.code) == (404, "not_found")


async def test_an_address_links_only_where_both_have_verified_it(corp: Api, idp: Idp) -> None:
    """Somebody may have registered with the address of another, to be found by them later."""
    idp.person |= {"email": "eve@example.test"}
    error = await refused(log_in(corp, idp))
    assert (error.status, error.code) == (403, "forbidden")
    await make_verified(corp, corp.outsider_id, two_factor=True)
    assert (await refused(log_in(corp, idp))).code == "forbidden"
    await make_verified(corp, corp.outsider_id)
    assert (await log_in(corp, idp))["userId"] == corp.outsider_id


@pytest.mark.parametrize(("registration", "registers", "status"), [
    ("closed", False, 403), ("invitation", False, 403), ("open", False, None), ("closed", True, None),
])  # fmt: skip
async def test_who_is_new_gets_a_user_where_that_is_allowed(  # noqa: PLR0917
    database_url: str, tmp_path: Path, idp: Idp, registration: str, registers: bool, status: int | None
) -> None:
    async with with_provider(
        database_url, tmp_path, idp, registration=registration, provider={"register": registers}
    ) as api:
        if status is None:
            assert (await log_in(api, idp))["kind"] == "session"
        else:
            assert (await refused(log_in(api, idp))).code == "registration_closed"


async def test_who_has_no_password_sets_one_by_a_reset(corp: Api, idp: Idp) -> None:
    session = await log_in(corp, idp)
    client = corp.client(session["secret"])
    body = {"currentPassword": "", "newPassword": "five rather odd words"}
    assert (await refused(client.request("POST", "/auth/password", json=body))).code == "invalid_credentials"


@pytest.mark.parametrize("setting", [
    "{", "[{}]", '[{"id":"A b","name":"x","issuer":"https://x","clientId":"c"}]',
    '[{"id":"a","name":"x","issuer":"http://x.example","clientId":"c"}]',
    '[{"id":"a","name":"x","issuer":"https://x","clientId":"c","secret":"typo"}]',
])  # fmt: skip
def test_a_wrong_setting_is_told(setting: str) -> None:
    with pytest.raises(InvalidSetting, match="CYGNI_OIDC_PROVIDERS"):
        oidc.providers(setting)
