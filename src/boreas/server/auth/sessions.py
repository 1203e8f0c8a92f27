"""The session cookie: its name, its flags, how long it lives."""

from datetime import datetime, timedelta
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from boreas.domain.access import Session, User
from boreas.server.auth.secrets import SESSION_PREFIX, fingerprint
from boreas.server.settings import SecureCookies

LIFETIME: Final = timedelta(days=7)
PLAIN_NAME: Final = "boreas_session"
# Browsers take this name only with Secure, Path=/ and no Domain, so no other host can plant one.
SECURE_NAME: Final = "__Host-boreas_session"


def new_session(secret: str, user: User, address: str, now: datetime) -> Session:
    """The stored side of a cookie."""
    return Session(
        id_sha256=fingerprint(secret),
        user_id=user.id,
        created_at=now,
        last_seen_at=now,
        expires_at=now + LIFETIME,
        address=address,
    )


def secret_in(connection: HTTPConnection) -> str | None:
    """The session secret that came with the request, if it looks like one."""
    cookies = connection.cookies
    secret = cookies.get(SECURE_NAME) or cookies.get(PLAIN_NAME)
    return secret if secret and secret.startswith(SESSION_PREFIX) else None


def put_cookie(
    response: Response, connection: HTTPConnection, secret: str, policy: SecureCookies
) -> None:
    """Hand the session to the browser: no script reads it, no other site sends it."""
    secure = is_secure(connection, policy)
    response.set_cookie(
        SECURE_NAME if secure else PLAIN_NAME,
        secret,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def drop_cookies(response: Response, connection: HTTPConnection, policy: SecureCookies) -> None:
    """Make the browser forget the session, under either name."""
    response.delete_cookie(PLAIN_NAME, path="/", httponly=True, samesite="strict")
    if is_secure(connection, policy):
        response.delete_cookie(SECURE_NAME, path="/", secure=True, httponly=True, samesite="strict")


def is_secure(connection: HTTPConnection, policy: SecureCookies) -> bool:
    """Does this connection's cookie get the Secure flag?"""
    if policy is SecureCookies.AUTO:
        return connection.scope["scheme"] in ("https", "wss")
    return policy is SecureCookies.ALWAYS
