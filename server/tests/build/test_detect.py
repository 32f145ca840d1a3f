"""What is recognised in a tree, what wins, and what the log says about it."""

import json

import pytest

from cygnid.build.base import BuildFailed, BuildSettings, HealthCheck, Plan
from cygnid.build.detect import MemoryFiles, detect

AVAILABLE = {"python": ["3.11.2", "3.13.0", "3.12.1"], "node": ["20.20.2", "22.1.0"]}
APP = "from flask import Flask\napp = Flask(__name__)\n"


def plan_of(files: dict[str, str], settings: BuildSettings | None = None, *, framework: str | None = None) -> Plan:
    return detect(MemoryFiles(files), settings or BuildSettings(), framework=framework, available=AVAILABLE)


def failure(files: dict[str, str], settings: BuildSettings | None = None) -> BuildFailed:
    with pytest.raises(BuildFailed) as caught:
        plan_of(files, settings)
    return caught.value


def package(**content: object) -> str:
    return json.dumps(content)


def commands(plan: Plan) -> dict[str, str]:
    return {process.type: process.command for process in plan.processes}


STARTS: dict[str, tuple[dict[str, str], str]] = {
    "flask": ({"requirements.txt": "Flask==3\ngunicorn", "app.py": APP}, "gunicorn --bind 0.0.0.0:$PORT app:app"),
    "flask in wsgi": (
        {"requirements.txt": "flask\ngunicorn", "wsgi.py": "from shop import app\n"},
        "gunicorn --bind 0.0.0.0:$PORT wsgi:app",
    ),
    "flask factory": (
        {"requirements.txt": "flask\ngunicorn", "app.py": "def create_app():\n    pass\n"},
        "gunicorn --bind 0.0.0.0:$PORT 'app:create_app()'",
    ),
    "fastapi": (
        {"requirements.txt": "fastapi\nuvicorn[standard]", "main.py": "app = FastAPI()\n"},
        "uvicorn main:app --host 0.0.0.0 --port $PORT",
    ),
    "fastapi[standard]": (
        {"pyproject.toml": '[project]\nname="a"\ndependencies=["fastapi[standard]"]', "main.py": "app = FastAPI()\n"},
        "uvicorn main:app --host 0.0.0.0 --port $PORT",
    ),
    "django": (
        {"requirements.txt": "django\ngunicorn", "manage.py": "", "shop/wsgi.py": "", "shop/settings.py": ""},
        "gunicorn shop.wsgi --bind 0.0.0.0:$PORT",
    ),
    "plain python": ({"main.py": "import os\nos.environ['PORT']\n"}, "python main.py"),
    "node script": ({"package.json": package(scripts={"start": "node server.js"})}, "node server.js"),
    "node shell": ({"package.json": package(scripts={"start": "A=b node server.js && x"})}, "npm start"),
    "node hooks": ({"package.json": package(scripts={"start": "node a.js", "prestart": "x"})}, "npm start"),
    "node main": ({"package.json": package(main="./src/a.js"), "src/a.js": ""}, "node ./src/a.js"),
    "node file": ({"package.json": package(), "server.js": ""}, "node server.js"),
    "no package": ({"server.js": ""}, "node server.js"),
    "next": ({"package.json": package(scripts={"start": "next start"}, dependencies={"next": "1"})}, "next start"),
    "procfile alone": ({"Procfile": "web: ./serve\n"}, "./serve"),
}


@pytest.mark.parametrize("case", STARTS)
def test_the_start_command_is_inferred(case: str) -> None:
    files, command = STARTS[case]
    plan = plan_of(files)
    assert plan.kind == "release"
    assert commands(plan) == {"web": command}
    assert any(command in reason for reason in plan.reasons)


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        ({"requirements.txt": "requests"}, "Procfile"),
        ({"package.json": package(name="a")}, "start"),
    ],
)
def test_recognised_but_not_startable_says_what_to_add(files: dict[str, str], advice: str) -> None:
    error = failure(files)
    assert error.code == "nothing_detected"
    assert advice.lower() in error.hint.lower()


INSTALLS: dict[str, tuple[dict[str, str], str | None, tuple[str, ...], bool]] = {
    "requirements": (
        {"requirements.txt": "a\n-r base.txt", "base.txt": "b\n-c c/limits.txt", "c/limits.txt": ""},
        "uv pip install -r requirements.txt",
        ("base.txt", "c/limits.txt", "requirements.txt"),
        True,
    ),
    "itself": ({"requirements.txt": "a\n-e ."}, "uv pip install -r requirements.txt", (), False),
    "wheel of its own": ({"requirements.txt": "./wheels/a.whl"}, "uv pip install -r requirements.txt", (), False),
    "uv.lock": (
        {"pyproject.toml": '[project]\nname="a"', "uv.lock": ""},
        "uv sync --frozen --no-dev --no-install-project",
        ("pyproject.toml", "uv.lock"),
        True,
    ),
    "uv.lock of a package": (
        {"pyproject.toml": '[project]\nname="a"\n[build-system]\nrequires=[]', "uv.lock": ""},
        "uv sync --frozen --no-dev",
        (),
        False,
    ),
    "pyproject": (
        {"pyproject.toml": '[project]\nname="a"'},
        "uv pip install -r pyproject.toml",
        ("pyproject.toml",),
        True,
    ),
    "nothing": ({"manage.py": ""}, None, (), True),
    "npm lock": (
        {"package.json": package(dependencies={"a": "1"}), "package-lock.json": "{}"},
        "npm ci --omit=dev",
        ("package.json", "package-lock.json"),
        True,
    ),
    "npm without lock": (
        {"package.json": package(dependencies={"a": "1"}), ".npmrc": ""},
        "npm install --no-package-lock --omit=dev",
        ("package.json", ".npmrc"),
        True,
    ),
    "npm and build": (
        {"package.json": package(devDependencies={"a": "1"}, scripts={"build": "tsc"}), "package-lock.json": "{}"},
        "npm ci --include=dev",
        ("package.json", "package-lock.json"),
        True,
    ),
    "npm hook": (
        {"package.json": package(dependencies={"a": "1"}, scripts={"postinstall": "x"})},
        "npm install --no-package-lock --omit=dev",
        (),
        False,
    ),
    "npm workspaces": (
        {"package.json": package(workspaces=["a"]), "a/package.json": "{}"},
        "npm install --no-package-lock --omit=dev",
        ("package.json", "a/package.json"),
        True,
    ),
    "npm file": (
        {"package.json": package(dependencies={"a": "file:../a"})},
        "npm install --no-package-lock --omit=dev",
        (),
        False,
    ),
    "prisma": (
        {"package.json": package(dependencies={"@prisma/client": "6"})},
        "npm install --no-package-lock --omit=dev",
        (),
        False,
    ),
    "nuxt": (
        {"package.json": package(dependencies={"nuxt": "3"})},
        "npm install --no-package-lock --include=dev",
        (),
        False,
    ),
    "no dependencies": ({"package.json": package(name="a")}, None, (), True),
}


@pytest.mark.parametrize("case", INSTALLS)
def test_what_is_installed_and_whether_releases_share_it(case: str) -> None:
    files, command, inputs, shared = INSTALLS[case]
    plan = plan_of({**files, "Procfile": "web: x"})
    assert (plan.install_command, plan.install_files) == (command, inputs)
    assert (plan.install_key is not None) is shared


def test_the_installation_changes_with_what_it_reads_and_with_nothing_else() -> None:
    files = {"requirements.txt": "-r more.txt", "more.txt": "a==1", "Procfile": "web: x"}
    key = plan_of(files).install_key
    assert plan_of({**files, "app.py": "changed", "Procfile": "web: y"}).install_key == key
    assert plan_of({**files, "more.txt": "a==2"}).install_key != key


def test_a_version_of_the_package_itself_installs_nothing_anew() -> None:
    one = {"package.json": package(version="1", dependencies={"a": "1"}), "Procfile": "web: x"}
    two = {"package.json": package(version="2", dependencies={"a": "1"}), "Procfile": "web: x"}
    three = {"package.json": package(version="2", dependencies={"a": "2"}), "Procfile": "web: x"}
    assert plan_of(one).install_key == plan_of(two).install_key != plan_of(three).install_key


SITES: dict[str, tuple[dict[str, str], str, str | None]] = {
    "html": ({"index.html": ""}, ".", None),
    "public": ({"public/index.html": ""}, "public", None),
    "html with 200": ({"index.html": "", "200.html": ""}, ".", "200.html"),
    "html with tools": ({"index.html": "", "package.json": package(devDependencies={"prettier": "1"})}, ".", None),
    "vite": (
        {"index.html": "", "package.json": package(scripts={"build": "vite build"}, devDependencies={"vite": "6"})},
        "dist",
        "index.html",
    ),
    "cra": (
        {
            "package.json": package(
                scripts={"build": "x", "start": "react-scripts start"}, dependencies={"react-scripts": "5"}
            )
        },
        "build",
        "index.html",
    ),
    "astro": ({"package.json": package(scripts={"build": "astro build"}, dependencies={"astro": "5"})}, "dist", None),
}


@pytest.mark.parametrize("case", SITES)
def test_static_sites(case: str) -> None:
    files, output, fallback = SITES[case]
    plan = plan_of(files)
    assert (plan.kind, plan.output_dir, plan.fallback, plan.processes) == ("static", output, fallback, ())


def test_an_output_folder_makes_it_a_static_site() -> None:
    files = {"requirements.txt": "mkdocs", "cygni.toml": 'build_command = "mkdocs build"\noutput_dir = "site/"'}
    plan = plan_of(files)
    assert (plan.kind, plan.language, plan.output_dir, plan.build_command) == (
        "static",
        "python",
        "site",
        "mkdocs build",
    )


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({}, "3.13.0"),
        ({".python-version": "# ours\n3.11\n"}, "3.11.2"),
        ({"runtime.txt": "python-3.12.1"}, "3.12.1"),
        ({"pyproject.toml": '[project]\nname="a"\nrequires-python=">=3.11,<3.13"'}, "3.12.1"),
        ({".python-version": "3.11", "runtime.txt": "python-3.12.1"}, "3.11.2"),
    ],
)
def test_the_version_of_python(files: dict[str, str], version: str) -> None:
    assert plan_of({"requirements.txt": "", "Procfile": "web: x", **files}).toolchain == f"python-{version}"


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({}, "22.1.0"),
        ({".nvmrc": "v20\n"}, "20.20.2"),
        ({".nvmrc": "v20.11.0\n"}, "20.20.2"),
        ({".tool-versions": "nodejs 20.20.2\n"}, "20.20.2"),
        ({"package.json": package(volta={"node": "20.20.2"})}, "20.20.2"),
        ({"package.json": package(engines={"node": "^20 || ^18"})}, "20.20.2"),
        ({"package.json": package(engines={"node": ">=18 <22"})}, "20.20.2"),
    ],
)
def test_the_version_of_node(files: dict[str, str], version: str) -> None:
    assert plan_of({"package.json": "{}", "Procfile": "web: x", **files}).toolchain == f"node-{version}"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"requirements.txt": "", ".python-version": "3.14"}, ".python-version asks for Python 3.14"),
        ({"requirements.txt": "", "runtime.txt": "python-3.10.7"}, "runtime.txt asks for Python 3.10.7"),
        ({"package.json": package(engines={"node": "18.x"})}, "package.json (engines.node) asks for Node 18.x"),
    ],
)
def test_a_version_the_machine_lacks_names_wanted_and_available(files: dict[str, str], wanted: str) -> None:
    error = failure({**files, "Procfile": "web: x"})
    assert error.code == "toolchain_missing"
    assert wanted in error.message
    assert ("3.13.0, 3.12.1, 3.11.2" in error.message) or ("22.1.0, 20.20.2" in error.message)


def test_a_language_the_machine_lacks() -> None:
    with pytest.raises(BuildFailed, match="this machine has none") as caught:
        detect(MemoryFiles({"package.json": "{}"}), BuildSettings(), framework=None, available={})
    assert caught.value.code == "toolchain_missing"


def test_nothing_recognised_lists_what_was_looked_for_and_what_is_there() -> None:
    error = failure({"readme.md": "", "src/a.rs": ""})
    assert error.code == "nothing_detected"
    for word in ("requirements.txt", "package.json", "index.html", "Procfile", "readme.md, src"):
        assert word in error.message
    assert "web: <command>" in error.hint


def test_api_over_toml_over_procfile_over_detection() -> None:
    files = {
        "requirements.txt": "flask\ngunicorn",
        "app.py": APP,
        "Procfile": "web: from procfile\nworker: work from procfile\nrelease: migrate from procfile",
        "cygni.toml": 'build_command = "build from toml"\ninstall_command = "install from toml"\n'
        '[processes.web]\ncommand = "from toml"\ninstances = 3\n[processes.web.health_check]\npath = "/up"',
    }
    plan = plan_of(files, BuildSettings(install_command="install from api"))
    assert commands(plan) == {"web": "from toml", "worker": "work from procfile"}
    assert (plan.install_command, plan.build_command) == ("install from api", "build from toml")
    assert plan.release_command == "migrate from procfile"
    assert plan.install_key is None, "nobody knows what a command of one's own reads"
    assert plan.processes[0].instances == 3
    assert plan.processes[0].health_check == HealthCheck(path="/up")
    for line in (
        "install: install from api (API settings)",
        "build: build from toml (cygni.toml)",
        "release command: migrate from procfile (Procfile)",
        "process web: from toml (cygni.toml)",
        "process worker: work from procfile (Procfile)",
    ):
        assert line in plan.reasons


@pytest.mark.parametrize(
    ("command", "language"),
    [("python bot.py", "python"), ("gunicorn x:y", "python"), ("node bot.js", "node"), ("./bot", "procfile")],
)
def test_a_program_that_a_command_starts_with_names_the_language(command: str, language: str) -> None:
    plan = plan_of({"Procfile": f"worker: {command}\n", "bot.py": "", "bot.js": ""})
    assert (plan.language, commands(plan)) == (language, {"worker": command})


def test_files_say_more_than_commands() -> None:
    plan = plan_of(
        {"package.json": package(scripts={"start": "node a.js"}), "Procfile": "web: python tools/proxy.py\n"}
    )
    assert plan.language == "node"


@pytest.mark.parametrize(("command", "language"), [("python serve.py", "python"), ("./serve", "static")])
def test_pages_beside_a_program_are_the_programs_to_serve(command: str, language: str) -> None:
    plan = plan_of({"index.html": "", "Procfile": f"web: {command}\n"})
    assert (plan.kind, plan.language, commands(plan)) == ("release", language, {"web": command})


def test_a_release_command_alone_makes_no_program_of_a_site() -> None:
    plan = plan_of({"index.html": "", "Procfile": "release: python tell.py\n"})
    assert (plan.kind, plan.language) == ("static", "static")


def test_a_worker_alone_gets_no_web_process() -> None:
    files = {"requirements.txt": "flask\ngunicorn", "app.py": APP, "Procfile": "worker: python work.py"}
    assert commands(plan_of(files)) == {"worker": "python work.py"}


def test_toml_adds_to_a_command_found_elsewhere() -> None:
    files = {"server.js": "", "cygni.toml": "[processes.web]\nmemory_mb = 512"}
    (web,) = plan_of(files).processes
    assert (web.command, web.memory_mb) == ("node server.js", 512)


def test_a_process_of_toml_without_any_command_is_refused() -> None:
    assert "worker has no command" in failure({"server.js": "", "cygni.toml": "[processes.worker]\ncpu = 1"}).message


def test_the_root_folder_of_the_api_wins_and_its_own_toml_counts() -> None:
    files = {
        "cygni.toml": 'root_dir = "web"',
        "web/index.html": "",
        "api/server.js": "",
        "api/cygni.toml": '[env]\nA = "1"',
    }
    assert (plan_of(files).root.as_posix(), plan_of(files).kind) == ("web", "static")
    plan = plan_of(files, BuildSettings(root_dir="/api/"))
    assert (plan.root.as_posix(), plan.language, plan.env) == ("api", "node", {"A": "1"})


@pytest.mark.parametrize("folder", ["nowhere", "../other", "a/../../b"])
def test_a_root_folder_outside_or_missing_is_refused(folder: str) -> None:
    assert failure({"index.html": ""}, BuildSettings(root_dir=folder)).code == "source_invalid"


def test_the_framework_decides_between_two_languages() -> None:
    files = {"requirements.txt": "flask\ngunicorn", "app.py": APP, "package.json": "{}", "server.js": ""}
    assert plan_of(files).language == "python"
    assert plan_of(files, framework="node").language == "node"
    assert plan_of(files, framework="something new").language == "python"


@pytest.mark.parametrize("name", ["package.json", "pyproject.toml"])
@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\0"])
def test_a_file_that_cannot_be_read_is_named(name: str, text: str) -> None:
    error = failure({name: text, "Procfile": "web: x"})
    assert error.code == "source_invalid"
    assert name in error.message


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"Procfile": "".join(f"w{number}: x\n" for number in range(51))}, "51 process types"),
        ({"Procfile": f"web: {'x' * 70_000}"}, "command of web"),
        ({"cygni.toml": f"build_command = '{'x' * 70_000}'\noutput_dir = '.'"}, "command of build"),
        ({"cygni.toml": f"[env]\nA = '{'x' * 70_000}'"}, "env.A must have at most 65536 bytes"),
        ({"cygni.toml": "[processes.web]\ncommand = 'x'\ninstances = 101"}, "between 0 and 100"),
        ({"cygni.toml": "[processes.web]\ncommand = 'x'\ncpu = 65"}, "between 0.01 and 64"),
        ({"requirements.txt": "", "pyproject.toml": f"a = {'9' * 5000}"}, "pyproject.toml cannot be read"),
    ],
)
def test_files_ask_for_no_more_than_the_api_gives(files: dict[str, str], what: str) -> None:
    error = failure(files)
    assert (error.code, what in error.message) == ("source_invalid", True), error.message


def test_a_version_of_thousands_of_digits_is_one_that_is_missing() -> None:
    assert failure({"requirements.txt": "", ".python-version": "9" * 5000}).code == "toolchain_missing"


def test_a_file_of_variables_is_not_loaded_and_the_log_says_so() -> None:
    plan = plan_of({"server.js": "", ".env": "SECRET=1"})
    assert plan.env == {}
    assert [reason for reason in plan.reasons if ".env" in reason] == [
        "note: .env is not loaded by the platform; set variables on the project."
    ]


def test_a_build_script_for_the_platform_comes_before_the_general_one() -> None:
    scripts = {"build": "a", "heroku-postbuild": "b", "start": "node a.js"}
    assert plan_of({"package.json": package(scripts=scripts)}).build_command == "npm run heroku-postbuild"
