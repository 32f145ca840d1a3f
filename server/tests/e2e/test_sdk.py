"""The SDK against a real installation over lines that break: what is under way goes on, and nothing comes twice."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cygni import CygniClient, Response
from cygni._runtime import uploads
from cygni._runtime.archive import pack
from tests.e2e.harness import EXAMPLES, SECONDS, Installation, until


class Relay:
    """Passes connections on to a port. After `cut_up` bytes of a request, or `cut_down` of an answer, it breaks that
    connection, once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cuts = 0
        self.cut_up: int | None = None
        self.cut_down: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        pumps: list[threading.Thread] = []
        ends: list[socket.socket] = []
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                break
            far = socket.create_connection(("127.0.0.1", self.port))
            ends += [near, far]
            for args in ((near, far, "cut_up"), (far, near, "cut_down")):
                pumps.append(threading.Thread(target=self._pump, args=args))
                pumps[-1].start()
        for pump in pumps:
            pump.join(SECONDS)
        for end in ends:
            end.close()

    def _pump(self, source: socket.socket, to: socket.socket, budget: str) -> None:
        passed = 0
        try:
            while chunk := source.recv(65536):
                passed += len(chunk)
                to.sendall(chunk)
                limit = getattr(self, budget)
                if limit is not None and passed >= limit:
                    setattr(self, budget, None)
                    self.cuts += 1
                    break
        except OSError:
            pass  # the other direction was cut
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed already


class Remembering(CygniClient):
    """Knows which upload it made."""

    upload_id = ""

    def request(self, *args: Any, **options: Any) -> Response:
        answer = super().request(*args, **options)
        if args[:2] == ("POST", "/uploads"):
            self.upload_id = answer.data["id"]
        return answer


@pytest.fixture
def relay(shared: Installation) -> Iterator[Relay]:
    made = Relay(shared.port)
    yield made
    made.stop()


def test_an_upload_goes_on_after_the_line_broke(
    shared: Installation, relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "index.html").write_text("hello")
    (folder / "noise").write_bytes(os.urandom(6 * 2**20))
    with (tmp_path / "packed").open("w+b") as file:
        pack(folder, file)
        file.seek(0)
        digest = hashlib.sha256(file.read()).hexdigest()
    relay.cut_up = 2 * 2**20
    told: list[int] = []

    def progress(sent: int, _: int) -> None:
        told.append(sent)

    with (
        Remembering(shared.token, base_url=relay.url) as client,
        CygniClient(shared.token, base_url=shared.summary["apiUrl"]) as other,
    ):

        def kept(_: int) -> float:
            """The server needs a moment to see that the line broke and to keep what had come."""
            until(lambda: other.uploads.get(client.upload_id).received_bytes, "a part is kept")
            return 0.0

        monkeypatch.setattr(uploads, "backoff", kept)
        upload = client.uploads.from_directory(folder, on_progress=progress)
    assert relay.cuts == 1
    assert (upload.status, upload.sha256) == ("complete", digest)
    assert told[0] == 0
    assert told[1] > 0  # it went on, and did not begin again
    assert upload.received_bytes == upload.size_bytes == told[-1]


def test_a_stream_goes_on_after_the_line_broke_and_ends_with_the_status(shared: Installation, relay: Relay) -> None:
    with CygniClient(shared.token, base_url=relay.url) as client:
        client.projects.create(name="streamed")
        upload = client.uploads.from_directory(EXAMPLES / "hello")
        deployment = client.deployments.create(project_id="streamed", upload_id=upload.id)
        relay.cut_down = 700
        with (
            CygniClient(shared.token, base_url=relay.url) as reader,
            reader.deployments.stream_logs(deployment.id) as stream,
        ):
            lines = [event.data for event in stream if event.event == "log"]
        assert stream.end is not None
        assert (stream.end.reason, stream.end.status) == ("finished", "success")
        assert relay.cuts == 1
        kept = [line.id for line in client.deployments.logs(deployment.id)]
    assert [line.id for line in lines] == kept
    assert len(kept) > 3
