"""Docker: needed only where the container driver shall deploy."""

from pathlib import Path
from typing import Final

from boreas.cli.checkup.finding import Finding, bad, good, note

SOCKETS: Final = (Path("/var/run/docker.sock"), Path("/run/docker.sock"))
PATIENCE_SECONDS: Final = 5


def docker_socket() -> Path | None:
    """The engine's socket on this machine, if there is one."""
    return next((path for path in SOCKETS if path.is_socket()), None)


async def engine_version(path: Path) -> str:
    """The engine's version. Raises `OSError` when it does not answer or may not be asked."""
    import aiohttp

    patience = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    connector = aiohttp.UnixConnector(path=str(path))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=patience) as session,
            session.get("http://docker/version") as answer,
        ):
            return str((await answer.json())["Version"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
        raise OSError(f"{path}: {error}") from error


async def check_docker() -> Finding:
    """Does a Docker Engine answer here?"""
    path = docker_socket()
    if path is None:
        mend = "install Docker on nodes that run containers; script and git_pull need none"
        return note("Docker", "no engine on this machine", mend)
    try:
        return good("Docker", f"engine {await engine_version(path)} answers at {path}")
    except OSError as error:
        mend = "start it, or let this user use it: usermod -aG docker USER"
        return bad("Docker", str(error), mend)
