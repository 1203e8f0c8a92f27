"""What every request passes before any route sees it: an id, whose it is, how large, what kind.

Plain ASGI, outermost first as `app.create_app` stacks them: `RequestIds`, `ForwardedHeaders`,
`SecurityHeaders`, `PlainPaths`, `JsonBodies`. They look at bytes and headers only; who may call is
the matter of `auth`.
"""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boreas.kit.ids import IdSource
from boreas.server.errors import problem
from boreas.server.settings import Network

MAX_BODY: Final = 1024 * 1024
MAX_DEPTH: Final = 64
"""Deeper JSON than any document of ours; a bomb of brackets stops here."""


class RequestIds:
    """Gives each request its id, in the scope and in the answer's `X-Request-Id`."""

    def __init__(self, app: ASGIApp, ids: IdSource) -> None:
        self.app = app
        self.ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        request_id = self.ids("req")
        scope["boreas.request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        return await self.app(scope, receive, send_with_id)


class ForwardedHeaders:
    """Believes X-Forwarded-For, -Proto and -Host of trusted proxies, and of nobody else.

    The client is the rightmost address of X-Forwarded-For that is not itself a trusted proxy: what
    stands left of it may have been written by the client.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self.app = app
        self.trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and self._is_trusted(_peer(scope)):
            scope = self._as_forwarded(scope)
        await self.app(scope, receive, send)

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.trusted)

    def _as_forwarded(self, scope: Scope) -> Scope:
        headers = Headers(scope=scope)
        changed = dict(scope)
        if client := self._client(headers.getlist("x-forwarded-for")):
            changed["client"] = (client, 0)
        proto = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        if proto in ("http", "https"):
            secure = {"http": "https", "websocket": "wss"}
            plain = {"http": "http", "websocket": "ws"}
            changed["scheme"] = (secure if proto == "https" else plain)[scope["type"]]
        if host := headers.get("x-forwarded-host", "").rpartition(",")[2].strip():
            kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
            changed["headers"] = [*kept, (b"host", host.encode("latin-1"))]
        return changed

    def _client(self, lines: Sequence[str]) -> str | None:
        hops = [hop.strip() for line in lines for hop in line.split(",") if hop.strip()]
        for hop in reversed(hops):
            if not self._is_trusted(hop):
                return hop
        return hops[0] if hops else None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Element Plus sets style attributes while it lays out, so styles alone may be inline.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self' ws: wss:; object-src 'none'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'self'"
    ),
}


class SecurityHeaders:
    """Sets the browser's guards on every answer, and keeps API answers out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        await self.app(scope, receive, send_guarded if scope["type"] == "http" else send)


class PlainPaths:
    """No name has a NUL in it, and no database takes one: there is nothing at such a path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "\0" in scope["path"]:
            request_id = str(scope.get("boreas.request_id", ""))
            answer = problem(404, "there is nothing here", request_id=request_id)
            return await answer(scope, receive, send)
        return await self.app(scope, receive, send)


FILE_PATH: Final = re.compile(r"/api/v1/deployments/[^/]+/tasks/[^/]+/files/[^/]+")


class JsonBodies:
    """Lets only JSON bodies through: small, flat enough, UTF-8, typed as application/json.

    `text/plain` is refused because any web page may send it without asking first.
    """

    def __init__(self, app: ASGIApp, max_body: int = MAX_BODY) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self.app(scope, receive, send)
        if scope["method"] == "PUT" and FILE_PATH.fullmatch(scope["path"]):
            # A file of any kind and size: its route reads it in pieces. No page may send a PUT to
            # another site without asking first.
            return await self.app(scope, receive, send)
        request_id = str(scope.get("boreas.request_id", ""))
        body = await self._read(Headers(scope=scope), receive)
        refused = self._refusal(Headers(scope=scope), body)
        if refused is not None:
            status, code, detail = refused
            answer = problem(status, detail, code=code, request_id=request_id)
            if status == 413:
                # The rest of the body was not read, so the connection cannot be used again.
                answer.headers["Connection"] = "close"
            return await answer(scope, receive, send)
        return await self.app(scope, _replayed(body or b"", receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body; None when it is too large (then reading stops)."""
        announced = headers.get("content-length", "0")
        if announced.isascii() and announced.isdigit() and int(announced) > self.max_body:
            return None
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"".join(parts)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_body:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)

    def _refusal(self, headers: Headers, body: bytes | None) -> tuple[int, str, str] | None:
        if body is None:
            return 413, "body_too_large", f"the body is larger than {self.max_body} bytes"
        if not body:
            return None
        if not _is_json(headers.get("content-type", "")):
            told = "send the body as JSON, with Content-Type: application/json"
            return 415, "unsupported_media_type", told
        detail = json_problem(body)
        return (400, "bad_json", detail) if detail else None


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


_JSON_KIND: Final = re.compile(r"application/[\w.-]+\+json")
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def json_problem(body: bytes) -> str | None:
    """Why this is not JSON that we read, or None."""
    if _is_deep(body):
        return f"the body is nested deeper than {MAX_DEPTH} levels"
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return "the body is not UTF-8"
    except ValueError as error:
        return f"the body is not JSON: {error}"
    if b"\\u" in body and not _is_storable(document):
        return "a text in the body has a NUL or half a surrogate pair; leave it out"
    if b"\x00" in body:
        return "the body has a NUL"
    return None


def _is_deep(body: bytes) -> bool:
    depth = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _is_storable(value: Any) -> bool:
    """No database takes a NUL, and UTF-8 has no half surrogates."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(_is_storable(key) and _is_storable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_storable(item) for item in value)
    return True


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, then whatever comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
