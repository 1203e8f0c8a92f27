"""Who is calling: the one dependency by which every route says who may use it.

A route without it does not start (`server.app` checks at creation, a test enumerates them). What a
caller may do in a project is said by `auth.permits`; here is who they are, and `Caller.must`.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, TypedDict, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from boreas.domain.access import Session, User
from boreas.domain.audit import Author
from boreas.domain.errors import Forbidden, NoSpace, NotFound, Unauthenticated, Unavailable
from boreas.domain.permissions import (
    MATRIX,
    WHOLE,
    Permission,
    Role,
    Scope,
    Sight,
    Standing,
    Verdict,
    deploying_to,
    judge,
)
from boreas.domain.projects import Environment
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
    SELF = "self"
    """The same, but not with a token that is only for some things."""
    MEMBER = "member"
    """A member of the project, whose role has the permission that the route names."""
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user who proved who they are; `session` is None when a token was used."""

    user: User
    session: Session | None = None
    token_id: str | None = None
    csrf: str | None = None
    scope: Scope = WHOLE
    """What the token is for; a session is for everything."""
    address: str = ""
    request_id: str = ""

    @property
    def name(self) -> str:
        """How records name them."""
        return self.user.username

    @property
    def author(self) -> Author:
        """How the audit trail names them."""
        via = "session" if self.token_id is None else f"token {self.token_id}"
        return Author(
            user_id=self.user.id,
            name=self.name,
            address=self.address,
            via=via,
            request_id=self.request_id,
        )

    @property
    def is_admin(self) -> bool:
        """An admin, and with nothing narrower than all their rights."""
        return self.user.is_admin and self.scope.is_whole

    @property
    def sight(self) -> Sight:
        """What their lists show."""
        return Sight(
            user_id=None if self.user.is_admin else self.user.id,
            project_ids=self.scope.project_ids,
        )

    async def sight_now(self, tx: Transaction) -> Sight:
        """The same at this moment, for who listens for hours: admins come and go."""
        user = await tx.users.find(self.user.id)
        is_admin = user is not None and user.is_admin
        return Sight(user_id=None if is_admin else self.user.id, project_ids=self.scope.project_ids)

    async def must(self, tx: Transaction, permission: Permission, project_id: str) -> None:
        """They may do this at this very moment, or `NotFound` (no member) or `Forbidden`."""
        standing = await tx.members.standing(self.user.id, project_id)
        insist(self, permission, standing, project_id, unseen=_no("project", project_id))

    async def must_deploy(self, tx: Transaction, environment: Environment) -> None:
        """They may deploy into this environment at this moment."""
        await self.must(tx, deploying_to(environment.kind), environment.project_id)

    async def may(self, tx: Transaction, permission: Permission, project_id: str) -> bool:
        """The same as a question."""
        standing = await tx.members.standing(self.user.id, project_id)
        return judge(permission, standing, self.scope, project_id) is Verdict.ALLOWED

    async def must_be_admin(self, tx: Transaction) -> None:
        """They are an admin at this very moment."""
        now = await tx.users.find(self.user.id)
        if now is None or now.disabled_at is not None or not now.is_admin:
            raise Forbidden(ONLY_ADMINS)
        if not self.scope.is_whole:
            raise Forbidden(TOO_NARROW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nobody:
    """Somebody who did not prove who they are; known by an address alone."""

    author: Author


def nobody(address: str) -> Nobody:
    """For the audit trail: a try from this address."""
    return Nobody(author=Author(name="", address=address, via="none"))


ONLY_ADMINS: Final = "this needs an admin of the installation"
TOO_NARROW: Final = "this token is not made for this; use one without a scope, or sign in"


def insist(
    caller: Caller,
    permission: Permission,
    standing: Standing,
    project_id: str,
    *,
    unseen: NotFound,
) -> None:
    """Let an allowed caller pass; everybody else is told as much as they may know."""
    match judge(permission, standing, caller.scope, project_id):
        case Verdict.ALLOWED:
            return
        case Verdict.UNSEEN:
            raise unseen
        case Verdict.TOKEN_TOO_NARROW:
            raise Forbidden(TOO_NARROW, parameters={"permission": permission.value})
        case Verdict.ROLE_TOO_LOW:
            raise _role_too_low(permission, standing)


def _role_too_low(permission: Permission, standing: Standing) -> Forbidden:
    needed = [role.value for role in Role if role in MATRIX[permission]]
    role = "" if standing.role is None else standing.role.value
    return Forbidden(
        f"this needs the role {' or '.join(needed)} in this project; you are {role}",
        parameters={"permission": permission.value, "needed": needed, "role": role},
    )


def _no(noun: str, key: str) -> NotFound:
    return NotFound(f"There is no {noun} `{key}`.", parameters={"id": key})


# When somebody was last seen need not be exact; a write per request would be dear.
NOTED_EVERY: Final = timedelta(minutes=5)

WHO_ATTRIBUTE: Final = "boreas_who"
"""Marks the dependency, for the check that every route has one."""
PERMISSIONS_ATTRIBUTE: Final = "boreas_permissions"
"""Which of these the route needs; more than one where the environment's kind decides."""


async def _user_gate(connection: HTTPConnection) -> Caller:
    return await authenticated(connection, services_of(connection))


async def _self_gate(connection: HTTPConnection) -> Caller:
    caller = await _user_gate(connection)
    if not caller.scope.is_whole:
        raise Forbidden(TOO_NARROW)
    return caller


async def _admin_gate(connection: HTTPConnection) -> Caller:
    caller = await _self_gate(connection)
    if not caller.user.is_admin:
        raise Forbidden(ONLY_ADMINS)
    return caller


async def _open_gate() -> None:
    return None


for _gate_of, _who in (
    (_user_gate, Who.USER),
    (_self_gate, Who.SELF),
    (_admin_gate, Who.ADMIN),
    (_open_gate, Who.PUBLIC),
):
    setattr(_gate_of, WHO_ATTRIBUTE, _who)

AnyUser = Annotated[Caller, Depends(_user_gate)]
Themself = Annotated[Caller, Depends(_self_gate)]
"""For what a person does with their own account: not with a token of a narrow scope."""
Admin = Annotated[Caller, Depends(_admin_gate)]


async def _known(connection: HTTPConnection) -> Caller:
    return await authenticated(connection, services_of(connection))


KnownCaller = Annotated[Caller, Depends(_known)]
"""For what a route depends on besides: who calls, without saying who may."""
Public = Depends(_open_gate)
"""For `dependencies=[Public]` of the few routes that anybody may call."""


def checks_itself(*what: Who | Permission) -> Callable[[E], E]:
    """Marks an endpoint that looks itself whether its caller may do this, and says what it asks.

    For a WebSocket, which admits its caller in its own handshake (`Who`), and for routes whose
    project is in the body or in the query (`Permission`: they call `caller.must`).
    """

    def mark(endpoint: E) -> E:
        asked = frozenset(each for each in what if isinstance(each, Permission))
        who = next((each for each in what if isinstance(each, Who)), Who.MEMBER)
        setattr(endpoint, WHO_ATTRIBUTE, who)
        setattr(endpoint, PERMISSIONS_ATTRIBUTE, asked)
        return endpoint

    return mark


Look = Callable[[Transaction, Caller], Awaitable[None]]
"""A further check in the transaction that finds out who calls."""


async def authenticated(
    connection: HTTPConnection, services: ServiceBundle, look: Look | None = None
) -> Caller:
    """The caller by bearer token or session cookie; `Unauthenticated` otherwise.

    With both, the bearer token counts. A session must also show that the request is our own page's.
    Asked twice in one request (a route and what it depends on), the first answer stands.
    """
    known: Caller | None = connection.scope.get(_KNOWN)
    if known is None:
        known = connection.scope[_KNOWN] = await _proven(connection, services, look)
    elif look is not None:
        async with services.store.reading() as tx:
            await look(tx, known)
    return known


_KNOWN: Final = "boreas.caller"


async def _proven(connection: HTTPConnection, services: ServiceBundle, look: Look | None) -> Caller:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await _by_token(token.strip(), connection, services, look)
    secret = sessions.secret_in(connection)
    if secret is None:
        raise Unauthenticated("sign in, or send an API token in Authorization: Bearer")
    if connection.scope.get("method", "GET") not in origin.SAFE_METHODS:
        origin.check_write(connection, secret, services.settings.public_url)
    return await _by_session(secret, connection, services, look)


async def _by_token(
    secret: str, connection: HTTPConnection, services: ServiceBundle, look: Look | None
) -> Caller:
    if not secret.startswith(API_TOKEN_PREFIX):
        raise Unauthenticated("Authorization must be `Bearer <API token>`")
    now = services.clock.now()
    async with services.store.reading() as tx:
        known = await tx.api_tokens.with_user(fingerprint(secret))
        if known is None or (known[0].expires_at and known[0].expires_at <= now):
            raise Unauthenticated("this API token is not known or has ended")
        found, user = known
        caller = Caller(
            user=user,
            token_id=found.id,
            scope=found.scope,
            **_whence(connection),
        )
        _refuse_disabled(caller.user)
        if look is not None:
            await look(tx, caller)
    if found.last_used_at is None or now - found.last_used_at > NOTED_EVERY:
        await _note(services, lambda tx: tx.api_tokens.touch(found.id, now))
    return caller


async def _by_session(
    secret: str, connection: HTTPConnection, services: ServiceBundle, look: Look | None
) -> Caller:
    now = services.clock.now()
    async with services.store.reading() as tx:
        known = await tx.sessions.with_user(fingerprint(secret))
        if known is None or known[0].expires_at <= now:
            raise Unauthenticated("the session has ended; sign in again")
        session, user = known
        caller = Caller(
            user=user,
            session=session,
            csrf=origin.csrf_token(secret),
            **_whence(connection),
        )
        _refuse_disabled(caller.user)
        if look is not None:
            await look(tx, caller)
    if now - session.last_seen_at > NOTED_EVERY:
        end, hashed = now + sessions.LIFETIME, session.id_sha256
        await _note(services, lambda tx: tx.sessions.touch(hashed, seen_at=now, expires_at=end))
    return caller


class _Whence(TypedDict):
    address: str
    request_id: str


def _whence(connection: HTTPConnection) -> _Whence:
    client = connection.client
    return {
        "address": "" if client is None else client.host,
        "request_id": str(connection.scope.get("boreas.request_id", "")),
    }


def _refuse_disabled(user: User) -> None:
    if user.disabled_at is not None:
        raise Unauthenticated("this account is disabled")


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
