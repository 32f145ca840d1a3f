"""`cygnid token`, `setup-code` and `reset-password`: what lets somebody in, for whoever can read the data folder."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg

from cygnid.core import clock, db
from cygnid.core.postgres import EmbeddedPostgres
from cygnid.settings import Settings, from_environment
from cygnid.up.first import mint_owner_token, new_reset_token, new_setup_code
from cygnid.up.installation import Unsuitable, existing_installation


def database_url(data: Path, settings: Settings) -> str:
    """Of the installation in this folder. Raises Unsuitable when there is none."""
    installation = existing_installation(data)
    if installation is None:
        raise Unsuitable(f"{data} holds no installation. Choose --data-dir, or start one: cygnid up")
    return settings.database_url or EmbeddedPostgres(data, uid=installation.uid_base).url


def mint(data: Path, *, minutes: int | None, as_json: bool) -> int:
    """Print a new token, which ends after `minutes` (None: never). Raises Unsuitable, NotFound."""
    expires_at = clock.now() + timedelta(minutes=minutes) if minutes is not None else None
    token = _ask(data, lambda pool: mint_owner_token(pool, expires_at=expires_at))
    print(json.dumps({"token": token}) if as_json else token)
    return 0


def setup_code(data: Path, *, as_json: bool) -> int:
    """Print a new setup code. Raises Unsuitable, NotFound, InvalidState."""
    code = _ask(data, new_setup_code)
    print(json.dumps({"setupCode": code}) if as_json else code)
    return 0


def reset_password(data: Path, *, email: str, keep_second_factor: bool, as_json: bool) -> int:
    """Print what sets a new password of this user. Raises Unsuitable, NotFound."""
    token = _ask(data, lambda pool: new_reset_token(pool, email, keep_second_factor=keep_second_factor))
    print(json.dumps({"resetToken": token}) if as_json else token)
    return 0


def _ask(data: Path, question: Callable[[db.Pool], Awaitable[str]]) -> str:
    url = database_url(data, from_environment({**os.environ, "CYGNI_HOME": str(data)}))

    async def run() -> str:
        try:
            pool = await db.connect(url, size=1)
        except (OSError, asyncpg.PostgresError) as error:
            raise Unsuitable(f"its database cannot be reached ({error}). Start it: cygnid up") from error
        try:
            return await question(pool)
        finally:
            await pool.close()

    return asyncio.run(run())
