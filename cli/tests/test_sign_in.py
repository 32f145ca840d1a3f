"""Signing in by a password, registering, sessions; `login --token-stdin` is in test_context.py."""

import json

import pytest

from tests.fake_api import ME, TOKEN, Answer

SESSION = "cygs_7Zk3QmVx9LpT2bWcRyUe5HsNfDaGjK25prFq"
SIGNED_IN = {**TOKEN, "kind": "session", "secret": SESSION}
BAD = Answer(status=401, error={"code": "invalid_credentials", "message": "Not anybody's.", "hint": "Try again."})


@pytest.fixture
def stdin(home, monkeypatch):
    (home / "stdin").write_text("three unlikely words\n")
    with (home / "stdin").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        yield file


@pytest.fixture
def answers(monkeypatch):
    """What somebody types at prompts, in this order."""
    given = []
    monkeypatch.setattr("click.prompt", lambda *_, **__: given.pop(0))
    return given


def kept(home):
    path = home.parent / "config/cygni/login.json"
    return json.loads(path.read_text())["apiKey"] if path.exists() else None


def test_a_password_becomes_a_session_that_logout_ends(anonymous, api, home, stdin):
    api.on("POST", "/auth/login", SIGNED_IN)
    api.on("POST", "/auth/logout", Answer(status=204))
    ran = anonymous("login", "--url", api.url, "--email", "ada@example.com", "--password-stdin")
    assert ran.code == 0, ran.err
    [sent] = api.sent("POST", "/auth/login")
    assert sent.json == {"email": "ada@example.com", "password": "three unlikely words"}
    assert "authorization" not in sent.headers
    assert kept(home) == SESSION
    assert "three unlikely words" not in ran.out + ran.err
    assert SESSION not in ran.out + ran.err
    ran = anonymous("logout", "--json")
    assert ran.json == {"removed": True, "ended": True}
    assert [seen.headers["authorization"] for seen in api.sent("POST", "/auth/logout")] == [f"Bearer {SESSION}"]
    assert kept(home) is None


def test_logout_forgets_a_session_that_nobody_can_end_any_more(anonymous, api, home, stdin):
    api.on("POST", "/auth/login", SIGNED_IN)
    api.on("POST", "/auth/logout", Answer(status=401, error={"code": "token_expired", "message": "Over."}))
    anonymous("login", "--url", api.url, "--email", "ada@example.com", "--password-stdin")
    assert anonymous("logout", "--json").json == {"removed": True, "ended": False}
    assert kept(home) is None


def test_a_wrong_password_keeps_nothing(anonymous, api, home, stdin):
    api.on("POST", "/auth/login", BAD)
    ran = anonymous("login", "--url", api.url, "--email", "ada@example.com", "--password-stdin", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "invalid_credentials")
    assert kept(home) is None


def test_an_old_login_is_not_sent_along(cygni, api, home, stdin):
    """Who signs in anew may have a token that has ended."""
    api.on("POST", "/auth/login", SIGNED_IN)
    cygni("login", "--email", "ada@example.com", "--password-stdin")
    assert "authorization" not in api.sent("POST", "/auth/login")[0].headers


def test_the_owner_registers_by_the_setup_code(anonymous, api, home, answers):
    api.on("GET", "/auth/methods", {"registration": "setup", "password": True, "providers": [], "mail": False})
    api.on("POST", "/auth/register", ME["user"])
    api.on("POST", "/auth/login", SIGNED_IN)
    answers += ["BCDF-GHJK", "ada@example.com", "Ada", "three unlikely words", "three unlikely words"]
    ran = anonymous("register", "--url", api.url, interactive=True)
    assert ran.code == 0, ran.err
    assert api.sent("POST", "/auth/register")[0].json == {
        "email": "ada@example.com", "name": "Ada", "password": "three unlikely words", "setupCode": "BCDF-GHJK",
    }  # fmt: skip
    assert kept(home) == SESSION


def test_two_passwords_that_differ_are_not_sent(anonymous, api, answers):
    api.on("GET", "/auth/methods", {"registration": "open", "password": True, "providers": [], "mail": False})
    answers += ["ada@example.com", "Ada", "three unlikely words", "three unlikely word"]
    ran = anonymous("register", "--url", api.url, interactive=True)
    assert ran.code == 2
    assert not api.sent("POST", "/auth/register")


def test_sessions_are_listed_and_ended(cygni, api):
    one = {**SIGNED_IN, "id": "tok_9", "name": "cli", "lastUsedIp": "192.0.2.1"}
    meta = {"pagination": {"page": 1, "limit": 100, "total": 1, "pages": 1, "totalIsEstimate": False, "hasMore": False}}
    api.on("GET", "/auth/sessions", Answer([one], meta=meta))
    api.on("DELETE", "/auth/sessions(/tok_9)?", Answer(status=204))
    shown = cygni("sessions")
    assert "tok_9" in shown.out
    assert "192.0.2.1" in shown.out
    assert cygni("sessions", "revoke", "tok_9").code == 0
    assert cygni("sessions", "revoke", "--others").code == 0
    assert [seen.path for seen in api.requests[-2:]] == ["/auth/sessions/tok_9", "/auth/sessions"]
    for wrong in ((), ("tok_9", "--others")):
        assert cygni("sessions", "revoke", *wrong).code == 2


def test_a_new_address_needs_the_password_and_waits_for_its_mail(cygni, api, stdin):
    api.on("PATCH", "/me", {**ME, "user": {**ME["user"], "email": "ada@example.com"}})
    ran = cygni("me", "update", "--email", "ada@new.example.com", "--password-stdin")
    assert ran.code == 0, ran.err
    assert api.requests[-1].json == {"email": "ada@new.example.com", "currentPassword": "three unlikely words"}
    assert "mailed to ada@new.example.com" in ran.err
    assert cygni("me", "update").code == 2
    assert cygni("me").out.startswith("Ada at ")


def test_a_password_is_reset_without_a_login(anonymous, api, stdin):
    api.on("POST", "/auth/password-reset", Answer(status=204))
    api.on("POST", "/auth/password-reset/confirm", Answer(status=204))
    assert anonymous("me", "reset-password", "ada@example.com", "--url", api.url).code == 0
    assert anonymous("me", "reset-password", "--token", "t", "--url", api.url, "--password-stdin").code == 0
    assert api.requests[-1].json == {"resetToken": "t", "newPassword": "three unlikely words"}
    assert anonymous("me", "reset-password", "--url", api.url).code == 2


def test_a_second_factor_is_asked_for(anonymous, api, home, stdin, answers):
    def answer(seen):
        return (
            SIGNED_IN
            if seen.json.get("otp") == "123456"
            else Answer(status=401, error={**BAD.error, "code": "otp_required"})
        )

    api.on("POST", "/auth/login", answer)
    call = ("login", "--url", api.url, "--email", "ada@example.com", "--password-stdin")
    ran = anonymous(*call, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "flag_needed")
    assert "--otp" in ran.err
    stdin.seek(0)
    assert anonymous(*call, "--otp", "123456").code == 0
    stdin.seek(0)
    answers.append("123456")
    assert anonymous(*call, interactive=True).code == 0
    assert kept(home) == SESSION


CODES = {
    "deviceCode": "d",
    "userCode": "BCDF-GHJK",
    "verificationUri": "https://x/device",
    "interval": 5,
    "expiresIn": 9,
}


def refusal(code):
    return Answer(status=400, error={"code": code, "message": "So it is.", "hint": None})


@pytest.fixture
def pauses(monkeypatch):
    """How long it waited between its questions."""
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


def test_a_device_shows_its_code_and_waits_as_it_is_told(anonymous, api, home, pauses):
    told = [refusal("authorization_pending"), refusal("slow_down"), SIGNED_IN]
    api.on("POST", "/auth/device", CODES)
    api.on("POST", "/auth/device/token", lambda _: told.pop(0))
    ran = anonymous("login", "--url", api.url, interactive=True)
    assert ran.code == 0, ran.err
    assert "https://x/device" in ran.err
    assert "cygni approve BCDF-GHJK" in ran.err
    assert pauses == [5, 5, 10]
    assert kept(home) == SESSION


@pytest.mark.parametrize("code", ["access_denied", "expired_token"])
def test_a_device_that_is_not_let_in_says_so(anonymous, api, home, pauses, code):
    api.on("POST", "/auth/device", CODES)
    api.on("POST", "/auth/device/token", refusal(code))
    ran = anonymous("login", "--url", api.url, "--json", interactive=True)
    assert (ran.code, ran.json["error"]["code"]) == (1, code)
    assert kept(home) is None


def test_an_api_without_that_way_is_given_a_token(anonymous, api, home, answers):
    answers.append(SESSION)
    assert anonymous("login", "--url", api.url, interactive=True).code == 0
    assert kept(home) == SESSION


def test_a_device_is_let_in_or_not(cygni, api):
    api.on("POST", "/auth/device/approve", Answer(status=204))
    assert cygni("approve", "BCDF-GHJK").code == 0
    assert cygni("approve", "BCDF-GHJK", "--deny").code == 0
    assert [seen.json["approve"] for seen in api.sent("POST", "/auth/device/approve")] == [True, False]
