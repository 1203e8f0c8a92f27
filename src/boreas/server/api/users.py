"""The people of an installation: made, changed, disabled and let in again by its admins."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AfterValidator, Field

from boreas.domain.access import User
from boreas.domain.errors import Conflict
from boreas.domain.ids import UserId
from boreas.server.api.accounts import UserView
from boreas.server.auth.callers import Admin, Caller, Themself
from boreas.server.auth.passwords import NewPassword
from boreas.server.bodies import Body, Flag, Name, Page, Text
from boreas.server.creation import Creating
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/users", tags=["users"])


def _an_address(text: str) -> str:
    name, at, host = text.partition("@")
    if text and not (at and name and host and " " not in text and len(text) <= 254):
        raise ValueError("is no e-mail address; write name@host, or leave it empty")
    return text


Email = Annotated[str, AfterValidator(_an_address)]


class UserBody(Body):
    """A new person. Without a password they can only sign in by the identity provider."""

    username: Name
    password: NewPassword | None = None
    display_name: Annotated[str, Field(max_length=200)] = ""
    email: Email = ""
    is_admin: Flag = False


class UserPatch(Body):
    """The parts of a person to change; the user name stays, since records name people by it."""

    display_name: Annotated[str, Field(max_length=200)] | None = None
    email: Email | None = None
    is_admin: Flag | None = None


class UserWhole(Body):
    """Everything of a person that can be changed."""

    username: Name | None = None
    display_name: Annotated[str, Field(max_length=200)] = ""
    email: Email = ""
    is_admin: Flag = False


class ReasonBody(Body):
    """Why; it goes into the audit trail."""

    reason: Text = ""


class ResetBody(Body):
    """A new password for somebody; every session of theirs ends, and their tokens if wished."""

    new_password: NewPassword
    end_tokens: Flag = False


def _view(user: User, caller: Caller) -> UserView:
    """What everybody may know of everybody: the names. The rest is for admins."""
    if not caller.is_admin and user.id != caller.user.id:
        user = replace(user, email="", is_admin=False)
    return UserView.model_validate(user)


@router.post("", status_code=201, response_model=UserView)
async def create_user(
    body: UserBody, caller: Admin, services: Services, creating: Creating
) -> Response:
    """Make somebody who can sign in; the user name is unique."""
    hashed = ""
    if body.password is not None:
        hashed = await services.hasher.hash(body.password.get_secret_value())
    user = User(
        id=UserId(services.ids("usr")),
        username=body.username,
        display_name=body.display_name or body.username,
        email=body.email,
        is_admin=body.is_admin,
        password_hash=hashed,
        created_at=services.clock.now(),
    )

    async def make(tx: Transaction) -> UserView:
        await caller.must_be_admin(tx)
        await tx.users.add(user)
        await tx.audit.note(caller, "user.create", "user", user.id, after=user)
        return _view(user, caller)

    return await creating.run(make)


@router.get("")
async def list_users(
    caller: Themself, services: Services, limit: Limit = USUAL, cursor: Cursor = None
) -> Page[UserView]:
    """Everybody, by user name; addresses and who is an admin are told to admins only."""
    async with services.store.reading() as tx:
        page = await tx.users.page(cursor=cursor, limit=limit)
    items = [_view(user, caller) for user in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/{user_id}")
async def show_user(user_id: UserId, caller: Themself, services: Services) -> UserView:
    """One person."""
    async with services.store.reading() as tx:
        return _view(await tx.users.get(user_id), caller)


@router.put("/{user_id}")
async def replace_user(
    user_id: UserId, body: UserWhole, caller: Admin, services: Services
) -> UserView:
    """Set everything that can be set."""
    patch = UserPatch(**body.model_dump(exclude={"username"}))
    if body.username is not None:
        async with services.store.reading() as tx:
            if (await tx.users.get(user_id)).username != body.username:
                raise Conflict("a user name stays: records name people by it; make another user")
    return await change_user(user_id, patch, caller, services)


@router.patch("/{user_id}")
async def change_user(
    user_id: UserId, body: UserPatch, caller: Admin, services: Services
) -> UserView:
    """Change what is given. Who becomes an admin, or is one no more, signs in anew."""
    async with services.store.transaction() as tx:
        await caller.must_be_admin(tx)
        before = await _turn_on(tx, user_id)
        after = replace(before, **body.model_dump(exclude_none=True))
        await _keep_an_admin(tx, before, after)
        await tx.users.change(after)
        if after.is_admin != before.is_admin:
            await tx.sessions.remove_of(user_id)
        await tx.audit.note(caller, "user.update", "user", user_id, before=before, after=after)
    return _view(after, caller)


@router.post("/{user_id}/disable")
async def disable_user(
    user_id: UserId, caller: Admin, services: Services, body: ReasonBody | None = None
) -> UserView:
    """Nobody gets in with this account: its sessions end, its tokens count no more."""
    async with services.store.transaction() as tx:
        await caller.must_be_admin(tx)
        before = await _turn_on(tx, user_id)
        after = replace(before, disabled_at=before.disabled_at or services.clock.now())
        await _keep_an_admin(tx, before, after)
        await tx.users.change(after)
        await tx.sessions.remove_of(user_id)
        why = "" if body is None else body.reason
        await tx.audit.note(
            caller, "user.disable", "user", user_id, before=before, after=after, why=why
        )
    return _view(after, caller)


@router.post("/{user_id}/enable")
async def enable_user(
    user_id: UserId, caller: Admin, services: Services, body: ReasonBody | None = None
) -> UserView:
    """Let them in again; tokens that were not deleted work again."""
    async with services.store.transaction() as tx:
        await caller.must_be_admin(tx)
        before = await _turn_on(tx, user_id)
        after = replace(before, disabled_at=None)
        await tx.users.change(after)
        why = "" if body is None else body.reason
        await tx.audit.note(
            caller, "user.enable", "user", user_id, before=before, after=after, why=why
        )
    return _view(after, caller)


@router.post("/{user_id}/password")
async def reset_password(
    user_id: UserId, body: ResetBody, caller: Admin, services: Services
) -> UserView:
    """Give somebody a new password, for who forgot it or whose it was stolen from."""
    hashed = await services.hasher.hash(body.new_password.get_secret_value())
    async with services.store.transaction() as tx:
        await caller.must_be_admin(tx)
        before = await _turn_on(tx, user_id)
        after = replace(before, password_hash=hashed)
        await tx.users.change(after)
        await tx.sessions.remove_of(user_id)
        if body.end_tokens:
            for token in await tx.api_tokens.all(within=user_id):
                await tx.api_tokens.remove(token.id)
        await tx.audit.note(
            caller, "user.reset_password", "user", user_id, before=before, after=after
        )
    return _view(after, caller)


async def _turn_on(tx: Transaction, user_id: UserId) -> User:
    """The user, while nobody else changes who is an admin."""
    await tx.meta.take_turn("users")
    return await tx.users.get(user_id)


async def _keep_an_admin(tx: Transaction, before: User, after: User) -> None:
    """The last admin can neither be disabled nor become somebody ordinary."""
    was, stays = _counts(before), _counts(after)
    if was and not stays and not any(_counts(it) for it in await tx.users.all() if it != before):
        raise Conflict("this is the last admin; make somebody else an admin first")


def _counts(user: User) -> bool:
    return user.is_admin and user.disabled_at is None
