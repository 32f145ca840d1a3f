import pytest

from cygni import APIConnectionError, NotFoundError, StreamEnd
from cygni._runtime import behavior

SSE = {"Content-Type": "text/event-stream"}
END = b'event: end\ndata: {"reason":"finished","status":"success","exitCode":0}\n\n'


def log(number):
    return f'id: log_{number}\nevent: log\ndata: {{"message":"line {number}"}}\n\n'.encode()


def messages(events):
    return [event.data["message"] for event in events]


def test_a_stream_ends_and_says_why(client, server, reply):
    server.script = [reply(headers=SSE, parts=[log(1), b": ping\n\n", log(2), END], hold=True)]
    events, end, failure = client.stream("/v1/logs/stream", query={"projectId": "shop"})
    assert messages(events) == ["line 1", "line 2"]
    assert [(event.event, event.id) for event in events] == [("log", "log_1"), ("log", "log_2")]
    assert end == StreamEnd(reason="finished", status="success", exit_code=0)
    assert failure is None
    assert server.requests[0].headers["accept"] == "text/event-stream"
    assert "last-event-id" not in server.requests[0].headers


def test_a_cut_stream_goes_on_after_the_last_event(client, server, reply):
    half = b'id: log_9\nevent: log\ndata: {"message":"never comp'
    server.script = [
        reply(headers=SSE, parts=[log(1), log(2), half]),
        reply(headers=SSE, parts=[log(3)]),
        reply(503),
        reply(headers=SSE, parts=[log(4), END]),
    ]
    events, end, _ = client.stream("/v1/logs/stream")
    assert messages(events) == ["line 1", "line 2", "line 3", "line 4"]
    assert end.reason == "finished"
    assert [seen.headers.get("last-event-id") for seen in server.requests] == [None, "log_2", "log_3", "log_3"]


def test_a_stream_begins_after_a_given_event(client, server, reply):
    server.script = [reply(headers=SSE, parts=[b'event: gap\ndata: {"from":null}\n\n', END])]
    events, _, _ = client.stream("/v1/logs/stream", last_event_id="log_0")
    assert server.requests[0].headers["last-event-id"] == "log_0"
    assert [(event.event, event.data) for event in events] == [("gap", {"from": None})]


def test_silence_is_a_broken_line(client, server, reply, monkeypatch):
    monkeypatch.setattr(behavior, "HEARTBEAT_TIMEOUT_SECONDS", 0.2)
    server.script = [reply(headers=SSE, parts=[log(1)], hold=True), reply(headers=SSE, parts=[log(2), END])]
    events, end, _ = client.stream("/v1/logs/stream")
    assert messages(events) == ["line 1", "line 2"]
    assert end.reason == "finished"


def test_a_line_that_only_breaks_is_given_up(client, server, reply):
    server.script = [reply(headers=SSE, parts=[log(1)])] + [reply(headers=SSE, parts=[b": ping\n\n"])] * 4
    events, end, failure = client.stream("/v1/logs/stream")
    assert messages(events) == ["line 1"]
    assert end is None
    assert type(failure) is APIConnectionError
    assert len(server.requests) == 3


def test_a_refusal_comes_as_an_error(client, server, reply):
    server.script = [reply(404, {"error": {"code": "not_found", "message": "There is none."}, "meta": {}})]
    _, _, failure = client.stream("/v1/deployments/dep_1/logs/stream")
    assert type(failure) is NotFoundError
    assert failure.code == "not_found"


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7])
def test_lines_may_end_and_be_cut_anywhere(client, server, reply, newline, size):
    text = '\ufeffid: 1\nevent: log\ndata: {"message":\ndata: "grün"}\nother: x\nretry\n\n:\n\n'.encode() + END
    raw = text.replace(b"\n", newline) + b":"
    server.script = [reply(headers=SSE, parts=[raw[at : at + size] for at in range(0, len(raw), size)])]
    events, end, _ = client.stream("/v1/logs/stream")
    assert messages(events) == ["grün"]
    assert end.status == "success"
