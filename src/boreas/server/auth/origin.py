"""Was this request sent by our own page, or by a page of somebody else?

A browser sends our cookie along with requests that foreign pages start; this file tells them
apart. Tokens in `Authorization` are never sent by a browser on its own and need none of this.
"""

import hmac
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from boreas.domain.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "x-csrf-token"
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class CrossSite(Forbidden):
    """The request was started by another site's page, or does not show that it was not."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, parameters={"code": "cross_site"})


def csrf_token(session_secret: str) -> str:
    """What `X-CSRF-Token` must be for this session; a foreign page cannot read the session."""
    return hmac.new(session_secret.encode(), b"boreas csrf", sha256).hexdigest()


def check_write(connection: HTTPConnection, session_secret: str, public_url: str | None) -> None:
    """A cookie-authenticated request that changes something must show where it comes from.

    In this order: `X-CSRF-Token` decides if present; `Sec-Fetch-Site` and `Origin` must not be
    foreign; one of them must be there, or else the request must be one that a browser never sends
    to another site without asking it first (a JSON body, or PUT, PATCH, DELETE: we never allow
    such a preflight). Raises `CrossSite`.
    """
    token = connection.headers.get(CSRF_HEADER)
    if token is not None and hmac.compare_digest(
        token.encode(), csrf_token(session_secret).encode()
    ):
        return
    if token is not None:
        raise CrossSite("X-CSRF-Token is not this session's")
    refuse_foreign(connection, public_url)
    shown = "sec-fetch-site" in connection.headers or "origin" in connection.headers
    if not (shown or _needs_preflight(connection)):
        raise CrossSite("send Origin or X-CSRF-Token with requests that use the session cookie")


def refuse_foreign(connection: HTTPConnection, public_url: str | None) -> None:
    """Raise `CrossSite` if the browser says that another site's page started this."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise CrossSite
    origin = connection.headers.get("origin")
    if origin is not None and not _is_ours(origin, connection, public_url):
        ours = f"{_scheme(connection)}://{connection.headers.get('host', '')}"
        raise CrossSite(
            f"the request comes from a page of {origin!r}, but this server is {ours!r} to itself; "
            "behind a proxy, set --trusted-proxies or --public-url"
        )


def _needs_preflight(connection: HTTPConnection) -> bool:
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or connection.scope["method"] not in ("POST", *SAFE_METHODS)


def _is_ours(origin: str, connection: HTTPConnection, public_url: str | None) -> bool:
    """`null`, and anything that is not exactly our scheme, host and port, is foreign."""
    found = _place(origin)
    if found is None:
        return False
    ours = _place(f"{_scheme(connection)}://{connection.headers.get('host', '')}")
    return found == ours or (public_url is not None and found == _place(public_url))


def _scheme(connection: HTTPConnection) -> str:
    return "https" if connection.scope["scheme"] in ("https", "wss") else "http"


def _place(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.hostname is None or port is None or parts.scheme not in ("http", "https"):
        return None
    return parts.scheme, parts.hostname, port
