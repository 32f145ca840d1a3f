"""What `cygnid <verb>` runs: from parsed arguments to the function that does it."""

import asyncio
import json
import sys
from argparse import Namespace

from cygnid.core.errors import CygniError
from cygnid.core.postgres import MigrationFailed, MigrationRefused, PostgresFailed, PostgresNotFound
from cygnid.settings import InvalidSetting, from_environment
from cygnid.up.command import UpArguments, data_folder
from cygnid.up.command import down as stop
from cygnid.up.command import up as start
from cygnid.up.installation import Unsuitable
from cygnid.up.report import UpFailed
from cygnid.up.uid_ranges import NoFreeRange

EXPECTED = (
    CygniError,
    Unsuitable,
    NoFreeRange,
    UpFailed,
    InvalidSetting,
    MigrationFailed,
    MigrationRefused,
    PostgresFailed,
    PostgresNotFound,
)


def up(args: Namespace) -> int:
    return start(
        UpArguments(
            data=data_folder(args.data_dir),
            host=args.host,
            port=args.port,
            apps_port=args.apps_port,
            detach=args.detach,
            json=args.json,
            report_fd=args.report_fd,
        )
    )


def down(args: Namespace) -> int:
    return stop(data_folder(args.data_dir), apps=args.apps)


def serve(args: Namespace) -> int:
    from cygnid.up.serve import serve

    serve(from_environment(), fd=args.fd, ready=args.ready_fd)
    return 0


def work(args: Namespace) -> int:
    import logging
    from functools import partial

    from cygnid.up.build import this_build
    from cygnid.up.processes import say_ready
    from cygnid.worker import main

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # not uvloop: what it starts inherits its pipes, so that the end of a script whose children live on is never seen
    asyncio.run(main(from_environment(), build=this_build().id, ready=partial(say_ready, args.ready_fd)))
    return 0


def migrate(args: Namespace) -> int:
    from cygnid.up.prepare import prepare

    done = asyncio.run(prepare(from_environment(), first_owner=args.first_owner))
    if args.json:
        print(json.dumps(done))
    else:
        print("\n".join(done["applied"]) or "nothing to do", file=sys.stderr)
    return 0


def openapi(args: Namespace) -> int:
    from importlib.metadata import version

    import cygnid.app  # pyright: ignore[reportUnusedImport]  # noqa: F401 - registers every operation
    from cygnid.core.http import OPERATIONS
    from cygnid.core.openapi import document

    print(json.dumps(document(OPERATIONS, version=version("cygnid")), indent=2))
    return 0


def doctor(args: Namespace) -> int:
    from cygnid.up.doctor import doctor

    return doctor(data_folder(args.data_dir), as_json=args.json)


def setup_code(args: Namespace) -> int:
    from cygnid.up.token import setup_code

    return setup_code(data_folder(args.data_dir), as_json=args.json)


def reset_password(args: Namespace) -> int:
    from cygnid.up.token import reset_password

    return reset_password(
        data_folder(args.data_dir),
        email=args.email,
        keep_second_factor=not args.remove_second_factor,
        as_json=args.json,
    )


def token(args: Namespace) -> int:
    from cygnid.up.token import mint

    return mint(data_folder(args.data_dir), minutes=args.minutes, as_json=args.json)
