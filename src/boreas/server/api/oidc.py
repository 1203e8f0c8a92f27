"""Sign-in by the identity provider: away to it, and back from it.

Whoever comes back is known by the provider's own id of them (issuer and subject). The first time
they are found by a verified e-mail address that an admin gave a user, or made anew if that is
allowed. Groups and roles of the provider count for nothing here.
"""

import hmac
import re
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from boreas.domain.access import Identity, User
from boreas.domain.errors import Forbidden, NotFound
from boreas.domain.ids import UserId
from boreas.server.api.accounts import start_session
from boreas.server.auth import sessions
from boreas.server.auth.callers import Caller, Public
from boreas.server.auth.oidc import REMEMBERED_FOR, Attempt, Proof, Provider, SignInRefused
from boreas.server.bodies import View
from boreas.server.services import ServiceBundle, Services
from boreas.server.settings import OidcSettings
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/oidc", tags=["accounts"])

COOKIE: Final = "boreas_oidc"
CALLBACK: Final = "/api/release/oidc/callback"
_NOT_IN_NAMES: Final = re.compile(r"[^\w.@+-]+")


class ProviderView(View):
    """Whether one can sign in by a provider, and what its button says."""

    enabled: bool
    label: str
    login_url: str | None


def _provider(request: Request, services: ServiceBundle) -> tuple[OidcSettings, Provider]:
    """The configured provider, one for the whole app."""
    settings = services.settings.oidc
    if settings is None:
        raise NotFound("no identity provider is configured")
    state = request.app.state
    if not hasattr(state, "oidc_provider"):
        state.oidc_provider = Provider(settings, services.clock)
    return settings, state.oidc_provider


def _redirect_uri(request: Request, services: ServiceBundle) -> str:
    base = services.settings.public_url or str(request.base_url).rstrip("/")
    return base + CALLBACK


@router.get("", dependencies=[Public])
async def show_provider(services: Services) -> ProviderView:
    """For the sign-in page."""
    found = services.settings.oidc
    if found is None:
        return ProviderView(enabled=False, label="", login_url=None)
    return ProviderView(enabled=True, label=found.label, login_url="/api/release/oidc/login")


@router.get("/login", dependencies=[Public], status_code=302, response_class=RedirectResponse)
async def begin_sign_in(
    request: Request,
    services: Services,
    after: Annotated[str, Query(alias="next", max_length=500)] = "/",
) -> Response:
    """Send the browser to the provider."""
    _, provider = _provider(request, services)
    attempt = Attempt.new(after)
    url = await provider.authorization_url(attempt, _redirect_uri(request, services))
    response = RedirectResponse(url, status_code=302)
    secure = sessions.is_secure(request, services.settings.secure_cookies)
    response.set_cookie(
        _cookie_name(secure=secure),
        attempt.packed(),
        max_age=int(REMEMBERED_FOR.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        # Lax: the browser comes back to us from the provider's page, and must bring this along.
        samesite="lax",
    )
    return response


def _cookie_name(*, secure: bool) -> str:
    return f"__Host-{COOKIE}" if secure else COOKIE


@router.get("/callback", dependencies=[Public], status_code=302, response_class=RedirectResponse)
async def finish_sign_in(
    request: Request,
    services: Services,
    code: Annotated[str, Query(max_length=4000)] = "",
    state: Annotated[str, Query(max_length=500)] = "",
    error: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Take the provider's answer and start a session."""
    settings, provider = _provider(request, services)
    secure = sessions.is_secure(request, services.settings.secure_cookies)
    attempt = Attempt.unpacked(request.cookies.get(_cookie_name(secure=secure), ""))
    if not hmac.compare_digest(attempt.state.encode(), state.encode()):
        raise SignInRefused("this answer belongs to another sign-in; begin again")
    if error or not code:
        raise SignInRefused(f"the identity provider refused: {error or 'it sent no code'}")
    proof = await provider.proof(attempt, code, _redirect_uri(request, services))
    user = await _user_of(services, settings, proof, request)
    secret = await start_session(services, user, request, f"identity provider {proof.issuer}")
    response = RedirectResponse(attempt.after, status_code=302)
    response.delete_cookie(_cookie_name(secure=secure), path="/", secure=secure, httponly=True)
    sessions.put_cookie(response, request, secret, services.settings.secure_cookies)
    return response


async def _user_of(
    services: ServiceBundle, settings: OidcSettings, proof: Proof, request: Request
) -> User:
    """Who this is here; `Forbidden` says why somebody the provider knows does not get in."""
    domain = proof.email.rpartition("@")[2]
    if settings.domains and domain not in settings.domains:
        raise Forbidden("this needs a verified e-mail address of an allowed domain")
    async with services.store.transaction() as tx:
        await tx.meta.take_turn("users")
        known = await tx.identities.named(proof.subject, within=proof.issuer)
        if known is not None:
            user = await tx.users.get(known.user_id)
        else:
            user = await _first_time(tx, services, settings, proof, request)
    if user.disabled_at is not None:
        raise Forbidden("this account is disabled")
    return user


async def _first_time(
    tx: Transaction,
    services: ServiceBundle,
    settings: OidcSettings,
    proof: Proof,
    request: Request,
) -> User:
    users = await tx.users.all()
    mine = [it for it in users if proof.email and it.email.lower() == proof.email]
    if len(mine) == 1:
        user, action = mine[0], "user.link_identity"
    elif settings.create_users:
        user, action = _new_user(services, proof, {it.username for it in users}), "user.create"
        await tx.users.add(user)
    else:
        raise Forbidden("nobody here has this e-mail address; ask an admin to make you a user")
    identity = Identity(
        id=services.ids("idn"),
        user_id=user.id,
        issuer=proof.issuer,
        subject=proof.subject,
        email=proof.email,
        created_at=services.clock.now(),
    )
    await tx.identities.add(identity)
    address = request.client.host if request.client else ""
    author = Caller(user=user, address=address)
    await tx.audit.note(author, action, "user", user.id, after=identity, why="first sign-in")
    return user


def _new_user(services: ServiceBundle, proof: Proof, taken: set[str]) -> User:
    wished = proof.username or proof.email.partition("@")[0] or proof.subject
    name = _NOT_IN_NAMES.sub("-", wished)[:90].strip("-") or "user"
    names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
    return User(
        id=UserId(services.ids("usr")),
        username=next(each for each in names if each not in taken),
        display_name=proof.display_name or name,
        email=proof.email,
        created_at=services.clock.now(),
    )
