"""Many variables of one environment at once: what would change, and making it so."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from cygnid.core.db import Tx
from cygnid.core.errors import FieldError, ValidationError
from cygnid.core.secrets import Secrets
from cygnid.resources.env import actions, queries, values
from cygnid.resources.env.access import EnvAccess, VariableAccess
from cygnid.resources.env.queries import VariableRow
from cygnid.resources.env.schemas import EnvAssignment, EnvImportAnswer, EnvVariablePatch, NeverPlain


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done so that an environment has the variables that were asked for."""

    create: list[EnvAssignment] = field(default_factory=list[EnvAssignment])
    update: list[tuple[VariableRow, EnvAssignment]] = field(default_factory=list[tuple[VariableRow, EnvAssignment]])
    unchanged: list[VariableRow] = field(default_factory=list[VariableRow])
    delete: list[VariableRow] = field(default_factory=list[VariableRow])

    def answer(self) -> EnvImportAnswer:
        return EnvImportAnswer(
            created=len(self.create),
            updated=len(self.update),
            unchanged=len(self.unchanged),
            deleted=len(self.delete),
            errors=[],
        )


def check(wanted: Sequence[EnvAssignment]) -> None:
    """Raises ValidationError naming every problem."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, item in enumerate(wanted):
        found += values.problems(item.key, item.value, f"variables[{index}].")
        if item.key in seen:
            found.append(FieldError(field=f"variables[{index}].key", code="invalid", reason="Is named twice"))
        seen.add(item.key)
    if found:
        raise ValidationError.of(found)


async def set_all(
    tx: Tx,
    secrets: Secrets,
    access: EnvAccess,
    wanted: Sequence[EnvAssignment],
    *,
    prune: bool = False,
    dry_run: bool = False,
    request_id: str | None = None,
) -> EnvImportAnswer:
    """All or none. Only `access.entry` is touched: a variable that others share stays theirs as it is. `prune`: what
    is not asked for is deleted there. Raises NeverPlain, InvalidState."""
    assert access.entry is not None, "the body names it"
    await actions.lock(tx, access.project)
    plan = _plan(secrets, await queries.entries_of(tx, access.project.id, access.entry), wanted, prune=prune)
    if not dry_run:
        await _Setting(tx, secrets, access, access.entry, request_id).follow(plan)
    return plan.answer()


def _plan(secrets: Secrets, current: Sequence[VariableRow], wanted: Sequence[EnvAssignment], *, prune: bool) -> Plan:
    by_key = {row.key: row for row in current}
    plan = Plan()
    for item in wanted:
        row = by_key.pop(item.key, None)
        if row is None:
            plan.create.append(item)
        elif _differs(secrets, row, item):
            plan.update.append((row, item))
        else:
            plan.unchanged.append(row)
    if prune:
        plan.delete.extend(by_key.values())
    return plan


def _differs(secrets: Secrets, row: VariableRow, item: EnvAssignment) -> bool:
    if item.type == "plain" and row.type != "plain":
        raise NeverPlain(f"{row.key} is of type {row.type}, which never becomes plain.")
    settings = ((item.type, row.type), (item.target, row.target), (item.comment, row.comment))
    return values.clear(secrets, row.sealed) != item.value or any(new not in (UNSET, old) for new, old in settings)


@dataclass(frozen=True)
class _Setting:
    """Following a plan."""

    tx: Tx
    secrets: Secrets
    access: EnvAccess
    entry: str
    request_id: str | None

    async def follow(self, plan: Plan) -> None:
        for row in plan.delete:
            await self._take_out(row)
        for row, item in plan.update:
            if len(row.environments) > 1:
                await self._take_out(row)
                await self._create(item, like=row)
            else:
                await self._update(row, item)
        for item in plan.create:
            await self._create(item)

    async def _take_out(self, row: VariableRow) -> None:
        await actions.take_out(self.tx, self.access, row, self.entry, request_id=self.request_id)

    async def _update(self, row: VariableRow, item: EnvAssignment) -> None:
        access = self.access
        found = VariableAccess(
            actor=access.actor,
            team_id=access.team_id,
            permissions=access.permissions,
            project=access.project,
            variable=row,
        )
        patch = EnvVariablePatch(value=item.value, type=item.type, target=item.target, comment=item.comment)
        await actions.update(self.tx, self.secrets, found, patch, request_id=self.request_id)

    async def _create(self, item: EnvAssignment, *, like: VariableRow | None = None) -> None:
        """`like`: what it was split from, and keeps where nothing else is said."""
        await actions.create(
            self.tx,
            self.secrets,
            self.access,
            key=item.key,
            value=item.value,
            environments=[self.entry],
            type=item.type if item.type is not UNSET else like.type if like else "secret",
            target=item.target if item.target is not UNSET else like.target if like else "both",
            comment=item.comment if item.comment is not UNSET else like.comment if like else None,
            request_id=self.request_id,
        )
