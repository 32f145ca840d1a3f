import socket
import time
from email.utils import formatdate

import pytest

from cygni import APIConnectionError, APIStatusError, APITimeoutError, RateLimitError


def statuses(server, reply, *codes, body=None, **headers):
    server.script = [reply(code, body or {"data": code, "meta": {}}, headers) for code in codes]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_read_is_tried_again(client, server, reply, status):
    statuses(server, reply, status, status, 200)
    assert client.request("GET", "/v1/me").data == 200
    assert len(server.requests) == 3


def test_the_third_failure_is_raised(client, server, reply):
    statuses(server, reply, 503, 503, 503, 200)
    with pytest.raises(APIStatusError) as raised:
        client.request("GET", "/v1/me")
    assert raised.value.status == 503
    assert len(server.requests) == 3


def test_retries_can_be_turned_off_per_client_and_per_call(make_client, server, reply):
    for client, options in ((make_client(max_retries=0), {}), (make_client(), {"max_retries": 0})):
        statuses(server, reply, 503)
        with pytest.raises(APIStatusError):
            client.request("GET", "/v1/me", **options)
    assert len(server.requests) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(client, server, reply, form):
    value = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    server.script = [reply(429, headers={"Retry-After": value}), reply(200, {"data": 1, "meta": {}})]
    began = time.monotonic()
    assert client.request("GET", "/v1/me").data == 1
    # a date has whole seconds: up to one of the two may be lost
    assert time.monotonic() - began >= 0.95


def test_a_long_retry_after_is_given_up(client, server, reply):
    statuses(server, reply, 429, **{"Retry-After": "61"})
    with pytest.raises(RateLimitError) as raised:
        client.request("GET", "/v1/me")
    assert raised.value.retry_after == 61
    assert len(server.requests) == 1


def test_a_post_keeps_one_key_over_its_attempts(client, server, reply):
    statuses(server, reply, 500, 429, 201)
    client.request("POST", "/v1/projects", json={"name": "shop"})
    keys = {seen.headers["idempotency-key"] for seen in server.requests}
    assert len(server.requests) == 3
    assert len(keys) == 1
    assert {seen.body for seen in server.requests} == {b'{"name":"shop"}'}


def test_every_post_has_a_key_of_its_own_unless_one_is_given(client, server, reply):
    statuses(server, reply, 201, 201, 201, 200)
    client.request("POST", "/v1/projects")
    client.request("POST", "/v1/projects")
    client.request("POST", "/v1/projects", idempotency_key="mine")
    client.request("GET", "/v1/projects")
    first, second, third, read = (seen.headers.get("idempotency-key") for seen in server.requests)
    assert first != second
    assert third == "mine"
    assert read is None


def test_a_500_is_repeated_only_where_that_is_safe(client, server, reply):
    statuses(server, reply, 500, 200)
    with pytest.raises(APIStatusError):
        client.request("PATCH", "/v1/projects/shop", json={"name": "store"})
    assert len(server.requests) == 1
    statuses(server, reply, 500, 200)
    assert client.request("PATCH", "/v1/projects/shop", json={}, idempotency_key="k").status == 200


@pytest.mark.parametrize(("code", "is_retried"), [("idempotency_in_progress", True), ("name_taken", False)])
def test_of_conflicts_only_a_key_in_progress_is_waited_for(client, server, reply, code, is_retried):
    server.script = [reply(409, {"error": {"code": code}, "meta": {}}), reply(201, {"data": 1, "meta": {}})]
    if is_retried:
        assert client.request("POST", "/v1/projects").data == 1
    else:
        with pytest.raises(APIStatusError, match=code):
            client.request("POST", "/v1/projects")
    assert len(server.requests) == 1 + is_retried


def test_the_server_has_the_last_word(client, server, reply):
    server.script = [reply(503, headers={"X-Should-Retry": "false"})]
    with pytest.raises(APIStatusError):
        client.request("GET", "/v1/me")
    assert len(server.requests) == 1
    server.script = [reply(400, headers={"X-Should-Retry": "true"}), reply(200, {"data": 1, "meta": {}})]
    assert client.request("GET", "/v1/me").data == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 422])
def test_a_refusal_is_final(client, server, reply, status):
    statuses(server, reply, status, 200)
    with pytest.raises(APIStatusError):
        client.request("GET", "/v1/me")
    assert len(server.requests) == 1


def test_a_reset_connection_is_tried_again(client, server, reply):
    server.script = [reply(reset=True), reply(201, {"data": 1, "meta": {}})]
    assert client.request("POST", "/v1/projects").data == 1
    assert server.requests[0].headers["idempotency-key"] == server.requests[1].headers["idempotency-key"]


def test_nobody_there(make_client):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(APIConnectionError, match=f"http://127.0.0.1:{port} did not answer") as raised:
        make_client(base_url=f"http://127.0.0.1:{port}").request("GET", "/v1/me")
    assert not isinstance(raised.value, APITimeoutError)


def test_no_answer_in_time(client, server, reply):
    server.script = [reply(hold=True, headers={"Content-Length": "5"}) for _ in range(3)]
    with pytest.raises(APITimeoutError):
        client.request("GET", "/v1/me", timeout=0.2)
    assert len(server.requests) == 3
