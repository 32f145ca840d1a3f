"""Python as strangers write it: every file that says what is installed, every framework that is started."""

import json

import pytest

from cygnid.build.base import BuildFailed, BuildSettings, Plan
from cygnid.build.detect import MemoryFiles, detect
from cygnid.build.detect.python_locks import pep440

AVAILABLE = {"python": ["3.11.2", "3.12.1"]}
HASH = "sha256:" + "a" * 64
MADE = "/run/made/requirements.txt"


def plan_of(files: dict[str, str]) -> Plan:
    return detect(MemoryFiles(files), BuildSettings(), framework=None, available=AVAILABLE)


def web(files: dict[str, str]) -> str:
    (process,) = plan_of(files).processes
    return process.command


STARTS: dict[str, tuple[dict[str, str], str]] = {
    "object by its class": (
        {"requirements.txt": "fastapi\nuvicorn", "main.py": "import fastapi\nservice = fastapi.FastAPI()\n"},
        "uvicorn main:service --host 0.0.0.0 --port $PORT",
    ),
    "package": (
        {"requirements.txt": "fastapi\nuvicorn", "app/__init__.py": "", "app/main.py": "app = FastAPI()\n"},
        "uvicorn app.main:app --host 0.0.0.0 --port $PORT",
    ),
    "folder that is none": (
        {"requirements.txt": "fastapi\nuvicorn", "src/main.py": "import helper\napp = FastAPI()\n"},
        "uvicorn main:app --host 0.0.0.0 --port $PORT --app-dir src",
    ),
    "folder imported as one": (
        {"requirements.txt": "fastapi\nuvicorn", "src/main.py": "from src import helper\napp = FastAPI()\n"},
        "uvicorn src.main:app --host 0.0.0.0 --port $PORT",
    ),
    "asgi factory": (
        {"requirements.txt": "litestar\nuvicorn", "app.py": "def create_app():\n    return Litestar([])\n"},
        "uvicorn app:create_app --factory --host 0.0.0.0 --port $PORT",
    ),
    "hypercorn": (
        {"requirements.txt": "quart\nhypercorn", "app.py": "app = Quart(__name__)\n"},
        "hypercorn app:app --bind 0.0.0.0:$PORT",
    ),
    "waitress": (
        {"requirements.txt": "flask\nwaitress", "app.py": "app = Flask(__name__)\n"},
        "waitress-serve --listen=0.0.0.0:$PORT app:app",
    ),
    "factory in a package": (
        {
            "requirements.txt": "flask\ngunicorn",
            "shop/__init__.py": "from flask import Flask\ndef create_app(config=None):\n    return Flask(__name__)\n",
        },
        "gunicorn --bind 0.0.0.0:$PORT 'shop:create_app()'",
    ),
    "dash": (
        {"requirements.txt": "dash\ngunicorn", "app.py": "app = Dash(__name__)\nserver = app.server\n"},
        "gunicorn --bind 0.0.0.0:$PORT app:server",
    ),
    "written for a newer Python": (
        {"requirements.txt": "flask\ngunicorn", "app.py": "app = Flask(__name__)\nx = <<\n"},
        "gunicorn --bind 0.0.0.0:$PORT app:app",
    ),
    "streamlit": (
        {"requirements.txt": "streamlit", "home.py": "import streamlit as st\n", "other.py": ""},
        (
            "streamlit run home.py --server.port $PORT --server.address 0.0.0.0 --server.headless true "
            "--browser.gatherUsageStats false"
        ),
    ),
    "gradio": (
        {"requirements.txt": "gradio", "app.py": "import gradio as gr\n"},
        "GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=$PORT python app.py",
    ),
    "django below": (
        {"requirements.txt": "django\ngunicorn", "site/manage.py": "", "site/shop/wsgi.py": ""},
        "gunicorn shop.wsgi --bind 0.0.0.0:$PORT --chdir site",
    ),
    "django asgi": (
        {"requirements.txt": "django\nuvicorn", "manage.py": "", "shop/asgi.py": ""},
        "uvicorn shop.asgi:application --host 0.0.0.0 --port $PORT",
    ),
}


@pytest.mark.parametrize("case", STARTS)
def test_the_start_command(case: str) -> None:
    files, command = STARTS[case]
    assert web(files) == command


def test_a_factory_that_asks_for_something_cannot_be_called() -> None:
    with pytest.raises(BuildFailed, match="nothing says how to start it"):
        plan_of({"requirements.txt": "flask\ngunicorn", "app.py": "def create_app(config):\n    pass\n"})


def test_a_server_that_the_app_lacks_is_installed_and_said() -> None:
    files = {"requirements.txt": "flask", "app.py": "app = Flask(__name__)\n"}
    plan = plan_of(files)
    assert plan.install_command == "uv pip install -r requirements.txt && uv pip install gunicorn"
    assert any("gunicorn is installed to serve the app" in reason for reason in plan.reasons)
    assert plan_of({**files, "Procfile": "web: flask run"}).install_command == "uv pip install -r requirements.txt"


def test_static_files_of_django_are_collected_for_the_settings_that_serve() -> None:
    files = {
        "requirements.txt": "django\ngunicorn",
        "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.local")',
        "shop/wsgi.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")',
        "shop/settings/base.py": "STATIC_ROOT = BASE_DIR / 'static'\n",
    }
    collect = "python manage.py collectstatic --noinput --settings=shop.settings.production"
    assert plan_of(files).build_command == collect
    assert plan_of({**files, "shop/settings/base.py": ""}).build_command is None


def poetry_lock(*packages: str) -> str:
    return "\n".join(packages)


def locked(name: str, more: str = "", version: str = "1.0") -> str:
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\npython-versions = "*"\n'
        f'files = [{{file = "x", hash = "{HASH}"}}]\n{more}\n'
    )


POETRY = '[tool.poetry]\nname="shop"\n[tool.poetry.dependencies]\npython="^3.11,<3.12"\nFlask="*"\n'


def test_a_lock_of_poetry_is_installed_by_hash_without_what_only_development_needs() -> None:
    needs = '[package.dependencies]\nclick = ">=1"\ncolor = {version = "*", markers = "sys_platform == \'win32\'"}\n'
    lock = poetry_lock(locked("flask", needs), locked("click"), locked("color"), locked("pytest"))
    plan = plan_of({"pyproject.toml": POETRY, "poetry.lock": lock, "Procfile": "web: x"})
    assert plan.install_command == f"uv pip install --no-deps --require-hashes -r {MADE}"
    text = plan.install_made["requirements.txt"]
    assert [line.split()[0] for line in text.splitlines() if "==" in line] == ["click==1.0", "flask==1.0"]
    assert text.count(f"--hash={HASH}") == 2
    assert plan.install_key is not None
    assert plan.toolchain == "python-3.11.2"


def test_extras_of_poetry_bring_their_packages() -> None:
    extras = '[package.dependencies]\nuv = {version = "*", optional = true}\n[package.extras]\nfast = ["uv (>=1)"]\n'
    project = POETRY.replace('Flask="*"', 'Flask={version="*", extras=["fast"]}')
    lock = poetry_lock(locked("flask", extras), locked("uv"))
    made = plan_of({"pyproject.toml": project, "poetry.lock": lock, "Procfile": "web: x"}).install_made
    assert "uv==1.0" in made["requirements.txt"]
    made = plan_of({"pyproject.toml": POETRY, "poetry.lock": lock, "Procfile": "web: x"}).install_made
    assert "uv==1.0" not in made["requirements.txt"]


@pytest.mark.parametrize("files", [{"src/shop/a.py": ""}, {}])
def test_a_package_of_poetry_below_src_is_installed_itself(files: dict[str, str]) -> None:
    project = POETRY + '[build-system]\nrequires=["poetry-core"]\n'
    plan = plan_of({"pyproject.toml": project, "poetry.lock": locked("flask"), "Procfile": "web: x", **files})
    assert ("-e ." in (plan.install_command or "")) is bool(files)
    assert (plan.install_key is None) is bool(files)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"pyproject.toml": POETRY, "poetry.lock": locked("click")}, "poetry lock"),
        ({"pyproject.toml": '[project]\nname="a"\ndependencies=["flask"]', "uv.lock": locked("click")}, "uv lock"),
    ],
)
def test_a_lock_that_lacks_what_is_asked_for_is_refused_before_any_work(files: dict[str, str], command: str) -> None:
    with pytest.raises(BuildFailed, match="asks for flask") as caught:
        plan_of({**files, "Procfile": "web: x"})
    assert caught.value.code == "source_invalid"
    assert command in caught.value.hint


def test_a_lock_of_pipenv_is_installed_by_hash() -> None:
    packages = {"flask": {"version": "==3.0", "hashes": [HASH], "markers": "python_version >= '3.8'"}}
    lock = json.dumps({"_meta": {"sources": []}, "default": packages, "develop": {"pytest": {}}})
    pipfile = '[packages]\nflask = "*"\n[requires]\npython_version = "3.11"\n'
    plan = plan_of({"Pipfile": pipfile, "Pipfile.lock": lock, "app.py": "app = Flask(__name__)\n"})
    assert plan.install_made["requirements.txt"] == f"flask==3.0 ; python_version >= '3.8' \\\n    --hash={HASH}\n"
    assert (plan.toolchain, plan.framework) == ("python-3.11.2", "flask")


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"requirements/production.txt": "flask"}, "uv pip install -r requirements/production.txt"),
        ({"requirements.in": "flask"}, "uv pip install -r requirements.in"),
        ({"setup.py": ""}, "uv pip install ."),
        ({"setup.cfg": ""}, "uv pip install ."),
        ({"Pipfile": '[packages]\nflask = "~1.2"'}, f"uv pip install -r {MADE}"),
        ({"pyproject.toml": POETRY}, f"uv pip install -r {MADE}"),
    ],
)
def test_other_files_that_say_what_is_installed(files: dict[str, str], command: str) -> None:
    assert plan_of({**files, "Procfile": "web: x"}).install_command == command


def test_when_two_fit_the_log_says_which_won() -> None:
    files = {"pyproject.toml": POETRY, "poetry.lock": locked("flask"), "requirements.txt": "x", "Procfile": "web: x"}
    assert any("poetry.lock is installed from, not requirements.txt" in reason for reason in plan_of(files).reasons)


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        ("1.2", "==1.2"),
        ("1.2.*", "==1.2.*"),
        ("*", ""),
        (">=1,<2", ">=1,<2"),
        ("^1 || ^2", ">=2,<3"),
    ],
)
def test_constraints_of_poetry(constraint: str, specifier: str) -> None:
    assert pep440(constraint) == specifier


@pytest.mark.parametrize(
    ("files", "toolchain", "said"),
    [
        ({".tool-versions": "nodejs 20.1.0\npython 3.11.2\n"}, "python-3.11.2", ""),
        ({"mise.toml": '[tools]\npython = "3.11"\n'}, "python-3.11.2", ""),
        ({"runtime.txt": "python-3.11.9"}, "python-3.11.2", "asks for Python 3.11.9; 3.11.2 is the nearest"),
    ],
)
def test_the_version(files: dict[str, str], toolchain: str, said: str) -> None:
    plan = plan_of({"requirements.txt": "", "Procfile": "web: x", **files})
    assert plan.toolchain == toolchain
    assert any(said in reason for reason in plan.reasons)
