"""Who owns a new installation, and a token for whoever can read its machine."""

from dataclasses import dataclass
from datetime import datetime

from cygnid.core import db
from cygnid.core.access import Permission
from cygnid.core.actors import SYSTEM
from cygnid.core.errors import NotFound
from cygnid.core.plans import PlanName
from cygnid.resources.auth.actions import give_setup_code
from cygnid.resources.auth.credentials import give_reset
from cygnid.resources.permissions.actions import add_owner
from cygnid.resources.teams.actions import create_team
from cygnid.resources.tokens.actions import NewToken, issue
from cygnid.resources.users.actions import create_user
from cygnid.resources.users.queries import first_instance_admin

_FACT = "first_owner"


@dataclass(frozen=True, kw_only=True)
class FirstOwner:
    team_id: str
    user_id: str
    token: str | None
    """Only from the call that made them."""
    setup_code: str | None
    """Likewise: with it the user registers a name, an address and a password."""


async def ensure_first_owner(pool: db.Pool, plan: PlanName = "pro") -> FirstOwner:
    """The first user, who administers the installation and owns its first team; made once, however often and by
    however many this is called. The user has no e-mail address and no password yet."""
    async with db.begin(pool) as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtext($1))", _FACT)
        if (fact := await tx.value("SELECT value FROM installation WHERE name = $1", _FACT)) is not None:
            team_id, user_id = fact.split()
            return FirstOwner(team_id=team_id, user_id=user_id, token=None, setup_code=None)
        user = await create_user(tx, SYSTEM, name="Owner", email=None, is_instance_admin=True)
        team = await create_team(tx, SYSTEM, name="Default", slug="default", plan=plan)
        await add_owner(tx, SYSTEM, team_id=team.id, user_id=user.id)
        token = await _owner_token(tx, user.id, name="first token")
        code = await give_setup_code(tx, user.id)
        await tx.execute("INSERT INTO installation (name, value) VALUES ($1, $2)", _FACT, f"{team.id} {user.id}")
        return FirstOwner(team_id=team.id, user_id=user.id, token=token, setup_code=code)


async def mint_owner_token(pool: db.Pool, *, expires_at: datetime | None = None) -> str:
    """A new token of whoever has administered this installation longest: the way back in for who can run commands
    on its machine. Recorded like any other. Raises NotFound when there is nobody yet."""
    async with db.begin(pool) as tx:
        return await _owner_token(tx, await _owner(tx), name="cygnid token", expires_at=expires_at)


async def new_setup_code(pool: db.Pool) -> str:
    """A code for the owner whom nobody has completed yet; the one before ends. Raises NotFound, InvalidState."""
    async with db.begin(pool) as tx:
        return await give_setup_code(tx, await _owner(tx))


async def new_reset_token(pool: db.Pool, email: str, *, keep_second_factor: bool = True) -> str:
    """With it somebody sets a new password, where no mail can bring it to them. Raises NotFound."""
    async with db.begin(pool) as tx:
        return await give_reset(tx, email.strip().lower(), keep_second_factor=keep_second_factor)


async def _owner(tx: db.Tx) -> str:
    admin = await first_instance_admin(tx)
    if admin is None:
        raise NotFound("This installation has no owner yet.", hint="`cygnid up` makes the first one.")
    return admin.id


async def _owner_token(tx: db.Tx, user_id: str, *, name: str, expires_at: datetime | None = None) -> str:
    scopes = ("*", Permission.INSTANCE_ADMIN.value)
    new = NewToken(kind="personal", name=name, scopes=scopes, expires_at=expires_at)
    _, secret = await issue(tx, SYSTEM, new, user_id=user_id)
    return secret
