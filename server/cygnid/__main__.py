"""`cygnid`: what runs. `cygni`, the other command, is what people deploy with."""

import argparse
import sys
from pathlib import Path

_EPILOG = "Every setting is an environment variable CYGNI_<NAME>."


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; its exit code. What is expected to go wrong is said in one line, without a traceback."""
    parser = _parser()
    args = parser.parse_args(arguments)
    # each verb imports what it needs: the supervisor stays small, and a broken part breaks one verb
    from cygnid.up import verbs

    try:
        return getattr(verbs, args.verb.replace("-", "_"))(args)
    except verbs.EXPECTED as error:
        print(f"cygnid {args.verb}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cygnid", description="The Cygni deploy platform.", epilog=_EPILOG)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, *, data: bool = True, json: bool = True) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        if data:
            added.add_argument(
                "--data-dir", type=Path, help="the data folder; ./.cygni by default, as root /var/lib/cygni"
            )
        if json:
            added.add_argument("--json", action="store_true", help="one JSON object as the last line of output")
        return added

    up = verb("up", "start the platform: database, API, worker, edge; or take over from a running older build")
    up.add_argument("--port", type=int, help="of the API; 8000 by default")
    up.add_argument("--apps-port", type=int, help="of the applications; the API's plus one by default")
    up.add_argument("--host", default="127.0.0.1", help="the address the API listens on")
    up.add_argument("--detach", action="store_true", help="return when all is healthy, and leave it running")
    up.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)

    down = verb("down", "stop the platform; applications go on", json=False)
    down.add_argument("--apps", action="store_true", help="stop the applications and the edge too")

    serve = verb("serve", "the API alone, on a listening socket", data=False, json=False)
    serve.add_argument("--fd", type=int, required=True, help="the listening socket")
    serve.add_argument("--ready-fd", type=int, help="written to when it serves")

    work = verb("work", "the worker alone", data=False, json=False)
    work.add_argument("--ready-fd", type=int, help="written to when it works")

    migrate = verb("migrate", "bring the schema of CYGNI_DATABASE_URL up to date", data=False)
    migrate.add_argument("--first-owner", action="store_true", help="also make the first user, if there is none")

    verb("openapi", "print the public contract, openapi.json", data=False, json=False)
    verb("doctor", "look at everything and say what to do about what is wrong")
    verb("setup-code", "a new code with which the owner registers, for whoever owns the data folder")
    reset = verb("reset-password", "what sets a new password of a user, to be handed over where no mail is sent")
    reset.add_argument("email", help="whose")
    reset.add_argument("--remove-second-factor", action="store_true", help="for who lost it and the recovery codes")
    token = verb("token", "mint a token of the owner, for whoever owns the data folder")
    token.add_argument("--minutes", type=int, help="how long it is good for; without end by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
