"""Replace the list of variables of one level; secret ones go through the vault.

A secret is sealed under the variable's id, a new revision for each new value. Old revisions stay:
releases that were frozen with them still need them to go back.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.ids import ApplicationId, EnvironmentId, ProjectId
from boreas.domain.permissions import Permission
from boreas.domain.secrets import SecretKind
from boreas.domain.variables import LevelKind, Variable, check_variables
from boreas.server.auth.callers import Caller
from boreas.server.services import ServiceBundle
from boreas.server.variable_views import (
    VariableBody,
    VariablesBody,
    VariablesView,
    level_view,
    masking_warnings,
)
from boreas.store import SqlTransaction as Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The level that a list belongs to."""

    project_id: ProjectId
    id: str
    kind: LevelKind


async def put_variables(
    services: ServiceBundle,
    caller: Caller,
    find: Callable[[Transaction], Awaitable[Owner]],
    body: VariablesBody | Sequence[VariableBody],
) -> VariablesView:
    """Make this the level's whole list and answer with it; `InvalidInput` names wrong items."""
    items = body.items if isinstance(body, VariablesBody) else list(body)
    check_variables([(it.name, it.value) for it in items], at="items")
    async with services.store.transaction() as tx:
        owner = await find(tx)
        await caller.must(tx, Permission.CONFIGURE, owner.project_id)
        present = {it.name: it for it in await tx.variables.all(within=owner.id)}
        wishes = [_Wish(it, present.get(it.name)) for it in items]
        _refuse_without_value(wishes)
        listed = _List(services, tx, owner, caller.name, services.clock.now())
        variables = [await listed.variable(each) for each in wishes]
        await tx.variables.replace(owner.id, variables)
        await _note(tx, caller, owner, present.values(), variables)
    return level_view(
        sorted(variables, key=lambda it: it.name),
        masking_warnings({it.name: it.value for it in items if it.secret and it.value is not None}),
    )


async def _note(
    tx: Transaction,
    caller: Caller,
    owner: Owner,
    before: Iterable[Variable],
    after: Iterable[Variable],
) -> None:
    """Secrets by their revision: who reads the trail sees that one is new, never what it is."""
    await tx.audit.note(
        caller,
        "variables.replace",
        owner.kind.value,
        owner.id,
        project_id=owner.project_id,
        before={it.name: _noted(it) for it in before},
        after={it.name: _noted(it) for it in after},
    )


def _noted(variable: Variable) -> str:
    if variable.secret is None:
        return variable.value or ""
    return f"(secret, revision {variable.secret.revision})"


@dataclass(frozen=True, slots=True)
class _Wish:
    """An item of the list, and what is there under its name."""

    item: VariableBody
    present: Variable | None

    @property
    def new_secret(self) -> str | None:
        """A value that is to be sealed: a new one, or one that was plain until now."""
        if not self.item.secret:
            return None
        return self.item.value if self.item.value is not None else self._plain_until_now

    @property
    def _plain_until_now(self) -> str | None:
        return None if self.present is None else self.present.value

    @property
    def has_value(self) -> bool:
        if self.item.value is not None:
            return True
        return self.item.secret and self.present is not None


def _refuse_without_value(wishes: Sequence[_Wish]) -> None:
    wrong = tuple(
        FieldError(field=f"items[{index}].value", problem="is missing", mend=_mend(wish))
        for index, wish in enumerate(wishes)
        if not wish.has_value
    )
    if wrong:
        raise InvalidInput(f"{wrong[0].field}: is missing; {wrong[0].mend}", fields=wrong)


def _mend(wish: _Wish) -> str:
    if wish.present is not None and wish.present.secret is not None:
        return "a secret is never shown: write the plain value anew, or leave `secret` true"
    return "write the value"


class _List:
    """Makes the variables of one list."""

    def __init__(
        self, services: ServiceBundle, tx: Transaction, owner: Owner, by: str, now: datetime
    ) -> None:
        self._services = services
        self._tx = tx
        self._owner = owner
        self._by = by
        self._now = now

    async def variable(self, wish: _Wish) -> Variable:
        """As it shall be stored; untouched when nothing of it changes."""
        if wish.new_secret is not None:
            return await self._sealed(wish, wish.new_secret)
        if wish.item.secret:
            assert wish.present is not None
            return wish.present
        if wish.present is not None and wish.present.value == wish.item.value:
            return wish.present
        value = wish.item.value or ""
        return self._made(wish, value=value, size=len(value.encode()))

    async def _sealed(self, wish: _Wish, value: str) -> Variable:
        bare = self._made(wish, size=len(value.encode()))
        ref = await self._services.vault.put(
            self._tx, SecretKind.VARIABLE, bare.id, self._owner.project_id, value.encode()
        )
        return replace(bare, secret=ref)

    def _made(self, wish: _Wish, *, value: str | None = None, size: int) -> Variable:
        owner = self._owner
        in_application = owner.kind is LevelKind.APPLICATION
        in_environment = owner.kind is LevelKind.ENVIRONMENT
        return Variable(
            id=self._services.ids("var") if wish.present is None else wish.present.id,
            project_id=owner.project_id,
            application_id=ApplicationId(owner.id) if in_application else None,
            environment_id=EnvironmentId(owner.id) if in_environment else None,
            owner_id=owner.id,
            name=wish.item.name,
            value=value,
            size=size,
            updated_at=self._now,
            updated_by=self._by,
        )
