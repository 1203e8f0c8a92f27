"""Bearer tokens for programs: shown once, kept as hashes, as narrow as one likes."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field

from boreas.domain.access import ApiToken
from boreas.domain.errors import NotFound, invalid
from boreas.domain.ids import ProjectId
from boreas.domain.permissions import DEPLOY, READ, Permission, Scope
from boreas.server.auth.callers import Caller, Themself
from boreas.server.auth.secrets import fingerprint, new_api_token
from boreas.server.bodies import Body, Moment, Name, Page, View, Whole
from boreas.server.creation import Creating
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/tokens", tags=["tokens"])


class TokenScope(StrEnum):
    """What a token is for."""

    ALL = "all"
    """Whatever its user may do."""
    READ = "read"
    DEPLOY = "deploy"
    """Reading, deploying, building and making versions."""
    CUSTOM = "custom"
    """The permissions it lists."""


_PERMISSIONS: Final = {TokenScope.ALL: None, TokenScope.READ: READ, TokenScope.DEPLOY: DEPLOY}


class TokenBody(Body):
    """A new token; without `expires_in_seconds` it lives until it is deleted.

    `scope` says what it is for, `permissions` (with `custom`) each single thing; `project_ids`
    keeps it inside these projects. It never may more than its user.
    """

    name: Name
    expires_in_seconds: Whole | None = Field(default=None, ge=60, le=10 * 366 * 86_400)
    scope: TokenScope | None = None
    permissions: list[Permission] | None = Field(default=None, max_length=50)
    project_ids: list[ProjectId] | None = Field(default=None, min_length=1, max_length=1000)


class TokenView(View):
    """A token without its secret."""

    id: str
    name: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    scope: TokenScope
    permissions: list[Permission] | None
    project_ids: list[str] | None


class NewTokenView(TokenView):
    """A token at its birth; `token` is never shown again."""

    token: str


def _view(token: ApiToken) -> TokenView:
    allowed, projects = token.scope.permissions, token.scope.project_ids
    named = (scope for scope, permissions in _PERMISSIONS.items() if permissions == allowed)
    return TokenView(
        id=token.id,
        name=token.name,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        scope=next(named, TokenScope.CUSTOM),
        permissions=None if allowed is None else [each for each in Permission if each in allowed],
        project_ids=None if projects is None else sorted(projects),
    )


def _scope(body: TokenBody) -> Scope:
    asked = body.scope or (TokenScope.ALL if body.permissions is None else TokenScope.CUSTOM)
    if (asked is TokenScope.CUSTOM) != (body.permissions is not None):
        mend = "list `permissions` with `scope: custom`, and only with it"
        raise invalid("permissions", "does not fit `scope`", mend)
    allowed = _PERMISSIONS.get(asked)
    if body.permissions is not None:
        allowed = frozenset(body.permissions) | {Permission.SEE}
    projects = None if body.project_ids is None else frozenset(body.project_ids)
    return Scope(permissions=allowed, project_ids=projects)


async def _check_projects(tx: Transaction, caller: Caller, body: TokenBody) -> None:
    for index, project_id in enumerate(body.project_ids or ()):
        known = await tx.projects.find(project_id) is not None
        if not (known and await caller.may(tx, Permission.SEE, project_id)):
            problem = f"there is no project {project_id!r}"
            raise invalid(f"project_ids[{index}]", problem, "write the id of a project of yours")


@router.post("", status_code=201, response_model=NewTokenView)
async def create_token(
    body: TokenBody, caller: Themself, services: Services, creating: Creating
) -> Response:
    """Make a bearer token of the caller."""
    secret, now = new_api_token(), services.clock.now()
    lives = body.expires_in_seconds
    token = ApiToken(
        id=services.ids("tok"),
        user_id=caller.user.id,
        name=body.name,
        secret_sha256=fingerprint(secret),
        created_at=now,
        expires_at=None if lives is None else now + timedelta(seconds=lives),
        scope=_scope(body),
    )

    async def make(tx: Transaction) -> NewTokenView:
        await _check_projects(tx, caller, body)
        await tx.api_tokens.add(token)
        await tx.audit.note(caller, "token.create", "token", token.id, after=token)
        return NewTokenView(**_view(token).model_dump(), token=secret)

    return await creating.run(make, secret="token")


@router.get("")
async def list_tokens(caller: Themself, services: Services) -> Page[TokenView]:
    """The caller's tokens."""
    async with services.store.reading() as tx:
        found = await tx.api_tokens.all(within=caller.user.id)
    return Page(items=[_view(token) for token in found])


@router.delete("/{token_id}", status_code=204)
async def delete_token(token_id: str, caller: Themself, services: Services) -> None:
    """End a token of the caller at once."""
    async with services.store.transaction() as tx:
        token = await tx.api_tokens.find(token_id)
        if token is None or token.user_id != caller.user.id:
            raise NotFound(f"There is no API token `{token_id}`.", parameters={"id": token_id})
        await tx.api_tokens.remove(token_id)
        await tx.audit.note(caller, "token.delete", "token", token_id, before=token)
