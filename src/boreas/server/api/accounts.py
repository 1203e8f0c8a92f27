"""Set-up, sign-in, sign-out, the caller's own account."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from fastapi import APIRouter, Request, Response
from pydantic import SecretStr

from boreas.domain.access import User
from boreas.domain.errors import Conflict, Forbidden, Unauthenticated, invalid
from boreas.domain.ids import UserId
from boreas.server.auth import sessions
from boreas.server.auth.callers import AnyUser, Caller, Public, Themself, nobody
from boreas.server.auth.origin import csrf_token, refuse_foreign
from boreas.server.auth.passwords import LONGEST_PASSWORD, NewPassword
from boreas.server.auth.secrets import fingerprint, new_session_secret
from boreas.server.bodies import Body, Moment, Name, View
from boreas.server.services import ServiceBundle, Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["accounts"])


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
    email: str
    is_admin: bool
    created_at: Moment
    disabled_at: Moment | None


class MeView(UserView):
    """The caller. `csrf_token` goes into `X-CSRF-Token`; null when a bearer token was used."""

    csrf_token: str | None = None


def _me(user: User, csrf: str | None) -> MeView:
    return MeView(**UserView.model_validate(user).model_dump(), csrf_token=csrf)


@router.post("/setup", status_code=201, dependencies=[Public])
async def set_up(body: SetupBody, request: Request, services: Services) -> UserView:
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
            first = Caller(user=user, address=_address(request))
            await tx.audit.note(first, "user.set_up", "user", user.id, after=user)
    return UserView.model_validate(user)


@router.post("/login", dependencies=[Public])
async def log_in(
    body: LoginBody, request: Request, response: Response, services: Services
) -> MeView:
    """Start a session; the cookie is HttpOnly and SameSite=Strict. Its id is new every time."""
    refuse_foreign(request, services.settings.public_url)
    async with _one_try(services, body.username, request):
        user = await _proven_user(services, body, request)
    secret = await start_session(services, user, request)
    sessions.put_cookie(response, request, secret, services.settings.secure_cookies)
    return _me(user, csrf_token(secret))


async def _proven_user(services: ServiceBundle, body: LoginBody, request: Request) -> User:
    """The user whose password this is; a name that is not known costs the same time."""
    async with services.store.reading() as tx:
        user = await tx.users.named(body.username)
    password = body.password.get_secret_value()[: LONGEST_PASSWORD + 1]
    if user is None or not user.password_hash:
        right = await services.hasher.verify_nobody(password)
    else:
        right = await services.hasher.verify(password, user.password_hash)
    if user is not None and right and user.disabled_at is None:
        return user
    if user is not None:
        # Of names that nobody has there is no entry: people type their password there.
        async with services.store.transaction() as tx:
            stranger = nobody(_address(request))
            await tx.audit.note(stranger, "user.sign_in_refused", "user", user.id)
    raise Unauthenticated("the name or the password is wrong")


async def start_session(
    services: ServiceBundle, user: User, request: Request, how: str = "password"
) -> str:
    """A new session; the one that the browser had before ends."""
    secret = new_session_secret()
    session = sessions.new_session(secret, user, _address(request), services.clock.now())
    before = sessions.secret_in(request)
    async with services.store.transaction() as tx:
        if before is not None:
            await end_session(tx, fingerprint(before))
        await tx.sessions.remove_expired(services.clock.now())
        await tx.sessions.add(session)
        signed_in = Caller(user=user, session=session, address=_address(request))
        await tx.audit.note(signed_in, "user.sign_in", "user", user.id, after={"by": how})
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
            await tx.audit.note(caller, "user.sign_out", "user", caller.user.id)
    response = Response(status_code=204)
    sessions.drop_cookies(response, request, services.settings.secure_cookies)
    return response


@router.get("/me")
async def show_me(caller: AnyUser) -> MeView:
    """Who the server takes you for."""
    return _me(caller.user, caller.csrf)


@router.post("/me/password")
async def change_password(
    body: PasswordBody, request: Request, response: Response, caller: Themself, services: Services
) -> MeView:
    """Change the caller's password: every session of theirs ends, this one gets a new id."""
    await _check_current(services, caller, body.current_password.get_secret_value(), request)
    hashed = await services.hasher.hash(body.new_password.get_secret_value())
    async with services.store.transaction() as tx:
        before = await tx.users.get(caller.user.id)
        after = replace(before, password_hash=hashed)
        await tx.users.change(after)
        await tx.sessions.remove_of(caller.user.id)
        await tx.audit.note(
            caller, "user.change_password", "user", before.id, before=before, after=after
        )
    if caller.session is None:
        return _me(caller.user, None)
    secret = await start_session(services, caller.user, request, "new password")
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
