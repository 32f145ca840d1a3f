"""What is decided for small repositories of each language: one for each rule."""

import pytest

from cygnid.build.base import BuildFailed, BuildSettings, Plan
from cygnid.build.detect import MemoryFiles, detect

MACHINE = {
    "python": ["3.11.2"],
    "node": ["20.1.0"],
    "go": ["1.22.3", "1.19.8"],
    "rust": ["1.80.0", "1.75.0", "1.90.0-nightly"],
    "java": ["17.0.15", "21.0.2", "25.0.1"],
    "maven": ["3.8.7"],
    "ruby": ["3.1.2", "3.3.4"],
    "bundler": ["2.3.15"],
    "php": ["8.2.36", "7.4.33"],
    "composer": ["2.5.5"],
    "hugo": ["0.111.3"],
}
MAIN = "package main\nfunc main() {}\n"


def plan(files: dict[str, str], machine: dict[str, list[str]] | None = None) -> Plan:
    available = MACHINE if machine is None else machine
    return detect(MemoryFiles(files), BuildSettings(), framework=None, available=available)


def web(files: dict[str, str]) -> str:
    (process,) = plan(files).processes
    return process.command


def go(**files: str) -> dict[str, str]:
    return {"go.mod": "module example.com/shop/v2\n\ngo 1.19\n", **files}


@pytest.mark.parametrize(
    ("files", "build", "start"),
    [
        (go(**{"main.go": MAIN}), "-o bin/shop .", "bin/shop"),
        (go(**{"cmd/x/main.go": MAIN}), "-o bin/x ./cmd/x", "bin/x"),
        (go(**{"cmd/a/a.go": MAIN, "cmd/shop/b.go": MAIN}), "-o bin/shop ./cmd/shop", "bin/shop"),
        (go(**{"cmd/a/a.go": MAIN, "cmd/server/b.go": MAIN}), "-o bin/server ./cmd/server", "bin/server"),
        (go(**{"main.go": MAIN, "cmd/server/b.go": MAIN}), "-o bin/shop .", "bin/shop"),
    ],
)
def test_the_main_package_of_go(files: dict[str, str], build: str, start: str) -> None:
    made = plan(files)
    assert (made.build_command or "").endswith(build)
    assert made.processes[0].command == start
    assert any("main packages" in reason for reason in made.reasons) == (sum(f.endswith(".go") for f in files) > 1)


def test_vendored_modules_are_used() -> None:
    assert "-mod=vendor" in (plan(go(**{"main.go": MAIN, "vendor/modules.txt": ""})).build_command or "")
    assert "-mod=readonly" in (plan(go(**{"main.go": MAIN})).build_command or "")


def test_a_library_of_go_says_what_is_missing() -> None:
    with pytest.raises(BuildFailed) as caught:
        plan(go(**{"shop.go": "package shop\n", "main_test.go": MAIN}))
    assert "package main" in caught.value.hint


@pytest.mark.parametrize(
    ("files", "toolchain"),
    [
        (go(**{"main.go": MAIN}), "go-1.22.3"),
        (go(**{"main.go": MAIN, ".tool-versions": "golang 1.20"}), "go-1.22.3"),
        ({"Cargo.toml": '[package]\nname = "a"', "src/main.rs": ""}, "rust-1.80.0"),
        ({"Cargo.toml": '[package]\nname = "a"', "src/main.rs": "", "rust-toolchain": "1.75"}, "rust-1.75.0"),
        (
            {"Cargo.toml": '[package]\nname = "a"', "src/main.rs": "", "rust-toolchain": "nightly"},
            "rust-1.90.0-nightly",
        ),
        ({"pom.xml": "<project/>"}, "java-25.0.1"),
        ({"pom.xml": "<java.version>17</java.version>"}, "java-17.0.15"),
        ({"pom.xml": "<maven.compiler.source>1.8</maven.compiler.source>"}, "java-17.0.15"),
        ({"pom.xml": "<java.version>18</java.version>"}, "java-21.0.2"),
        ({"pom.xml": "", "system.properties": "java.runtime.version=21"}, "java-21.0.2"),
        ({"pom.xml": "", ".java-version": "temurin-17.0.2"}, "java-17.0.15"),
        ({"config.ru": ""}, "ruby-3.3.4"),
        ({"config.ru": "", ".ruby-version": "ruby-3.1.6"}, "ruby-3.1.2"),
        ({"config.ru": "", "Gemfile": 'ruby "~> 3.1.0"\ngem "puma"'}, "ruby-3.1.2"),
        ({"config.ru": "", "Gemfile": 'ruby ">= 3.0", "< 4"\ngem "puma"'}, "ruby-3.3.4"),
        ({"index.php": ""}, "php-8.2.36"),
        ({"index.php": "", "composer.json": '{"require": {"php": "^7.2"}}'}, "php-7.4.33"),
        ({"index.php": "", "composer.json": '{"require": {"php": "~8.1 | ^9"}}'}, "php-8.2.36"),
        ({"index.php": "", "composer.json": '{"config": {"platform": {"php": "7.4.1"}}}'}, "php-7.4.33"),
        (
            {
                "index.php": "",
                "composer.json": '{"require": {"php": ">=7"}, "config": {"platform": {"php": "7.4"}}}',
            },
            "php-7.4.33",
        ),
        (
            {
                "index.php": "",
                "composer.json": '{"require": {"php": ">=8"}, "config": {"platform": {"php": "8.0.2"}}}',
            },
            "php-8.2.36",
        ),
        ({"hugo.toml": ""}, "hugo-0.111.3"),
    ],
)
def test_the_version_that_is_asked_for(files: dict[str, str], toolchain: str) -> None:
    assert plan(files).toolchain == toolchain


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (go(**{"main.go": MAIN, ".tool-versions": "golang 1.30.1"}), ("1.30.1", "1.22.3, 1.19.8")),
        ({"config.ru": "", "Gemfile": 'ruby "3.2.1"'}, ("Gemfile asks for Ruby 3.2.1", "3.3.4, 3.1.2")),
        ({"index.php": "", "composer.json": '{"require": {"php": ">=8.4"}}'}, (">=8.4", "8.2.36, 7.4.33")),
        ({"pom.xml": "<java.version>29</java.version>"}, ("Java 29", "25.0.1, 21.0.2, 17.0.15")),
    ],
)
def test_a_version_that_is_not_there_is_told_with_those_that_are(files: dict[str, str], said: tuple[str, str]) -> None:
    with pytest.raises(BuildFailed) as caught:
        plan(files)
    assert caught.value.code == "toolchain_missing"
    assert all(part in caught.value.message for part in said)


@pytest.mark.parametrize(
    ("files", "package"),
    [
        (go(**{"main.go": MAIN}), "golang-go"),
        ({"Cargo.toml": '[package]\nname = "a"', "src/main.rs": ""}, "cargo"),
        ({"pom.xml": ""}, "default-jdk-headless"),
        ({"config.ru": ""}, "ruby"),
        ({"index.php": ""}, "php-cli"),
        ({"hugo.toml": ""}, "hugo"),
    ],
)
def test_a_language_that_is_not_there_comes_with_how_to_install_it(files: dict[str, str], package: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        plan(files, machine={})
    assert caught.value.code == "toolchain_missing"
    assert f"apt-get install {package}" in caught.value.hint


@pytest.mark.parametrize(
    ("files", "program"),
    [
        ({"Cargo.toml": '[package]\nname = "shop"', "src/main.rs": "", "src/bin/other.rs": ""}, "shop"),
        (
            {
                "Cargo.toml": '[package]\nname = "shop"\ndefault-run = "other"',
                "src/main.rs": "",
                "src/bin/other.rs": "",
            },
            "other",
        ),
        ({"Cargo.toml": '[package]\nname = "shop"\n[[bin]]\nname = "serve"\npath = "x.rs"'}, "serve"),
        (
            {
                "Cargo.toml": '[workspace]\nmembers = ["crates/*"]',
                "crates/job/Cargo.toml": '[package]\nname = "job"',
                "crates/job/src/main.rs": "",
                "crates/web/Cargo.toml": '[package]\nname = "web"',
                "crates/web/src/main.rs": "",
                "crates/lib/Cargo.toml": '[package]\nname = "lib"',
                "crates/lib/src/lib.rs": "",
            },
            "web",
        ),
    ],
)
def test_the_program_of_rust(files: dict[str, str], program: str) -> None:
    made = plan({**files, "Cargo.lock": ""})
    assert f"cargo build --release --locked --bin {program} " in (made.build_command or "")
    assert made.processes[0].command == f"bin/{program}"


@pytest.mark.parametrize(
    ("files", "start"),
    [
        ({"config.ru": "", "Gemfile": 'gem "puma"'}, "bundle exec puma -b tcp://0.0.0.0:$PORT"),
        ({"config.ru": "", "Gemfile": 'gem "rackup"'}, "bundle exec rackup -o 0.0.0.0 -p $PORT"),
        ({"app.rb": "", "Gemfile": "gem 'sinatra'"}, "bundle exec ruby app.rb -o 0.0.0.0 -p $PORT"),
        ({"app.rb": 'ENV["PORT"]'}, "ruby app.rb"),
        (
            {"config.ru": "", "config/routes.rb": "", "Gemfile": 'gem "rails"'},
            "bundle exec rails server -b 0.0.0.0 -p $PORT",
        ),
        ({"public/index.php": ""}, "exec php -S 0.0.0.0:$PORT -t public"),
        ({"index.php": ""}, "exec php -S 0.0.0.0:$PORT -t ."),
    ],
)
def test_the_start_of_ruby_and_php(files: dict[str, str], start: str) -> None:
    assert web(files) == start


def test_rails_says_what_it_does_not_do_by_itself() -> None:
    made = plan({"config.ru": "", "config/a": "", "Rakefile": "", "Gemfile": 'gem "rails"\ngem "propshaft"'})
    assert "assets:precompile" in (made.build_command or "")
    assert made.release_command is None
    assert any("db:migrate" in reason and "SECRET_KEY_BASE" in reason for reason in made.reasons)


@pytest.mark.parametrize(
    ("files", "shared"),
    [
        ({"config.ru": "", "Gemfile": 'gem "puma"', "Gemfile.lock": ""}, True),
        ({"config.ru": "", "Gemfile": 'gem "puma"\ngem "a", path: "a"'}, False),
        ({"config.ru": "", "Gemfile": 'gemspec\ngem "puma"'}, False),
        ({"config.ru": "", "Gemfile": 'gem "puma"', "vendor/cache/puma.gem": ""}, False),
        ({"index.php": "", "composer.json": '{"require": {"a/b": "1"}}'}, True),
        ({"index.php": "", "composer.json": '{"require": {"a/b": "1"}, "autoload": {"classmap": ["x"]}}'}, False),
        (
            {"index.php": "", "composer.json": '{"require": {"a/b": "1"}, "scripts": {"post-autoload-dump": []}}'},
            False,
        ),
    ],
)
def test_what_reads_only_its_lock_is_installed_once(files: dict[str, str], shared: bool) -> None:
    made = plan(files)
    assert (made.install_key is not None) == shared
    assert plan({**files, "other": "changed"}).install_key == made.install_key


def test_the_wrapper_of_maven_is_used_where_it_asks_mavens_repository() -> None:
    properties = ".mvn/wrapper/maven-wrapper.properties"
    central = "distributionUrl=https\\://repo.maven.apache.org/maven2/org/apache/maven/apache-maven-bin.zip"
    assert (plan({"pom.xml": "", "mvnw": "", properties: central}).build_command or "").startswith("sh ./mvnw")
    assert (plan({"pom.xml": "", "mvnw": "", properties: "distributionUrl=https://a.b/c"}).tools) == ("maven-3.8.7",)


def test_gradle_without_a_gradle_on_the_machine_uses_its_wrapper() -> None:
    made = plan({"build.gradle.kts": "languageVersion.set(JavaLanguageVersion.of(21))", "gradlew": ""})
    assert (made.toolchain, (made.build_command or "").split()[:2]) == ("java-21.0.2", ["sh", "./gradlew"])


def test_bun_is_built_as_node_where_there_is_none() -> None:
    files = {"bun.lock": "", "package.json": '{"scripts": {"start": "node a.js"}, "dependencies": {"a": "1"}}'}
    assert plan(files).language == "node"
    with_bun = plan(files, machine={**MACHINE, "bun": ["1.2.3"]})
    assert (with_bun.language, with_bun.install_command) == ("bun", "bun install --frozen-lockfile")


@pytest.mark.parametrize("name", ["composer.json", "Cargo.toml"])
def test_a_file_that_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(BuildFailed, match=name) as caught:
        plan({name: "{["})
    assert caught.value.code == "source_invalid"


@pytest.mark.parametrize(
    ("files", "lacks"),
    [
        ({"composer.json": '{"require": {"a/b": "1"}}', "composer.lock": '{"packages": [{"name": "a/c"}]}'}, "a/b"),
        ({"composer.json": '{"require": {"a/b": "1"}}', "composer.lock": '{"packages": [{"name": "A/b"}]}'}, None),
        (
            {
                "composer.json": '{"require": {"a/b": "1"}}',
                "composer.lock": '{"packages": [{"name": "a/c", "replace": {"a/b": "*"}}]}',
            },
            None,
        ),
        ({"Gemfile": 'gem "puma"\ngem "rack"\n', "Gemfile.lock": "GEM\n\nDEPENDENCIES\n  rack (~> 3)!\n"}, "puma"),
        ({"Gemfile": 'gem "puma"\n', "Gemfile.lock": "DEPENDENCIES\n  puma!\n\nBUNDLED WITH\n  2.5\n"}, None),
        ({"Gemfile": 'gem "puma" if ENV["A"]\n', "Gemfile.lock": "DEPENDENCIES\n  rack\n"}, None),
    ],
)
def test_a_lock_that_lacks_what_is_asked_for_is_refused(files: dict[str, str], lacks: str | None) -> None:
    files = {**files, "Procfile": "web: x"}
    if lacks is None:
        assert plan(files).install_command
        return
    with pytest.raises(BuildFailed, match=f"asks for {lacks}, which"):
        plan(files)
