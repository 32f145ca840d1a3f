"""PHP: what Composer installs, served by PHP's own server."""

import re
from collections.abc import Sequence
from typing import Any, cast

from cygnid.build.detect.files import MAX_BYTES, Files
from cygnid.build.detect.inputs import any_version, json_file, key_of, lacking, table, text_of
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import Version, Wish, choose, matches_node, parse, settle, tool_version

_INSTALLING = ("pre-install-cmd", "post-install-cmd", "pre-autoload-dump", "post-autoload-dump", "post-package-install")
_FRAMEWORKS = (
    ("laravel/framework", "laravel"),
    ("symfony/framework-bundle", "symfony"),
    ("slim/slim", "slim"),
    ("cakephp/cakephp", "cakephp"),
)


def detect(look: Look) -> Found | None:
    files = look.files
    names = files.names()
    root = next((f for f in ("public", "web", "") if "index.php" in files.names(f)), None)
    has_composer = "composer.json" in names
    if not has_composer and root is None and not look.started:
        return None
    composer = json_file(files, "composer.json")
    requires = table(composer, "require")
    version, notes = _version(look, composer)
    packages = [name for name in requires if "/" in name]
    install, inputs, key, tools = None, (), None, ()
    if packages or table(composer, "autoload"):
        tools = (f"composer-{choose('Composer', look.versions('composer'), None, any_version)}",)
        install = "composer install --no-dev --prefer-dist --no-interaction --no-progress --no-ansi"
        if package := _unlocked(files, packages):
            raise lacking("composer.json", package, "composer.lock", "composer update --lock")
        inputs, key, more = _inputs(files, composer)
        notes = (*notes, *more)
    return Found(
        language="php",
        framework=next((name for package, name in _FRAMEWORKS if package in requires), None),
        evidence=", ".join(name for name in ("composer.json", "composer.lock") if name in names)
        or (f"{root}/index.php".lstrip("/") if root is not None else "a command that starts with php"),
        version=version,
        tools=tools,
        install_command=install,
        install_files=inputs,
        install_key=key,
        web=None if root is None else f"exec php -S 0.0.0.0:$PORT -t {root or '.'}",
        unstartable="add a public/index.php",
        notes=notes,
    )


def _version(look: Look, composer: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """(version, notes). `config.platform.php` is what Composer takes this machine for: what is locked was chosen for
    that version, which is better than another that `require.php` allows too."""
    available = look.versions("php")
    php = text_of(table(composer, "require").get("php"))
    platform = text_of(table(composer, "config", "platform").get("php"))
    wish = Wish(php, "composer.json (require.php)") if php else None
    if platform:
        if wish is not None:
            fitting = [one for one in available if matches_composer(parse(one), wish.text)]
            same = [one for one in fitting if parse(one)[:2] == parse(platform)[:2]]
            return choose("PHP", same or available, None if same else wish, matches_composer), ()
        return settle("PHP", available, Wish(platform, "composer.json (config.platform)"), matches_composer, same=2)
    return choose("PHP", available, wish or tool_version(look.files, "php"), matches_composer), ()


def _unlocked(files: Files, packages: Sequence[str]) -> str | None:
    """A package that Composer would stop at, since its lock does not have it."""
    text = files.read("composer.lock")
    if text is None or len(text) >= MAX_BYTES:
        return None
    lock = json_file(files, "composer.lock")
    entries = [table(one) for key in ("packages", "packages-dev") for one in _entries(lock.get(key))]
    has = {str(entry.get("name")).lower() for entry in entries}
    has |= {name.lower() for entry in entries for key in ("replace", "provide") for name in table(entry, key)}
    return next((name for name in packages if name.lower() not in has), None)


def _entries(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def matches_composer(version: Version, text: str) -> bool:
    """Like npm's ranges, but for `,`, a single `|`, and `~8.1`, which allows 8.2."""
    text = re.sub(r"\|\|?", "||", text.replace(",", " "))
    return matches_node(version, re.sub(r"~\s*(\d+\.\d+)(?![\d.])", r"^\1", text))


def _inputs(files: Files, composer: dict[str, object]) -> tuple[tuple[str, ...], str | None, tuple[str, ...]]:
    """(files that installing reads, key, notes)."""
    names = files.names()
    notes: tuple[str, ...] = ()
    if "composer.lock" not in names:
        notes = ("There is no composer.lock: versions may differ from one installation to the next.",)
    scripts = next((name for name in _INSTALLING if name in table(composer, "scripts")), None)
    if scripts:
        return (), None, (*notes, f"composer.json has a {scripts} script: installed at each build.")
    if "classmap" in table(composer, "autoload") or re.search(
        r'"type"\s*:\s*"path"', files.read("composer.json") or ""
    ):
        return (), None, (*notes, "composer.json reads the source: installed at each build.")
    inputs = tuple(name for name in ("composer.json", "composer.lock", "symfony.lock") if name in names)
    return inputs, key_of(files, inputs), notes


LANGUAGE = Language(
    name="php",
    looked_for="PHP: composer.json, public/index.php, index.php",
    detect=detect,
    names=frozenset({"laravel", "symfony", "slim", "cakephp"}),
    programs=frozenset({"php"}),
    recipe=Recipe(
        dependencies="vendor",
        env={"PHP_CLI_SERVER_WORKERS": "4", "APP_ENV": "production"},
        build_env={"COMPOSER_HOME": "{cache}/composer", "COMPOSER_CACHE_DIR": "{cache}/composer/cache"},
        caches=("composer",),
    ),
)
