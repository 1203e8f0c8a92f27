"""Ask one target whether it is healthy, again and again, until `engine.health` has its verdict.

A probe is one short question; `watch_health` is the only loop. Every change of what is known goes
into the order's log in words.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boreas.domain.orders import HealthCheck
from boreas.engine.health import Health, Verdict, begin, judge
from boreas.kit.clock import Clock

if TYPE_CHECKING:
    from aiohttp import StreamReader

_BODY_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one question came to; `detail` says what was seen instead of health."""

    passed: bool
    detail: str = ""


Probe = Callable[[], Awaitable[Answer]]
Say = Callable[[str], Awaitable[None]]


async def watch_health(check: HealthCheck, probe: Probe, clock: Clock, say: Say) -> Verdict:
    """Probe until the target is healthy or unhealthy by the rules of the check."""
    watch = begin(check, clock.monotonic())
    told = ""
    while True:
        answer = await probe()
        now = clock.monotonic()
        watch, verdict = judge(watch, at=now, passed=answer.passed, detail=answer.detail)
        if verdict.reason != told:
            told = verdict.reason
            await say(f"Health check ({check.type}): {told}.")
        if verdict.health is not Health.UNDECIDED or verdict.ask_again_at is None:
            return verdict
        await clock.sleep(max(0.0, verdict.ask_again_at - now))


def http_probe(check: HealthCheck, *, url: str) -> Probe:
    """Ask a page. Without `status` any 2xx passes; `body` is a text or a regular expression in it.

    Redirects are never followed: a login page elsewhere would answer 200 for a broken service.
    """

    async def ask() -> Answer:
        # Costs 10 MB of memory: an agent without HTTP checks must not pay for it.
        import aiohttp

        try:
            async with (
                asyncio.timeout(check.timeout),
                aiohttp.ClientSession(trust_env=False, auto_decompress=True) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                body = await _start_of(response.content)
                location = response.headers.get("Location", "")
                return _judge_page(check, response.status, body, location)
        except TimeoutError:
            return Answer(passed=False, detail=f"{url} gave no answer in {check.timeout:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(passed=False, detail=f"{url}: {str(error) or type(error).__name__}")

    return ask


async def _start_of(content: "StreamReader") -> str:
    kept = b""
    async for chunk in content.iter_chunked(8192):
        kept += chunk
        if len(kept) >= _BODY_LIMIT:
            break
    return kept.decode("utf-8", "replace")


def _judge_page(check: HealthCheck, status: int, body: str, location: str) -> Answer:
    if check.status is not None and status != check.status:
        return Answer(passed=False, detail=f"HTTP {status} instead of {check.status}")
    if check.status is None and 300 <= status < 400:
        told = f"HTTP {status}: it sends us on to {location}, and health checks do not follow"
        return Answer(passed=False, detail=told)
    if check.status is None and not 200 <= status < 300:
        return Answer(passed=False, detail=f"HTTP {status}")
    if check.body is not None and not _contains(body, check.body):
        return Answer(passed=False, detail=f"HTTP {status}, but its body has no {check.body!r}")
    return Answer(passed=True)


def _contains(body: str, wanted: str) -> bool:
    if wanted in body:
        return True
    try:
        return re.search(wanted, body) is not None
    except re.error:
        # Not a pattern, so it was meant as plain text, and that is not there.
        return False


def tcp_probe(check: HealthCheck, *, host: str, port: int) -> Probe:
    """Passes when somebody accepts a connection."""

    async def ask() -> Answer:
        try:
            async with asyncio.timeout(check.timeout):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            told = f"{host}:{port} gave no answer in {check.timeout:g} s"
            return Answer(passed=False, detail=told)
        except OSError as error:
            return Answer(passed=False, detail=f"{host}:{port}: {error.strerror or error}")
        writer.close()
        return Answer(passed=True)

    return ask
