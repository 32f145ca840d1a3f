from pathlib import Path

import pytest

from cygnid.build import cygni_toml
from cygnid.build.base import BuildFailed, HealthCheck

EXAMPLE = Path(__file__).parents[3] / "examples" / "cygni.example.toml"


def test_the_example_is_what_the_validator_knows() -> None:
    assert EXAMPLE.read_text() == cygni_toml.example()


def test_the_example_is_valid_and_says_every_key() -> None:
    parsed = cygni_toml.parse(cygni_toml.example())
    assert all(getattr(parsed, name) is not None for name in cygni_toml.TOP)
    web = parsed.processes["web"]
    assert all(getattr(web, name) is not None for name in cygni_toml.PROCESS)
    assert web.health_check == HealthCheck(path="/healthz", timeout_seconds=60, interval_seconds=10)
    assert parsed.processes["worker"].command == "python worker.py"
    assert parsed.env == {"LOG_LEVEL": "info"}


def test_an_empty_file_says_nothing() -> None:
    assert cygni_toml.parse("") == cygni_toml.CygniToml()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('\nbuild_comand = "x"', 2, "build_comand is unknown"),
        ("[processes.web]\ncommand = 'x'\nreplicas = 2", 3, "processes.web.replicas is unknown"),
        ("[processes.web]\ncommand = 'x'\n[processes.web.health_check]\nurl = '/'", 4, "health_check.url is unknown"),
        ("[build]\ncommand = 'x'", 1, "build is unknown"),
        ("root_dir = 3", 1, "root_dir must be text"),
        ("root_dir = '../x'", 1, "must be a folder or file inside"),
        ("watch_paths = 'web/'", 1, "must be a list of texts"),
        ("watch_paths = ['web/', 3]", 1, "must be a list of texts"),
        ("watch_paths = ['web/', '../api']", 1, "must not leave the repository"),
        ("output_dir = '/srv'", 1, "must be a folder or file inside"),
        ("[processes.web]\nport = 70000", 2, "must be between 1 and 65535"),
        ("[processes.web]\nport = true", 2, "must be a whole number"),
        ("[processes.web]\nmemory_mb = 1.5", 2, "must be a whole number"),
        ("[processes.web]\nprotocol = 'h3'", 2, 'must be "http1" or "h2c"'),
        ("[processes.'a b']\ncommand = 'x'", 1, "is no process type"),
        ("[processes.web.health_check]\ntimeout_seconds = 5", 1, "needs a path"),
        ("[processes.web.health_check]\npath = 'up'", 2, "must start with /"),
        ("[env]\nA = 1", 2, "must be text in quotes"),
        ("[env]\n'A B' = 'x'", 2, "is no name of a variable"),
        ("processes.web = 3", 1, "must be a table"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        cygni_toml.parse(text)
    assert caught.value.code == "source_invalid"
    assert f"cygni.toml line {line}: " in caught.value.message
    assert what in caught.value.message


def test_unknown_keys_come_with_the_allowed_ones() -> None:
    with pytest.raises(BuildFailed) as caught:
        cygni_toml.parse("[processes.web]\nreplicas = 2")
    for name in (*cygni_toml.PROCESS, "health_check"):
        assert name in caught.value.hint


@pytest.mark.parametrize(
    "text", ["a = ", "a = 1\na = 2", "[" * 50_000, "a = " + "[" * 50_000, "\0", "a = " + "9" * 5000]
)
def test_what_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(BuildFailed, match=r"cygni\.toml cannot be read"):
        cygni_toml.parse(text)
