import hashlib

import pytest

from cygni import APIConnectionError, APIStatusError, BadRequestError
from cygni._runtime import uploads


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 10)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(bytes(range(25)))
    return path


def upload(received, size=25):
    status = "complete" if received == size else "receiving" if received else "pending"
    return {"data": {"id": "upl_1", "status": status, "receivedBytes": received}, "meta": {}}


def ranges(server):
    return [seen.headers["content-range"] for seen in server.requests if seen.method == "PUT"]


def test_part_by_part(client, server, reply, archive):
    server.script = [reply(201, upload(0)), *(reply(200, upload(n)) for n in (10, 20, 25))]
    progress = []
    answer = client.upload_file(archive, "application/gzip", on_progress=lambda *at: progress.append(at))
    assert answer.data["status"] == "complete"
    created = server.requests[0]
    assert created.json == {
        "sizeBytes": 25,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "contentType": "application/gzip",
    }
    assert ranges(server) == ["bytes 0-9/25", "bytes 10-19/25", "bytes 20-24/25"]
    assert b"".join(seen.body for seen in server.requests[1:]) == archive.read_bytes()
    assert server.requests[1].headers["content-type"] == "application/gzip"
    assert progress == [(0, 25), (10, 25), (20, 25), (25, 25)]


def test_a_broken_part_goes_on_where_the_server_stopped_reading(client, server, reply, archive):
    server.script = [
        reply(201, upload(0)),
        reply(200, upload(10)),
        reply(reset=True, read_bytes=4),
        reply(200, upload(14)),
        reply(200, upload(24)),
        reply(200, upload(25)),
    ]
    client.upload_file(archive, "application/gzip")
    assert ranges(server) == ["bytes 0-9/25", "bytes 10-19/25", "bytes 14-23/25", "bytes 24-24/25"]
    assert (server.requests[3].method, server.requests[3].path) == ("GET", "/v1/uploads/upl_1")


def test_a_gap_is_closed(client, server, reply, archive):
    conflict = {"error": {"code": "invalid_state", "details": {"receivedBytes": 7}}, "meta": {}}
    server.script = [reply(201, upload(0)), reply(409, conflict), reply(200, upload(7)), reply(200, upload(25))]
    client.upload_file(archive, "application/gzip")
    assert ranges(server) == ["bytes 0-9/25", "bytes 7-16/25"]


def test_what_the_server_has_is_not_sent_again(client, server, reply, archive):
    server.script = [reply(201, upload(25))]
    assert client.upload_file(archive, "application/gzip").data["id"] == "upl_1"
    assert len(server.requests) == 1


def test_a_line_that_only_breaks_is_given_up(client, server, reply, archive):
    server.script = [reply(201, upload(0))]
    for _ in range(3):
        server.script += [reply(reset=True), reply(200, upload(0))]
    with pytest.raises(APIConnectionError):
        client.upload_file(archive, "application/gzip")
    assert len(ranges(server)) == 3


def test_a_refusal_is_final(client, server, reply, archive):
    wrong_hash = {"error": {"code": "validation_error", "details": {"field": "sha256"}}, "meta": {}}
    server.script = [reply(201, upload(0)), reply(400, wrong_hash)]
    with pytest.raises(BadRequestError):
        client.upload_file(archive, "application/gzip")
    server.script = [reply(413)]
    with pytest.raises(APIStatusError):
        client.upload_file(archive, "application/gzip")
    assert len(server.requests) == 3


def test_a_directory(client, server, reply, tmp_path):
    (tmp_path / "app.py").write_text("print()")

    def create(seen):
        server.script.append(reply(200, upload(seen.json["sizeBytes"], seen.json["sizeBytes"])))
        return reply(201, upload(0))

    server.script = [create]
    assert client.upload_directory(tmp_path).status == "complete"
    assert server.requests[0].json["contentType"] == "application/gzip"
    assert hashlib.sha256(server.requests[1].body).hexdigest() == server.requests[0].json["sha256"]
