"""A server by its URL: does it answer, is it ready, does its clock agree, who is signed in."""

from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from boreas.cli.checkup.finding import Finding, bad, good, note
from boreas.cli.client import Client
from boreas.cli.failures import Failure, Unreachable
from boreas.cli.names import RELEASE
from boreas.kit.clock import Clock

MOST_SKEW_SECONDS: Final = 5.0


async def check_server(client: Client, clock: Clock) -> AsyncIterator[Finding]:
    """What a server says of itself."""
    try:
        date = await client.date_of("/healthz")
    except Unreachable as failure:
        yield bad("server", failure.message, "start it, or name it with --server")
        return
    yield good("server", f"{client.server} answers")
    yield await _ready(client)
    yield _clock(date, clock.now())
    yield await _caller(client)
    yield await _audit(client)
    yield await _secrets(client)


async def _ready(client: Client) -> Finding:
    try:
        await client.get("/readyz")
    except Failure as failure:
        return bad("readiness", failure.message, "look into the server's own log")
    return good("readiness", "database and runtime work")


def _clock(date: str | None, now: datetime) -> Finding:
    if date is None:
        return note("clock", "the server did not say its time")
    skew = abs((parsedate_to_datetime(date) - now).total_seconds())
    if skew > MOST_SKEW_SECONDS:
        return bad("clock", f"{skew:.0f} s apart from the server's", "run an NTP client on both")
    return good("clock", "agrees with the server's")


async def _caller(client: Client) -> Finding:
    try:
        me = await client.get(f"{RELEASE}/me")
    except Failure as failure:
        return note("sign-in", failure.message, failure.mend)
    return good("sign-in", f"you are {me.get('username', 'known')}")


async def _audit(client: Client) -> Finding:
    """The chain of the audit trail, from its first entry; only an admin may ask."""
    try:
        found = await client.get(f"{RELEASE}/audit/verify")
    except Failure as failure:
        return note("audit trail", f"not looked at: {failure.message}", "sign in as an admin")
    if not found["holds"]:
        mend = "somebody wrote into the database by hand; compare it with a backup"
        return bad("audit trail", str(found["problem"]), mend)
    return good("audit trail", f"{found['entries']} entries hold, the last is {found['head']}")


async def _secrets(client: Client) -> Finding:
    """Can the server open what is stored sealed? Only an admin may ask."""
    try:
        found = await client.get(f"{RELEASE}/secret-keys")
    except Failure as failure:
        return note("secrets", f"not looked at: {failure.message}", "sign in as an admin")
    if found["state"] == "no_key":
        return note("secrets", "no key to keep secrets with", "see docs/howto/secrets-and-keys.md")
    if found["state"] != "open":
        return bad("secrets", str(found["problem"]), "see docs/howto/secrets-and-keys.md")
    old = [key for key in found["keys"] if not key["current"]]
    idle = [key["key_id"] for key in old if not key["secrets"]]
    if idle:
        return note("secrets", f"the old key {', '.join(idle)} is needed no more", "leave it out")
    if old:
        return note("secrets", "are being moved to the current key", "ask again in a minute")
    count = sum(key["secrets"] for key in found["keys"])
    return good("secrets", f"{count} sealed values, all with the current key")
