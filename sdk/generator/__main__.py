"""`python -m generator` writes every SDK's generated files; `--check` only says which differ; names restrict it."""

import sys

from . import emit, samples
from .read import read
from .schemas import ProfileError


def main(arguments: list[str]) -> int:
    is_check = "--check" in arguments
    wanted = {name for name in arguments if not name.startswith("-")}
    try:
        api = read(emit.SDK.parent / "openapi.json", emit.SDK / "behavior.json")
    except ProfileError as error:
        print(f"openapi.json is outside of the profile: {error}", file=sys.stderr)
        return 2
    changed: list[str] = []
    languages = emit.languages()
    for language in languages:
        if wanted and language.name not in wanted:
            continue
        if reason := language.missing():
            print(f"sdk/{language.folder}: not written, {reason}", file=sys.stderr)
            continue
        files = emit.render(language, api)
        changed += emit.differences(language, files) if is_check else emit.write(language, files)
    if not wanted:
        changed += samples.differences(api, languages) if is_check else samples.write(api, languages)
    for path in changed:
        print(f"sdk/{path}" if not path.startswith("docs/") else path)
    return 1 if is_check and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
