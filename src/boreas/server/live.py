"""One WebSocket per browser tab: `/api/v1/ws`.

The client sends `{"type": "subscribe", "topic": T, "v": last seen or absent}`, `unsubscribe`,
`ping`. The server sends `snapshot` (first, and after `lagged`), `change` with a growing `v`,
`error`, `ping` every 15 s, `pong`. Topics: `deployment:ID`, `deployments`, `agents`. A reader that
is too slow is told `lagged` and starts over. The connection closes with 4401 within seconds after
its session or token ended.
"""

import asyncio
import json
from collections import deque
from typing import Any, Final, cast

import structlog
from fastapi import APIRouter, WebSocket
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect, WebSocketState

from boreas.domain.errors import BoreasError, InvalidInput, Unavailable, invalid
from boreas.kit.tasks import TaskGroup
from boreas.kit.until import Hint
from boreas.runtime.ports import CHANNEL_AGENTS, CHANNEL_CHANGED
from boreas.server.auth.callers import (
    Caller,
    Who,
    authenticated,
    checks_itself,
    is_still_good,
)
from boreas.server.auth.origin import CrossSite, refuse_foreign
from boreas.server.errors import problem_of
from boreas.server.live_pictures import Pictures
from boreas.server.live_topics import Message, Topic, refusal, topic_named
from boreas.server.services import ServiceBundle, services_of

log = structlog.get_logger(__name__)

router = APIRouter()

LOOK_SECONDS: Final = 2.0
PING_SECONDS: Final = 15.0
# Hints can be lost; this is how long a missed one can stay unnoticed.
RECHECK_SECONDS: Final = 30.0
LAG_SECONDS: Final = 5.0
MOST_TOPICS: Final = 100
MOST_REPLIES: Final = 200
SIGNED_OUT: Final = 4401
TOO_MUCH: Final = 4429


@router.websocket("/api/v1/ws")
@checks_itself(Who.USER)
async def live(websocket: WebSocket) -> None:
    """Subscriptions by topic; see the module."""
    services = services_of(websocket)
    try:
        caller = await _admitted(websocket, services)
    except BoreasError as error:
        await _deny(websocket, problem_of(error, str(websocket.scope.get("boreas.request_id", ""))))
        return
    await websocket.accept()
    pictures = _pictures(websocket, services)
    await LiveConnection(websocket, caller, services, pictures).run()


async def _admitted(websocket: WebSocket, services: ServiceBundle) -> Caller:
    """A browser shows its page's Origin; a program with a token has none."""
    refuse_foreign(websocket, services.settings.public_url)
    caller = await authenticated(websocket, services)
    if caller.session is not None and "origin" not in websocket.headers:
        raise CrossSite("a WebSocket with a session cookie must come with its page's Origin")
    return caller


async def _deny(websocket: WebSocket, answer: Response) -> None:
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(answer)
    else:
        await websocket.close(code=SIGNED_OUT)


def _pictures(websocket: WebSocket, services: ServiceBundle) -> Pictures:
    """Shared by all connections of the app."""
    state = websocket.app.state
    if not hasattr(state, "pictures"):
        state.pictures = Pictures(services)
    return cast(Pictures, state.pictures)


class LiveConnection:
    """One reader: what it subscribed to, and the tasks that serve it."""

    def __init__(
        self, websocket: WebSocket, caller: Caller, services: ServiceBundle, pictures: Pictures
    ) -> None:
        self._websocket = websocket
        self._caller = caller
        self._services = services
        self._clock = services.clock
        self._pictures = pictures
        self._topics: dict[str, Topic] = {}
        self._dirty: dict[str, None] = {}
        self._replies: deque[Message] = deque()
        self._hint = Hint()
        # Listening begins before the first subscription can be read: nothing falls in between.
        self._announcements = services.store.listen(CHANNEL_CHANGED, CHANNEL_AGENTS)

    async def run(self) -> None:
        """Until the reader leaves, is signed out, or the server stops."""
        async with TaskGroup("live connection") as tasks:
            ends = [
                tasks.start(self._read, name="reader"),
                tasks.start(self._write, name="writer"),
                tasks.start(self._watch, name="session watch"),
            ]
            tasks.start(self._listen, name="announcements")
            tasks.start(self._recheck, name="recheck")
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    # --- in ------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while True:
                self._take(await self._websocket.receive_text())
                if len(self._replies) > MOST_REPLIES:
                    await self._close(TOO_MUCH, "too many messages")
                    return
        except (WebSocketDisconnect, RuntimeError, KeyError):
            # RuntimeError: closed meanwhile by the writer; KeyError: a binary message.
            return

    def _take(self, text: str) -> None:
        try:
            self._obey(_message_in(text))
        except InvalidInput as error:
            self._reply(refusal("", error))

    def _obey(self, message: dict[str, Any]) -> None:
        topic = message.get("topic")
        match message.get("type"):
            case "ping":
                self._reply({"type": "pong"})
            case "pong":
                pass
            case "subscribe" if isinstance(topic, str):
                self._subscribe(topic, message.get("v"))
            case "unsubscribe" if isinstance(topic, str):
                self._topics.pop(topic, None)
                self._dirty.pop(topic, None)
            case _:
                raise invalid("type", "is not known here", "send subscribe, unsubscribe or ping")

    def _subscribe(self, name: str, last_seen: Any) -> None:
        if len(self._topics) >= MOST_TOPICS and name not in self._topics:
            raise invalid("topic", f"more than {MOST_TOPICS} at a time", "unsubscribe from some")
        v = last_seen if type(last_seen) is int else None
        self._topics[name] = topic_named(
            name, self._pictures, self._services, self._caller, last_seen=v
        )
        self._stir(name)

    def _reply(self, message: Message) -> None:
        self._replies.append(message)
        self._hint.raise_()

    def _stir(self, name: str) -> None:
        self._dirty[name] = None
        self._hint.raise_()

    # --- what happens --------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for channel, payload in self._announcements:
            for name, topic in self._topics.items():
                if topic.hear(channel, payload):
                    self._stir(name)

    async def _recheck(self) -> None:
        while True:
            await self._clock.sleep(RECHECK_SECONDS)
            for name in self._topics:
                self._stir(name)

    async def _watch(self) -> None:
        """Sign-out, a revoked token or a disabled account end the connection within seconds."""
        since_ping = 0.0
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            since_ping += LOOK_SECONDS
            if since_ping >= PING_SECONDS:
                since_ping = 0.0
                self._reply({"type": "ping"})
            try:
                good = await is_still_good(self._caller, self._services)
            except Unavailable:
                continue
            if not good:
                await self._close(SIGNED_OUT, "signed out")
                return
            await self._look_again()

    async def _look_again(self) -> None:
        """Whoever is no member any more hears no more of the project."""
        for name, topic in list(self._topics.items()):
            try:
                await topic.check()
            except Unavailable:
                continue
            except BoreasError as error:
                if self._topics.pop(name, None) is not None:
                    self._reply(refusal(name, error))

    # --- out -----------------------------------------------------------------------------------

    async def _write(self) -> None:
        try:
            while True:
                await self._hint.wait()
                await self._write_all()
        except (WebSocketDisconnect, RuntimeError, OSError):
            return

    async def _write_all(self) -> None:
        while self._replies or self._dirty:
            while self._replies:
                await self._send(self._replies.popleft())
            for name in list(self._dirty):
                self._dirty.pop(name, None)
                for message in await self._news_of(name):
                    await self._send(message)

    async def _news_of(self, name: str) -> list[Message]:
        topic = self._topics.get(name)
        if topic is None:
            return []
        try:
            return await topic.news()
        except Unavailable as outage:
            log.warning("live news delayed", action="live_delayed", reason=outage.message)
            return []
        except BoreasError as error:
            self._topics.pop(name, None)
            return [refusal(name, error)]

    async def _send(self, message: Message) -> None:
        """One message; if the reader took too long for it, everything starts over."""
        began = self._clock.monotonic()
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        await self._websocket.send_text(text.encode("utf-8", "backslashreplace").decode())
        if self._clock.monotonic() - began > LAG_SECONDS and message["type"] != "lagged":
            for name, topic in self._topics.items():
                topic.start_over()
                self._replies.append({"type": "lagged", "topic": name})
                self._dirty[name] = None

    async def _close(self, code: int, reason: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            await self._websocket.close(code=code, reason=reason)


def _message_in(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("body", "is not JSON", "send one JSON object per message") from None
    if not isinstance(message, dict):
        raise invalid("body", "is not an object", "send one JSON object per message")
    return message
