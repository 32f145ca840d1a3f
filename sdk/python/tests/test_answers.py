import json

import pytest

import cygni
from cygni import APIStatusError


def test_an_answer_is_opened(client, server, reply):
    headers = {
        "ETag": '"abc.3"',
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "95",
        "X-RateLimit-Reset": "1640995200",
        "X-RateLimit-Used": "5",
        "X-RateLimit-Resource": "core",
    }
    warning = {"code": "dry_run", "message": "Nothing was changed.", "path": None}
    server.script = [reply(200, {"data": {"id": "proj_1"}, "meta": {"requestId": "r", "warnings": [warning]}}, headers)]
    answer = client.request("get", "/v1/projects/shop", query={"a": 1, "b": True, "c": None, "label": ["x:1", "y:2"]})
    assert answer.data == {"id": "proj_1"}
    assert answer.status == 200
    assert answer.request_id == "req_1"
    assert answer.etag == '"abc.3"'
    assert answer.headers["x-ratelimit-limit"] == "100"
    assert answer.rate_limit == cygni.RateLimit(limit=100, remaining=95, reset=1640995200, used=5, resource="core")
    assert answer.warnings == [cygni.APIWarning("dry_run", "Nothing was changed.", None)]
    assert answer.pagination is None
    assert server.requests[0].path == "/v1/projects/shop?a=1&b=true&label=x%3A1%2Cy%3A2"


def test_what_a_request_carries(client, server, reply):
    server.script = [reply(204)]
    answer = client.request("PATCH", "/projects/shop", json={"name": "ü", "url": None}, if_match='"abc.3"')
    seen = server.requests[0]
    assert (seen.method, seen.path) == ("PATCH", "/v1/projects/shop")
    assert seen.json == {"name": "ü", "url": None}
    assert seen.headers["authorization"] == "Bearer cygp_test"
    assert seen.headers["if-match"] == '"abc.3"'
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith(f"cygni-python/{cygni.__version__} (python/3.")
    assert json.loads(seen.headers["x-cygni-client"])["name"] == "sdk-python"
    assert (answer.status, answer.data, answer.rate_limit) == (204, None, None)


def test_without_a_key_nothing_is_authorized(make_client, server, reply):
    server.script = [reply(200, {"data": {"status": "ok"}, "meta": {}})]
    make_client(api_key="").request("GET", "/v1/health")
    assert "authorization" not in server.requests[0].headers


def test_not_modified_is_no_error(client, server, reply):
    server.script = [reply(304)]
    answer = client.request("GET", "/v1/projects/shop", headers={"If-None-Match": '"abc.3"'})
    assert (answer.status, answer.data) == (304, None)


def test_what_has_no_envelope_stays_as_it_is(client, server, reply):
    server.script = [reply(200, {"openapi": "3.1.0"}), reply(200, b"a,b\n", {"Content-Type": "text/csv"})]
    assert client.request("GET", "/v1/openapi.json").data == {"openapi": "3.1.0"}
    export = client.request("GET", "/v1/audit-logs/export")
    assert (export.data, export.content) == (None, b"a,b\n")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (402, "APIStatusError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (412, "APIStatusError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
    ],
)
def test_each_status_has_its_class(make_client, server, reply, status, name):
    body = {
        "code": "some_code",
        "message": "What and why.",
        "hint": "What next.",
        "details": {"field": "name"},
        "docUrl": "/docs",
        "errors": [{"field": "name", "code": "required", "reason": "It is missing."}],
    }
    server.script = [reply(status, {"error": body, "meta": {"requestId": "r"}}, {"Retry-After": "7"})]
    with pytest.raises(APIStatusError) as raised:
        make_client(max_retries=0).request("GET", "/v1/me")
    failure = raised.value
    assert type(failure) is getattr(cygni, name)
    assert isinstance(failure, cygni.CygniError)
    assert (failure.status, failure.code, failure.message) == (status, "some_code", "What and why.")
    assert (failure.hint, failure.details, failure.doc_url) == ("What next.", {"field": "name"}, "/docs")
    assert failure.errors == body["errors"]
    assert (failure.request_id, failure.retry_after) == ("req_1", 7.0)
    assert failure.last_response.rate_limit is None
    assert str(failure) == f"{status} some_code: What and why."


def test_an_error_of_a_proxy_in_between(make_client, server, reply):
    server.script = [reply(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"})]
    with pytest.raises(cygni.InternalServerError) as raised:
        make_client(max_retries=0).request("GET", "/v1/me")
    assert raised.value.code == "http_502"
    assert raised.value.last_response.content == b"<html>Bad gateway</html>"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_gets_no_key(client, server, reply, status):
    server.script = [reply(status, headers={"Location": f"{server.origin}/elsewhere"})]
    with pytest.raises(APIStatusError, match="redirects to"):
        client.request("GET", "/v1/me")
    assert len(server.requests) == 1


@pytest.mark.parametrize("path", ["https://evil.example/v1/me", "v1/me", "evil.example"])
def test_a_url_is_not_a_path(client, server, path):
    with pytest.raises(ValueError, match="not a path"):
        client.request("GET", path)
    assert server.requests == []


def test_no_path_leads_to_another_host(client, server, reply):
    server.script = [reply(404)]
    with pytest.raises(cygni.NotFoundError):
        client.request("GET", "//evil.example/v1/me")
    assert server.requests[0].path == "/v1//evil.example/v1/me"


def test_a_segment_stays_one():
    assert cygni.segment("../a b/ü?") == "..%2Fa%20b%2F%C3%BC%3F"
