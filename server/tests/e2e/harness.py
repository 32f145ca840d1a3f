"""A whole installation as a person starts it: real processes, real ports, the command line, and no trace afterwards."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cygni import APIStatusError, CygniClient

ROOT = os.geteuid() == 0
EXAMPLES = Path(__file__).parents[3] / "examples"
SECONDS = 240
"""That anything may take on a busy machine before it counts as stuck."""
UIDS = 10_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Answer:
    status: int
    body: str
    headers: dict[str, str]


@dataclass
class Visits:
    seen: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass
class Installation:
    """`folder` is open to all users. `toolchains` keeps what one installation copied for the next ones."""

    folder: Path
    toolchains: Path
    name: str = "data"
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    apps_port: int = field(default_factory=free_port)
    uid_base: int = field(default_factory=lambda: 1_000_000_000 + random.randrange(80_000) * UIDS)
    token: str = ""
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / self.name

    def api(self, method: str, path: str, **request: Any) -> Any:
        """The data of one answer, through the SDK."""
        with CygniClient(self.token, base_url=self.summary["apiUrl"]) as client:
            return client.request(method, path, **request).data

    def cygnid(self, *arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return _run(["-m", "cygnid", *arguments, "--data-dir", str(self.data)], self._env(**env), check=check)

    def cygni(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command line of who deploys."""
        login = {"CYGNI_API_URL": self.summary["apiUrl"], "CYGNI_API_KEY": self.token}
        home = {"XDG_CONFIG_HOME": str(self.folder / "config"), "PYTHONPATH": os.pathsep.join(sys.path)}
        code = "import sys; from cygni_cli.main import main; sys.exit(main())"
        return _run(["-c", code, *arguments], self._env(**login, **home), check=check)

    def up(self, **env: str) -> dict[str, Any]:
        """Starts it, or finds it running; the summary of `up --json`."""
        if self.toolchains.exists() and not self.data.exists():
            self.data.mkdir()
            _link(self.toolchains, self.data / "toolchains")
        ports = ["--port", str(self.port), "--apps-port", str(self.apps_port)]
        said = self.cygnid("up", "--detach", "--json", *ports, **env).stdout
        self.summary = json.loads(said.splitlines()[-1])
        self.token = self.summary["token"] or self.token
        if ROOT and not self.toolchains.exists():
            _link(self.data / "toolchains", self.toolchains)
        return self.summary

    def pids(self) -> dict[str, int | None]:
        """Of what runs now."""
        return json.loads(self.cygnid("up", "--detach", "--json").stdout.splitlines()[-1])["pids"]

    def health(self) -> str:
        try:
            return json.loads(_get(self.port, "127.0.0.1", "/v1/health").body)["data"]["status"]
        except OSError:
            return "refused"

    def deploy(self, folder: Path, project: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.cygni("deploy", str(folder), "--project", project, "--yes", check=check)

    def begin(self, folder: Path, project: str) -> str:
        """Start a deployment and do not wait; its id."""
        said = self.cygni("deploy", str(folder), "--project", project, "--yes", "--detach", "--json").stdout
        return json.loads(said)["id"]

    def deployment(self, identity: str) -> dict[str, Any]:
        return self.api("GET", f"/deployments/{identity}")

    def ended(self, identity: str) -> dict[str, Any]:
        """The deployment, once it is over."""
        until(lambda: self.deployment(identity)["finishedAt"], f"the end of {identity}")
        return self.deployment(identity)

    def instances(self, project: str) -> dict[str, str]:
        """Id → status of those that are meant to run."""
        found = self.api("GET", f"/projects/{project}/instances")
        return {each["id"]: each["status"] for each in found if each["status"] not in ("stopped", "stopping")}

    def get(self, project: str, path: str = "/") -> Answer:
        """What a visitor sees."""
        return _get(self.apps_port, f"{project}.localhost:{self.apps_port}", path)

    @contextlib.contextmanager
    def visited(self, project: str) -> Generator["Visits"]:
        """Somebody reads the application and the API's health all the while."""
        visits = Visits()
        over = threading.Event()

        def visit(port: int, host: str, path: str) -> None:
            while not over.is_set():
                try:
                    status = _get(port, host, path).status
                except (OSError, http.client.HTTPException) as error:
                    visits.failed.append(f"{host}{path}: {error!r}")
                else:
                    visits.seen += 1
                    if status != 200:
                        visits.failed.append(f"{host}{path}: {status}")
                over.wait(0.01)

        app, api = (self.apps_port, f"{project}.localhost", "/"), (self.port, "127.0.0.1", "/v1/health")
        threads = [threading.Thread(target=visit, args=each) for each in (app, api)]
        for thread in threads:
            thread.start()
        try:
            yield visits
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def reboot(self) -> None:
        """What a power cut and the next start leave: files, made while the machine had another boot id."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes(), "the end of all processes")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for path in (path for path in self.data.rglob("*") if path.is_file() and path.suffix in (".pid", ".json")):
            if boot in (text := path.read_text(errors="replace")):
                path.write_text(text.replace(boot, boot[::-1]))
        for folder in self.groups():
            folder.rmdir()

    def stop(self) -> None:
        """Whatever runs of it, so that nothing is left."""
        log = self.data / "logs" / "cygnid.log"
        print(log.read_text()[-8000:] if log.exists() else "no log")  # shown of tests that fail
        broken = self.altered_chains()
        self.cygnid("down", "--apps", check=False)
        left = self.leftovers()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert left == []
        assert broken == []

    def altered_chains(self) -> list[Any]:
        """Audit chains that do not fit: none, whatever a test did. Empty, too, where nobody can be asked any more."""
        if not self.token or self.health() in ("refused", "down"):
            return []
        try:
            teams = [team["id"] for team in self.api("GET", "/me")["teams"]]
        except APIStatusError:  # a test may have taken the token away
            self.token = self.cygnid("token").stdout.strip()
            teams = [team["id"] for team in self.api("GET", "/me")["teams"]]
        found = [(each, self.api("GET", "/audit-logs/verify", query={"teamId": each})) for each in (*teams, "null")]
        assert any(each["checkedRows"] for _, each in found)
        return [(team, each) for team, each in found if not each["valid"]]

    def leftovers(self) -> list[str]:
        """Processes, control groups, networks and mounts of it: none, once it has been stopped."""
        found = [f"process {pid}: {command_of(pid)}" for pid in self.processes()]
        link = f"cy{hashlib.sha256(self._id().encode()).hexdigest()[:8]}"
        found += [str(path) for path in (*self.groups(), *Path("/sys/class/net").glob(f"{link}*"))]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return found + [line for line in mounts if str(self.data) in line]

    def _id(self) -> str:
        record = self.data / "installation.json"
        return json.loads(record.read_text())["installationId"] if record.exists() else "none"

    def groups(self) -> list[Path]:
        """Control groups, the inner ones first."""
        tops = [top for depth in ("", "*/") for top in Path("/sys/fs/cgroup").glob(f"{depth}cygni-{self._id()}*")]
        found = [Path(folder) for top in tops for folder, _, _ in os.walk(top)]
        return sorted(found, key=lambda path: len(path.parts), reverse=True)

    def processes(self) -> list[int]:
        """Those that know its folder or run as one of its users."""
        found: list[int] = []
        uids = range(self.uid_base, self.uid_base + UIDS)
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if _state(entry) == "Z" or int(entry.name) == os.getpid():
                    continue
                known = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if str(self.data).encode() in known or entry.stat().st_uid in uids:
                    found.append(int(entry.name))
        return found

    def is_tenant(self, pid: int) -> bool:
        """Whether it runs as a user that the platform keeps for what others gave it."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}").stat().st_uid in range(self.uid_base + 3, self.uid_base + UIDS)
        return False

    def _env(self, **more: str) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
        # an installation of a test reserves no users of the machine
        own = {"CYGNI_UID_BASE": str(self.uid_base), "CYGNI_APPS_HOST": "127.0.0.1"}
        own |= {"CYGNI_BUILD_WEIGHT": "100"}  # tests do not wait for what else this machine does
        return {**env, **own, **self.env, **more}


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for what nobody announces."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return _state(Path(f"/proc/{pid}")) != "Z"
    except OSError:
        return False


def edited(example: str, into: Path, changes: dict[str, tuple[str, str]]) -> Path:
    """A copy of an example with texts of its files replaced."""
    folder = Path(shutil.copytree(EXAMPLES / example, into / example, dirs_exist_ok=True))
    for name, (old, new) in changes.items():
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    return folder


def _run(arguments: list[str], env: dict[str, str], *, check: bool) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def _get(port: int, host: str, path: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
    finally:
        connection.close()


def _link(source: Path, target: Path) -> None:
    """The same files in another folder: they are hundreds of megabytes, and nobody changes them."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)


def _state(entry: Path) -> str:
    return (entry / "stat").read_text().rpartition(") ")[2][0]


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
    return "ended"
