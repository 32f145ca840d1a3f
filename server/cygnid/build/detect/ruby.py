"""Ruby: what Bundler installs, and the Rack, Rails or Sinatra app that is started."""

import re

from cygnid.build.detect.files import Files
from cygnid.build.detect.inputs import any_version, first_word, key_of, lacking
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import Version, Wish, choose, matches_python, settle, tool_version

GEMS = ".gems"
_SCRIPTS = ("app.rb", "main.rb", "server.rb")


def detect(look: Look) -> Found | None:
    files = look.files
    names = files.names()
    script = next((name for name in _SCRIPTS if name in names), None)
    evidence = [name for name in ("Gemfile", "Gemfile.lock", "config.ru") if name in names]
    if not evidence and (script is None or "PORT" not in (files.read(script) or "")) and not look.started:
        return None
    gemfile, lock = files.read("Gemfile"), files.read("Gemfile.lock")
    version, notes = _version(look, gemfile or "")
    gems = _gems(gemfile or "", lock or "")
    install, key, inputs, tools = None, None, (), ()
    if gemfile is not None:
        tools = (f"bundler-{choose('Bundler', look.versions('bundler'), None, any_version)}",)
        install = "bundle install"
        inputs = tuple(name for name in ("Gemfile", "Gemfile.lock", ".ruby-version") if name in names)
        if local := re.search(r"(?m)^\s*gemspec\b|\bpath:|^PATH$|:path\s*=>|\beval_gemfile\b", f"{gemfile}\n{lock}"):
            inputs, notes = (
                (),
                (*notes, f"The Gemfile reads the source (`{local[0].strip()}`): installed at each build."),
            )
        elif "vendor" in names and files.names("vendor/cache"):
            inputs, notes = (), (*notes, "Gems come from vendor/cache: installed at each build.")
        else:
            key = key_of(files, inputs)
        if lock is not None and (gem := _unlocked(gemfile, lock)):
            raise lacking("Gemfile", gem, "Gemfile.lock", "bundle lock")
        if lock is None:
            notes = (*notes, "There is no Gemfile.lock: versions may differ from one installation to the next.")
    framework, web, unstartable = _start(files, gems, script)
    rails = framework == "rails"
    if rails:
        notes = (
            *notes,
            (
                "Rails needs SECRET_KEY_BASE: set it with `cygni env set`. "
                'For migrations set release_command = "bundle exec rails db:migrate".'
            ),
        )
    compiles = rails and ({"sprockets", "sprockets-rails", "propshaft", "webpacker"} & gems or "Rakefile" not in names)
    return Found(
        language="ruby",
        framework=framework,
        evidence=", ".join(evidence) or script or f"a command that starts with {min(look.started)}",
        version=version,
        tools=tools,
        install_command=install,
        install_files=inputs,
        install_key=key,
        build_command="SECRET_KEY_BASE_DUMMY=1 bundle exec rails assets:precompile" if compiles else None,
        web=web,
        unstartable=unstartable,
        env={
            **({"BUNDLE_FROZEN": "true"} if lock is not None else {}),
            **({"RAILS_LOG_TO_STDOUT": "1", "RAILS_SERVE_STATIC_FILES": "1"} if rails else {}),
        },
        notes=notes,
    )


def _version(look: Look, gemfile: str) -> tuple[str, tuple[str, ...]]:
    available = look.versions("ruby")
    # Bundler refuses any other than what the Gemfile asks for
    if found := re.search(r"""(?m)^\s*ruby\s+((?:["'][^"']+["'](?:\s*,\s*)?)+)""", gemfile):
        wanted = ",".join(re.findall(r"""["']([^"']+)["']""", found[1]))
        return choose("Ruby", available, Wish(wanted, "Gemfile"), matches_gem), ()
    if wanted := first_word(look.files, ".ruby-version"):
        wish = Wish(wanted.removeprefix("ruby-"), ".ruby-version")
    else:
        wish = tool_version(look.files, "ruby")
    return settle("Ruby", available, wish, matches_gem, same=2)


def matches_gem(version: Version, text: str) -> bool:
    """Requirements of RubyGems: `~> 3.1` is what PEP 440 writes as `~= 3.1`."""
    parts = [re.sub(r"^=\s*", "==", part.strip().replace("~>", "~=")) for part in text.split(",")]
    return matches_python(version, ",".join(re.sub(r"\s+", "", part) for part in parts))


def _unlocked(gemfile: str, lock: str) -> str | None:
    """A gem that a frozen installation would stop at. A Gemfile that decides by itself is left to Bundler."""
    block = re.search(r"(?m)^DEPENDENCIES\n((?:  .*\n?)*)", lock)
    if block is None or re.search(r"\b(if|unless|case|each|eval_gemfile|ENV)\b|^\s*gemspec\b", gemfile, re.MULTILINE):
        return None
    locked = set(re.findall(r"(?m)^  ([\w.-]+)", block[1]))
    named: list[str] = re.findall(r"""(?m)^\s*gem\s*\(?\s*["']([\w.-]+)["']""", gemfile)
    return next((gem for gem in named if gem not in locked), None)


def _gems(gemfile: str, lock: str) -> set[str]:
    named = re.findall(r"""(?m)^\s*gem\s*\(?\s*["']([\w.-]+)["']""", gemfile)
    return {*named, *re.findall(r"(?m)^    ([\w.-]+) \(", lock)}


def _start(files: Files, gems: set[str], script: str | None) -> tuple[str | None, str | None, str]:
    """(framework, start command, why there is none)."""
    names = files.names()
    framework = next((name for name in ("rails", "sinatra", "hanami", "roda", "grape", "rack") if name in gems), None)
    if framework == "rails" and "config" in names:
        return framework, "bundle exec rails server -b 0.0.0.0 -p $PORT", ""
    prefix = "bundle exec " if "Gemfile" in names else ""
    if "config.ru" in names:
        if "puma" in gems or not prefix:
            return framework, f"{prefix}puma -b tcp://0.0.0.0:$PORT", ""
        if {"rackup", "rack"} & gems:
            return framework, f"{prefix}rackup -o 0.0.0.0 -p $PORT", ""
        return framework, None, "config.ru needs a server: add puma to the Gemfile"
    if script and framework == "sinatra":
        return framework, f"{prefix}ruby {script} -o 0.0.0.0 -p $PORT", ""
    if script:
        return framework, f"{prefix}ruby {script}", ""
    return framework, None, "add a config.ru, or an app.rb that listens on $PORT"


LANGUAGE = Language(
    name="ruby",
    looked_for="Ruby: Gemfile, config.ru, or app.rb that reads PORT",
    detect=detect,
    names=frozenset({"rails", "sinatra", "rack", "hanami"}),
    programs=frozenset({"ruby", "bundle", "rackup", "puma", "rails", "rake", "sidekiq"}),
    recipe=Recipe(
        dependencies=GEMS,
        env={
            "RACK_ENV": "production",
            "RAILS_ENV": "production",
            "BUNDLE_PATH": "{root}/" + GEMS,
            "BUNDLE_WITHOUT": "development:test",
            # a .bundle/config of the repository would win over these
            "BUNDLE_APP_CONFIG": "{root}/" + GEMS + "/config",
        },
        build_env={"BUNDLE_USER_HOME": "{cache}/bundle", "BUNDLE_JOBS": "4", "BUNDLE_SILENCE_ROOT_WARNING": "true"},
        caches=("bundle",),
    ),
)
