"""HTTP as the command line speaks it: JSON in and out, failures with an exit code.

The only file of the command line that knows URLs of the transport; verbs name paths. aiohttp is
imported when the first request is made, so that `--help` stays fast.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from boreas.cli.failures import Failure, Unreachable, failure_from_problem
from boreas.kit.ids import new_secret

if TYPE_CHECKING:
    import aiohttp

Json = Mapping[str, Any]
PAGE: Final = 200
TIMEOUT_SECONDS: Final = 30.0
START_ONE: Final = "is it running? Start one with: boreas server; or name another with --server"


class Client:
    """One server, one caller. Use as `async with Client(...) as client`."""

    def __init__(self, server: str, token: str | None = None) -> None:
        self.server = server.rstrip("/")
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_ended: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, **query: Any) -> Any:
        """The document at a path."""
        return await self._ask("GET", path, query=query)

    async def post(self, path: str, body: object = None, **query: Any) -> Any:
        """Create or do something. Carries an Idempotency-Key, so a lost answer costs nothing."""
        return await self._ask("POST", path, body={} if body is None else body, query=query)

    async def put(self, path: str, body: object, **query: Any) -> Any:
        """Replace the document at a path."""
        return await self._ask("PUT", path, body=body, query=query)

    async def patch(self, path: str, body: object, **query: Any) -> Any:
        """Change parts of the document at a path."""
        return await self._ask("PATCH", path, body=body, query=query)

    async def delete(self, path: str, **query: Any) -> Any:
        """Remove what is at a path."""
        return await self._ask("DELETE", path, query=query)

    async def every(self, path: str, **query: Any) -> AsyncIterator[Json]:
        """All items of a list, page after page."""
        cursor: object = None
        while True:
            page = await self.get(path, **{"limit": PAGE, **query, "cursor": cursor})
            items, cursor = items_of(page), next_cursor(page)
            for item in items:
                yield item
            if cursor is None:
                return

    async def listed(self, path: str, **query: Any) -> list[Json]:
        """All items of a list at once."""
        return [item async for item in self.every(path, **query)]

    async def date_of(self, path: str) -> str | None:
        """What the server's clock said when it answered."""
        import aiohttp

        try:
            async with self._opened().get(self.server + path) as answer:
                return answer.headers.get("Date")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unreachable(f"no server answers at {self.server}", mend=START_ONE) from error

    async def websocket(self, path: str) -> "aiohttp.ClientWebSocketResponse":
        """Open a WebSocket; `Unreachable` if the server does not want one."""
        import aiohttp

        try:
            return await self._opened().ws_connect(self.server + path, heartbeat=20)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"no WebSocket at {self.server}{path}: {error}") from error

    async def stream(self, path: str, *, last_id: str | None = None) -> AsyncIterator[bytes]:
        """The lines of a long answer, such as server-sent events, as they come."""
        import aiohttp

        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        patience = aiohttp.ClientTimeout(total=None, sock_connect=10)
        try:
            async with self._opened().get(
                self.server + path, headers=headers, timeout=patience
            ) as answer:
                if answer.status >= 400:
                    raise failure_from_problem(answer.status, await _body_of(answer))
                async for line in answer.content:
                    yield line
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{self.server} cut the stream: {error}") from error

    async def _ask(
        self, method: str, path: str, *, query: Mapping[str, Any], body: object = None
    ) -> Any:
        import aiohttp

        headers = {"Idempotency-Key": new_secret(16)} if method == "POST" else {}
        try:
            async with self._opened().request(
                method, self.server + path, params=_plain(query), json=body, headers=headers
            ) as answer:
                document = await _body_of(answer)
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            raise Unreachable(f"no server answers at {self.server}", mend=START_ONE) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"{self.server} cannot be asked: {error}") from error
        if answer.status >= 400:
            raise failure_from_problem(answer.status, document)
        return document

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            # Between sign-in and token a cookie speaks for us; the jar must take cookies of bare
            # addresses such as 127.0.0.1.
            headers = {"Accept": "application/json"}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            self._session = aiohttp.ClientSession(
                headers=headers,
                cookie_jar=aiohttp.CookieJar(unsafe=True),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=10),
            )
        return self._session


def items_of(page: object) -> list[Json]:
    """The entries of a list answer, whether it is paged or plain."""
    if isinstance(page, Mapping):
        page = page.get("items", [])
    return [item for item in page if isinstance(item, Mapping)] if isinstance(page, list) else []


def next_cursor(page: object) -> object:
    """Where the next page begins; None after the last one."""
    if not isinstance(page, Mapping):
        return None
    return page.get("nextCursor") or page.get("next_cursor") or None


async def wait_until_ready(client: Client, *, seconds: float) -> None:
    """Return once `/readyz` says yes; `Unreachable` when it does not in time."""
    from boreas.kit.clock import SystemClock

    try:
        async with asyncio.timeout(seconds):
            while not await _is_ready(client):
                await SystemClock().sleep(0.1)
    except TimeoutError as error:
        raise Unreachable(f"{client.server} was not ready after {seconds:g} s") from error


async def _is_ready(client: Client) -> bool:
    try:
        await client.get("/readyz")
    except Failure:
        return False
    return True


async def _body_of(answer: "aiohttp.ClientResponse") -> Any:
    text = await answer.text(errors="replace")
    if not text:
        return None
    if "json" in answer.content_type:
        return await answer.json(content_type=None)
    return text


def _plain(query: Mapping[str, Any]) -> dict[str, str]:
    """Query values as text; those that are None are left out."""
    return {name: _word(value) for name, value in query.items() if value is not None}


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
