"""Who is calling: the one dependency by which every route says who may use it.

A route without it does not start (`server.app` checks at creation, a test enumerates them). Roles
beyond admin come later; they will be further members of `Who`.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from boreas.domain.access import Session, User
from boreas.domain.errors import Forbidden, NoSpace, Unauthenticated, Unavailable
from boreas.server.auth import origin, sessions
from boreas.server.auth.secrets import API_TOKEN_PREFIX, fingerprint
from boreas.server.services import ServiceBundle, services_of
from boreas.store import SqlTransaction as Transaction

E = TypeVar("E", bound=Callable[..., Any])


class Who(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    """Anybody: set-up, login, health, static files."""
    USER = "user"
    """Who is signed in."""
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user who proved who they are; `session` is None when a token was used."""

    user: User
    session: Session | None = None
    token_id: str | None = None
    csrf: str | None = None

    @property
    def name(self) -> str:
        """How records name them."""
        return self.user.username


# When somebody was last seen need not be exact; a write per request would be dear.
NOTED_EVERY: Final = timedelta(minutes=5)

WHO_ATTRIBUTE: Final = "boreas_who"
"""Marks the dependency, for the check that every route has one."""


async def _user_gate(connection: HTTPConnection) -> Caller:
    return await authenticated(connection, services_of(connection))


async def _admin_gate(connection: HTTPConnection) -> Caller:
    caller = await _user_gate(connection)
    if not caller.user.is_admin:
        raise Forbidden
    return caller


async def _open_gate() -> None:
    return None


for _gate_of, _who in ((_user_gate, Who.USER), (_admin_gate, Who.ADMIN), (_open_gate, Who.PUBLIC)):
    setattr(_gate_of, WHO_ATTRIBUTE, _who)

AnyUser = Annotated[Caller, Depends(_user_gate)]
Admin = Annotated[Caller, Depends(_admin_gate)]
Public = Depends(_open_gate)
"""For `dependencies=[Public]` of the few routes that anybody may call."""


def checks_itself(who: Who) -> Callable[[E], E]:
    """Marks a WebSocket endpoint that admits its caller in its own handshake."""

    def mark(endpoint: E) -> E:
        setattr(endpoint, WHO_ATTRIBUTE, who)
        return endpoint

    return mark


async def authenticated(connection: HTTPConnection, services: ServiceBundle) -> Caller:
    """The caller by bearer token or session cookie; `Unauthenticated` otherwise.

    With both, the bearer token counts. A session must also show that the request is our own page's.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await _by_token(token.strip(), services)
    secret = sessions.secret_in(connection)
    if secret is None:
        raise Unauthenticated("sign in, or send an API token in Authorization: Bearer")
    if connection.scope.get("method", "GET") not in origin.SAFE_METHODS:
        origin.check_write(connection, secret, services.settings.public_url)
    return await _by_session(secret, services)


async def _by_token(secret: str, services: ServiceBundle) -> Caller:
    if not secret.startswith(API_TOKEN_PREFIX):
        raise Unauthenticated("Authorization must be `Bearer <API token>`")
    now = services.clock.now()
    async with services.store.reading() as tx:
        found = await tx.api_tokens.named(fingerprint(secret))
        if found is None or (found.expires_at and found.expires_at <= now):
            raise Unauthenticated("this API token is not known or has ended")
        user = await tx.users.get(found.user_id)
    if user.disabled_at is not None:
        raise Unauthenticated("this account is disabled")
    if found.last_used_at is None or now - found.last_used_at > NOTED_EVERY:
        await _note(services, lambda tx: tx.api_tokens.touch(found.id, now))
    return Caller(user=user, token_id=found.id)


async def _by_session(secret: str, services: ServiceBundle) -> Caller:
    now = services.clock.now()
    async with services.store.reading() as tx:
        session = await tx.sessions.find(fingerprint(secret))
        if session is None or session.expires_at <= now:
            raise Unauthenticated("the session has ended; sign in again")
        user = await tx.users.get(session.user_id)
    if user.disabled_at is not None:
        raise Unauthenticated("this account is disabled")
    if now - session.last_seen_at > NOTED_EVERY:
        end, hashed = now + sessions.LIFETIME, session.id_sha256
        await _note(services, lambda tx: tx.sessions.touch(hashed, seen_at=now, expires_at=end))
    return Caller(user=user, session=session, csrf=origin.csrf_token(secret))


async def _note(services: ServiceBundle, write: Callable[[Transaction], Awaitable[None]]) -> None:
    """A write that is nice to have: a full disk or a busy database refuses nobody."""
    with suppress(Unavailable, NoSpace):
        async with services.store.transaction() as tx:
            await write(tx)


async def is_still_good(caller: Caller, services: ServiceBundle) -> bool:
    """Asked again and again while a live connection is open: signed out, revoked, disabled?"""
    now = services.clock.now()
    async with services.store.reading() as tx:
        user = await tx.users.find(caller.user.id)
        if user is None or user.disabled_at is not None:
            return False
        if caller.session is not None:
            session = await tx.sessions.find(caller.session.id_sha256)
            return session is not None and session.expires_at > now
        token = await tx.api_tokens.find(caller.token_id or "")
    return token is not None and (token.expires_at is None or token.expires_at > now)
