"""Set-up, sign-in, sign-out, the caller's own account."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, SecretStr

from boreas.domain.access import User
from boreas.domain.errors import Conflict, Forbidden, Unauthenticated, invalid
from boreas.domain.ids import UserId
from boreas.server.auth import sessions
from boreas.server.auth.callers import AnyUser, Caller, Public
from boreas.server.auth.origin import csrf_token, refuse_foreign
from boreas.server.auth.secrets import fingerprint, new_session_secret
from boreas.server.bodies import Body, Moment, Name, View
from boreas.server.services import ServiceBundle, Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["accounts"])

SHORTEST_PASSWORD = 8
# Argon2 reads the whole text; a megabyte of password would be a cheap way to keep it busy.
LONGEST_PASSWORD = 1000


def _a_new_password(secret: SecretStr) -> SecretStr:
    length = len(secret.get_secret_value())
    if length < SHORTEST_PASSWORD:
        raise ValueError(f"is too short; write at least {SHORTEST_PASSWORD} characters")
    if length > LONGEST_PASSWORD:
        raise ValueError(f"is too long; write at most {LONGEST_PASSWORD} characters")
    return secret


NewPassword = Annotated[SecretStr, AfterValidator(_a_new_password)]


class SetupBody(Body):
    """The first admin; `token` is what the server printed at its first start."""

    token: SecretStr
    username: Name
    password: NewPassword


class LoginBody(Body):
    """A person's name and password."""

    username: str
    password: SecretStr


class PasswordBody(Body):
    """A new password; the present one proves that it is really you."""

    current_password: SecretStr
    new_password: NewPassword


class UserView(View):
    """A person who can sign in."""

    id: str
    username: str
    display_name: str
    is_admin: bool
    created_at: Moment


class MeView(UserView):
    """The caller. `csrf_token` goes into `X-CSRF-Token`; null when a bearer token was used."""

    csrf_token: str | None = None


def _me(user: User, csrf: str | None) -> MeView:
    return MeView(**UserView.model_validate(user).model_dump(), csrf_token=csrf)


@router.post("/setup", status_code=201, dependencies=[Public])
async def set_up(body: SetupBody, services: Services) -> UserView:
    """Make the first admin. Works once: the token is spent, later calls are refused."""
    async with services.store.reading() as tx:
        if await tx.users.count():
            raise Conflict("this server is set up already")
    if not services.setup_token.matches(body.token.get_secret_value()):
        raise Forbidden("this is not the setup token that the server printed")
    user = User(
        id=UserId(services.ids("usr")),
        username=body.username,
        display_name=body.username,
        is_admin=True,
        password_hash=await services.hasher.hash(body.password.get_secret_value()),
        created_at=services.clock.now(),
    )
    with services.setup_token.spent():
        async with services.store.transaction() as tx:
            if await tx.users.count():
                raise Conflict("this server is set up already")
            await tx.users.add(user)
    return UserView.model_validate(user)


@router.post("/login", dependencies=[Public])
async def log_in(
    body: LoginBody, request: Request, response: Response, services: Services
) -> MeView:
    """Start a session; the cookie is HttpOnly and SameSite=Strict. Its id is new every time."""
    refuse_foreign(request, services.settings.public_url)
    async with _one_try(services, body.username, request):
        user = await _proven_user(services, body.username, body.password.get_secret_value())
    secret = await _start_session(services, user, request)
    sessions.put_cookie(response, request, secret, services.settings.secure_cookies)
    return _me(user, csrf_token(secret))


async def _proven_user(services: ServiceBundle, username: str, password: str) -> User:
    """The user whose password this is; a name that is not known costs the same time."""
    async with services.store.reading() as tx:
        user = await tx.users.named(username)
    password = password[: LONGEST_PASSWORD + 1]
    if user is None:
        right = await services.hasher.verify_nobody(password)
    else:
        right = await services.hasher.verify(password, user.password_hash)
    if user is None or not right or user.disabled_at is not None:
        raise Unauthenticated("the name or the password is wrong")
    return user


async def _start_session(services: ServiceBundle, user: User, request: Request) -> str:
    """A new session; the one that the browser had before ends."""
    secret = new_session_secret()
    session = sessions.new_session(secret, user, _address(request), services.clock.now())
    before = sessions.secret_in(request)
    async with services.store.transaction() as tx:
        if before is not None:
            await end_session(tx, fingerprint(before))
        await tx.sessions.remove_expired(services.clock.now())
        await tx.sessions.add(session)
    return secret


async def end_session(tx: Transaction, id_sha256: str) -> None:
    """It may have ended already."""
    if await tx.sessions.find(id_sha256) is not None:
        await tx.sessions.remove(id_sha256)


@router.post("/logout", status_code=204)
async def log_out(request: Request, caller: AnyUser, services: Services) -> Response:
    """End this session; its live connections close within seconds."""
    if caller.session is not None:
        async with services.store.transaction() as tx:
            await end_session(tx, caller.session.id_sha256)
    response = Response(status_code=204)
    sessions.drop_cookies(response, request, services.settings.secure_cookies)
    return response


@router.get("/me")
async def show_me(caller: AnyUser) -> MeView:
    """Who the server takes you for."""
    return _me(caller.user, caller.csrf)


@router.post("/me/password")
async def change_password(
    body: PasswordBody, request: Request, response: Response, caller: AnyUser, services: Services
) -> MeView:
    """Change the caller's password: every session of theirs ends, this one gets a new id."""
    await _check_current(services, caller, body.current_password.get_secret_value(), request)
    hashed = await services.hasher.hash(body.new_password.get_secret_value())
    async with services.store.transaction() as tx:
        await tx.users.change(replace(await tx.users.get(caller.user.id), password_hash=hashed))
        await tx.sessions.remove_of(caller.user.id)
    if caller.session is None:
        return _me(caller.user, None)
    secret = await _start_session(services, caller.user, request)
    sessions.put_cookie(response, request, secret, services.settings.secure_cookies)
    return _me(caller.user, csrf_token(secret))


async def _check_current(
    services: ServiceBundle, caller: Caller, password: str, request: Request
) -> None:
    """Guessing here is as slow as at the door."""
    async with _one_try(services, caller.user.username, request):
        if not await services.hasher.verify(password[:LONGEST_PASSWORD], caller.user.password_hash):
            raise invalid("current_password", "is wrong", "write your present password")


def _one_try(
    services: ServiceBundle, account: str, request: Request
) -> AbstractAsyncContextManager[None]:
    now = services.clock.now()
    return services.guesses.one_try(services.store, account, _address(request), now)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
