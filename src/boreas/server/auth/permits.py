"""What a route asks of its caller in the project that its path leads to.

    Configurer = Annotated[Caller, Depends(permitted(Permission.CONFIGURE))]

The project is found from the first path parameter that `store.places` knows. Whoever is no member
gets the same 404 as for an id that nothing has; a member whose role is too low a 403 that names the
roles it needs. A route that writes asks once more inside its own transaction (`caller.must`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import Depends
from starlette.requests import HTTPConnection

from boreas.domain.errors import NotFound
from boreas.domain.permissions import Permission, Verdict, judge
from boreas.server.auth.callers import (
    PERMISSIONS_ATTRIBUTE,
    WHO_ATTRIBUTE,
    Caller,
    Who,
    authenticated,
    insist,
    is_still_good,
)
from boreas.server.services import ServiceBundle, services_of
from boreas.store import SqlTransaction as Transaction
from boreas.store.places import PLACES

DEPLOYING: Final = (Permission.DEPLOY_FREE, Permission.DEPLOY_GUARDED)
"""For `permitted(*DEPLOYING)`: which of the two is needed depends on the environment's kind."""

Gate = Callable[[HTTPConnection], Awaitable[Caller]]


def permitted(*permissions: Permission) -> Gate:
    """The dependency of a route that needs this permission in the project of its path."""

    async def gate(connection: HTTPConnection) -> Caller:
        async def look(tx: Transaction, caller: Caller) -> None:
            await check_path(tx, caller, permissions, connection.path_params)

        return await authenticated(connection, services_of(connection), look)

    setattr(gate, WHO_ATTRIBUTE, Who.MEMBER)
    setattr(gate, PERMISSIONS_ATTRIBUTE, frozenset(permissions))
    return gate


async def check_path(
    tx: Transaction,
    caller: Caller,
    permissions: tuple[Permission, ...],
    path: Mapping[str, Any],
) -> None:
    """Everything the path names is in one project, and the caller may do this there."""
    named = [name for name in path if name in PLACES]
    if not named:
        raise RuntimeError("a route that asks for a permission has no id of a project in its path")
    project_id = await check_thing(tx, caller, permissions, named[0], str(path[named[0]]))
    if named[0] != "project_id":
        # Below another thing the route itself looks: a deployment outlives its targets.
        return
    for name in named[1:]:
        await _check_within(tx, caller, project_id, name, str(path[name]))


async def check_thing(
    tx: Transaction, caller: Caller, permissions: tuple[Permission, ...], parameter: str, key: str
) -> str:
    """The project of the thing, if the caller may do this there; `NotFound` or `Forbidden`."""
    unseen = NotFound(f"There is no {PLACES[parameter].noun} `{key}`.", parameters={"id": key})
    look = await tx.places.look(parameter, key, caller.user.id)
    if look is None:
        raise unseen
    permission = look.deploying if permissions == DEPLOYING else permissions[0]
    # What belongs to no project is an admin's; nobody's role reaches it.
    insist(caller, permission, look.standing, look.project_id or "", unseen=unseen)
    return look.project_id or ""


async def _check_within(
    tx: Transaction, caller: Caller, project_id: str, parameter: str, key: str
) -> None:
    look = await tx.places.look(parameter, key, caller.user.id)
    if look is None or look.project_id != project_id:
        noun = PLACES[parameter].noun
        raise NotFound(f"There is no {noun} `{key}`.", parameters={"id": key})


async def still_permitted(
    caller: Caller, services: ServiceBundle, permission: Permission, parameter: str, key: str
) -> bool:
    """Asked again and again while a stream is open: may its reader still read this?"""
    if not await is_still_good(caller, services):
        return False
    async with services.store.reading() as tx:
        look = await tx.places.look(parameter, key, caller.user.id)
    if look is None:
        return False
    verdict = judge(permission, look.standing, caller.scope, look.project_id or "")
    return verdict is Verdict.ALLOWED


Seer = Annotated[Caller, Depends(permitted(Permission.SEE))]
LogReader = Annotated[Caller, Depends(permitted(Permission.SEE_LOGS))]
Builder = Annotated[Caller, Depends(permitted(Permission.BUILD))]
Configurer = Annotated[Caller, Depends(permitted(Permission.CONFIGURE))]
Deployer = Annotated[Caller, Depends(permitted(*DEPLOYING))]
Overrider = Annotated[Caller, Depends(permitted(Permission.OVERRIDE))]
AuditReader = Annotated[Caller, Depends(permitted(Permission.SEE_AUDIT))]
MembersKeeper = Annotated[Caller, Depends(permitted(Permission.MANAGE_MEMBERS))]
ProjectRemover = Annotated[Caller, Depends(permitted(Permission.REMOVE_PROJECT))]
