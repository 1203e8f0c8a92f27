"""Signing in: a short cookie session, just long enough to make an API token."""

from pathlib import Path

from boreas.cli.client import Client
from boreas.cli.failures import Failure
from boreas.cli.names import RELEASE
from boreas.cli.settings import remember, remembered


async def make_token(client: Client, username: str, password: str, *, name: str) -> str:
    """A new API token of this user; the client's cookie jar holds the session meanwhile."""
    await client.post(f"{RELEASE}/login", {"username": username, "password": password})
    return await token_of_session(client, name=name)


async def token_of_session(client: Client, *, name: str) -> str:
    """A new API token for whoever the client's cookie says."""
    answer = await client.post(f"{RELEASE}/tokens", {"name": name})
    token = answer.get("token") if isinstance(answer, dict) else None
    if not isinstance(token, str):
        raise Failure("the server gave no token")
    return token


def keep(server: str, token: str) -> Path:
    """Remember the token for later calls; the file's path."""
    return remember(remembered().with_token(server, token))
