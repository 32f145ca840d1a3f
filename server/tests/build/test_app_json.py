"""What is taken of app.json, and what wins over it."""

import json
from typing import Any

import pytest

from cygnid.build.base import BuildFailed, BuildSettings, Plan
from cygnid.build.detect import MemoryFiles, asks, detect
from cygnid.build.detect.app_json import read

BASE = {"Procfile": "web: x\nworker: y\nclock: z\n"}
HEROKU = {
    "env": {
        "PLAIN": "a",
        "WITH_VALUE": {"value": "b", "description": "x"},
        "WANTED": {"description": "The key of the shop"},
        "ALSO_WANTED": {},
        "OPTIONAL": {"required": False},
        "RANDOM": {"generator": "secret"},
    },
    "scripts": {"postdeploy": "seed"},
    "formation": {"web": {"quantity": 2, "size": "standard-1x"}, "worker": {"quantity": 3}, "clock": {"quantity": 0}},
    "addons": ["heroku-postgresql", {"plan": "heroku-redis:mini"}],
    "buildpacks": [{"url": "heroku/python"}],
}


def plan_of(content: Any, **files: str) -> Plan:
    tree = {**BASE, "app.json": content if isinstance(content, str) else json.dumps(content), **files}
    return detect(MemoryFiles(tree), BuildSettings(), framework=None, available={})


def test_what_is_taken() -> None:
    plan = plan_of(HEROKU)
    assert plan.env == {"PLAIN": "a", "WITH_VALUE": "b"}
    assert plan.first_command == "seed"
    assert {process.type: process.instances for process in plan.processes} == {"web": 2, "worker": 3, "clock": 0}
    said = "\n".join(plan.reasons)
    for part in ("sizes for web", "heroku-postgresql, heroku-redis:mini", "heroku/python", "seed (app.json"):
        assert part in said


def test_cygni_toml_wins() -> None:
    toml = '[env]\nPLAIN = "c"\n[processes.web]\ninstances = 5\n'
    plan = plan_of(HEROKU, **{"cygni.toml": toml})
    assert plan.env == {"PLAIN": "c", "WITH_VALUE": "b"}
    assert {process.type: process.instances for process in plan.processes} == {"web": 5, "worker": 3, "clock": 0}


def test_what_is_asked_for() -> None:
    files = {"app.json": json.dumps(HEROKU)}
    asked = asks(MemoryFiles(files), BuildSettings())
    assert asked.required == {"WANTED": "The key of the shop", "ALSO_WANTED": ""}
    assert asked.generated == {"RANDOM"}
    toml = {"cygni.toml": '[env]\nWANTED = "c"\nRANDOM = "d"\n'}
    asked = asks(MemoryFiles({**files, **toml}), BuildSettings())
    assert (list(asked.required), asked.generated) == (["ALSO_WANTED"], frozenset())


def test_it_is_looked_for_in_the_folder_that_is_built() -> None:
    files = MemoryFiles({"app/app.json": json.dumps(HEROKU), "app.json": '{"env": {"TOP": {}}}'})
    assert "TOP" not in asks(files, BuildSettings(root_dir="app")).required


@pytest.mark.parametrize(
    "content",
    [
        {"expo": {"name": "an app of another kind"}},
        {"env": ["A"], "formation": [1], "scripts": "x", "addons": 3, "buildpacks": {}},
        {"env": {"no name": {}, "1A": "x"}, "formation": {"a b": {"quantity": 1}, "web": {"quantity": "2"}}},
        {"env": {"A": {"value": 3, "required": False}}, "formation": {"web": {"quantity": True}, "worker": 7}},
    ],
)
def test_what_has_another_form_is_left_alone(content: Any) -> None:
    found = read(MemoryFiles({"app.json": json.dumps(content)}))
    assert (found.env, found.required, found.generated, found.instances) == ({}, {}, frozenset(), {})
    assert (found.postdeploy, found.notes) == (None, ())


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(BuildFailed, match=r"app\.json cannot be read"):
        plan_of("{")


def test_a_static_site_has_no_postdeploy() -> None:
    tree = {"app.json": json.dumps({"scripts": {"postdeploy": "x"}}), "index.html": ""}
    assert detect(MemoryFiles(tree), BuildSettings(), framework=None, available={}).first_command is None
