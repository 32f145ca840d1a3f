"""The Python SDK against a real installation: the quick start of its README, and all that a program does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cygni import CygniClient, NotFoundError
from tests.e2e.harness import EXAMPLES, SECONDS, Installation

README = Path(__file__).parents[3] / "sdk/python/README.md"
APP = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("COLOR", "none").encode())

HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_the_quick_start(shared: Installation, tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert program is not None
    shutil.copytree(EXAMPLES / "hello", tmp_path / "shop")
    env = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
    env |= {"CYGNI_API_KEY": shared.token, "CYGNI_API_URL": shared.summary["apiUrl"]}
    done = subprocess.run(
        [sys.executable, "-c", program[1]], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=2 * SECONDS
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "http://quick-start.localhost" in done.stdout
    assert "quick-start active" in done.stdout


def test_all_that_a_program_does(shared: Installation, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "Procfile").write_text("web: python3 app.py\n")
    (tmp_path / "requirements.txt").write_text("")
    with CygniClient(shared.token, shared.summary["apiUrl"]) as owner:
        scopes = ["projects:*", "deployments:*", "env:*", "logs:read", "tokens:*"]
        secret = owner.tokens.create(name="kitchen sink", scopes=scopes).secret
    with CygniClient(secret, shared.summary["apiUrl"]) as client:
        project = client.projects.create(name="python-sink", labels={"made-by": "a test"})
        assert project.labels == {"made-by": "a test"}
        upload = client.uploads.from_directory(tmp_path)
        assert client.uploads.from_directory(tmp_path).sha256 == upload.sha256

        first = client.deployments.create(project_id=project.id, upload_id=upload.id)
        assert first.last_response.status == 201
        with client.deployments.stream_logs(first.id) as stream:
            lines = [event.data for event in stream if event.event == "log"]
        assert stream.end is not None
        assert (stream.end.reason, stream.end.status) == ("finished", "success")
        live = client.deployments.wait(first.id, timeout=SECONDS)
        assert live.is_current
        assert live.url == client.projects.get(project.id).url
        assert [line.id for line in lines] == [line.id for line in client.deployments.logs(first.id)]
        assert shared.get("python-sink").body == "none"

        client.env.create(project_id=project.id, key="COLOR", value="grün", environments=["production"], type="plain")
        client.deployments.wait(client.deployments.redeploy(first.id).id, timeout=SECONDS)
        assert shared.get("python-sink").body == "grün"

        back = client.deployments.wait(client.projects.rollback(project.id).id, timeout=SECONDS)
        assert (back.type, back.status) == ("rollback", "success")
        assert shared.get("python-sink").body == "none"

        for number in range(250):
            client.tokens.create(name=f"many {number:03}", scopes=["logs:read"])
        listed = [token.name for token in client.tokens.list(limit=100, search="many")]
        assert sorted(listed) == [f"many {number:03}" for number in range(250)]
        assert len(list(client.tokens.list(limit=100, search="many").pages())) == 3

        for token in client.tokens.list(limit=100, search="many", status=["active"]).items[:3]:
            client.tokens.delete(token.id)
        assert client.raw.projects.delete(project.id, confirm="python-sink").status == 202
        with pytest.raises(NotFoundError) as error:
            client.deployments.create(project_id="no-such-project", upload_id=upload.id)
        assert error.value.request_id
