"""What the generated methods send, and what they make of answers. The scenarios of sdk/conformance say the rest."""

import asyncio
from datetime import datetime, timezone

import pytest

from cygni import AsyncCygniClient, CygniClient, Model, UnknownEvent, WebhookVerificationError, types
from cygni._runtime import webhooks

PROJECT = {"id": "proj_1", "name": "shop", "createdAt": "2026-11-24T08:00:00.123Z", "colour": "new"}


def enveloped(data):
    return {"data": data, "meta": {"requestId": "req_1", "timestamp": "2026-11-24T08:00:00Z"}}


@pytest.fixture
def client(server):
    with CygniClient("cygp_test", server.url) as made:
        yield made


def test_fields_are_read_leniently(client, server, reply):
    server.script = [reply(200, enveloped({**PROJECT, "status": "hibernating", "build": {"rootDir": "web"}}))]
    project = client.projects.get("shop")
    assert project.created_at == datetime(2026, 11, 24, 8, 0, 0, 123000, timezone.utc)
    assert (project.status, project["colour"], project.url) == ("hibernating", "new", None)
    assert project.build.root_dir == "web"
    assert project.last_response.request_id == "req_1"
    with pytest.raises(LookupError, match="part of an answer"):
        _ = project.build.last_response
    with pytest.raises(AttributeError, match="has no attribute 'nmae'"):
        _ = project.nmae


def test_nested_names_are_written_as_the_wire_has_them_and_the_users_own_stay(client, server, reply):
    server.script = [reply(200, enveloped(PROJECT))]
    client.projects.update(
        "shop", framework=None, build={"root_dir": "web"}, labels={"my_key": "a"}, processes=[{"type": "web"}]
    )
    sent = {"framework": None, "build": {"rootDir": "web"}, "labels": {"my_key": "a"}, "processes": [{"type": "web"}]}
    assert server.requests[0].json == sent


def test_a_part_of_an_answer_can_be_sent_back(client, server, reply):
    build = types.BuildSettingsOut({"rootDir": "web", "new": 1})
    server.script = [reply(200, enveloped(PROJECT))]
    client.projects.update("shop", build=build)
    assert server.requests[0].json == {"build": {"rootDir": "web", "new": 1}}


def test_times_need_a_zone(client, server, reply):
    with pytest.raises(ValueError, match="no time zone"):
        client.tokens.create(name="ci", scopes=["*"], expires_at=datetime(2030, 1, 1))  # noqa: DTZ001
    server.script = [reply(200, enveloped({}))]
    client.tokens.create(name="ci", scopes=["*"], expires_at=datetime(2030, 1, 1, tzinfo=timezone.utc))
    assert server.requests[0].json["expiresAt"] == "2030-01-01T00:00:00Z"


def test_members_of_a_union_that_are_not_known_are_plain(client, server, reply):
    server.script = [reply(200, enveloped({"id": "dep_1", "source": {"type": "carrier-pigeon", "ring": 7}}))]
    source = client.deployments.get("dep_1").source
    assert type(source) is Model
    assert source["ring"] == 7


def test_awaited(server, reply):
    server.script = [reply(200, enveloped(PROJECT)), reply(200, enveloped(PROJECT))]

    async def ask():
        async with AsyncCygniClient("cygp_test", server.url) as client:
            raw = await client.raw.projects.get("shop")
            return (await client.projects.get("shop")).name, raw.status, raw.parse().name

    assert asyncio.run(ask()) == ("shop", 200, "shop")


@pytest.mark.parametrize(
    "vector",
    [
        ("whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", 1731705121,
         '{"event_type":"ping","data":{"success":true}}', "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
         '{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ("your-webhook-secret", "whd_1", 1704067200,
         '{"type":"deployment.success","timestamp":"2024-01-01T00:00:00Z","data":{"id":"dep_123"}}',
         "v1,kjlKfYenNRw+I34t9O5kJpvee7cwBvSmEiuCcSHBAlQ="),
    ],
)  # fmt: skip
def test_published_signatures(client, monkeypatch, vector):
    secret, identity, sent_at, body, signature = vector
    monkeypatch.setattr(webhooks.time, "time", lambda: sent_at + 10)
    headers = {"Webhook-Id": identity, "Webhook-Timestamp": str(sent_at), "Webhook-Signature": signature}
    client.webhooks.verify(body, headers, secret)
    assert isinstance(client.webhooks.unwrap(body.encode(), headers, secret), UnknownEvent)
    for wrong in ({"Webhook-Signature": "v1,AAAA"}, {"Webhook-Id": "other"}, {"Webhook-Timestamp": "soon"}):
        with pytest.raises(WebhookVerificationError):
            client.webhooks.verify(body, {**headers, **wrong}, secret)
    monkeypatch.setattr(webhooks.time, "time", lambda: sent_at + 301)
    with pytest.raises(WebhookVerificationError, match="too long ago"):
        client.webhooks.verify(body, headers, secret)
