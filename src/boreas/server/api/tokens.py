"""Bearer tokens for programs: shown once, kept as hashes."""

from datetime import timedelta

from fastapi import APIRouter, Response
from pydantic import Field

from boreas.domain.access import ApiToken
from boreas.domain.errors import NotFound
from boreas.server.auth.callers import AnyUser
from boreas.server.auth.secrets import fingerprint, new_api_token
from boreas.server.bodies import Body, Moment, Name, Page, View, Whole
from boreas.server.creation import Creating
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/tokens", tags=["tokens"])


class TokenBody(Body):
    """A new token; without `expires_in_seconds` it lives until it is deleted."""

    name: Name
    expires_in_seconds: Whole | None = Field(default=None, ge=60, le=10 * 366 * 86_400)


class TokenView(View):
    """A token without its secret."""

    id: str
    name: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None


class NewTokenView(TokenView):
    """A token at its birth; `token` is never shown again."""

    token: str


@router.post("", status_code=201, response_model=NewTokenView)
async def create_token(
    body: TokenBody, caller: AnyUser, services: Services, creating: Creating
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
    )

    async def make(tx: Transaction) -> NewTokenView:
        await tx.api_tokens.add(token)
        return NewTokenView(**TokenView.model_validate(token).model_dump(), token=secret)

    return await creating.run(make, secret="token")


@router.get("")
async def list_tokens(caller: AnyUser, services: Services) -> Page[TokenView]:
    """The caller's tokens."""
    async with services.store.reading() as tx:
        found = await tx.api_tokens.all(within=caller.user.id)
    return Page(items=[TokenView.model_validate(token) for token in found])


@router.delete("/{token_id}", status_code=204)
async def delete_token(token_id: str, caller: AnyUser, services: Services) -> None:
    """End a token of the caller at once."""
    async with services.store.transaction() as tx:
        token = await tx.api_tokens.get(token_id)
        if token.user_id != caller.user.id:
            raise NotFound
        await tx.api_tokens.remove(token_id)
