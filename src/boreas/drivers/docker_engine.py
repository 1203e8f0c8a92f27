"""The few things Boreas asks of a Docker Engine, with the engine's troubles said in words.

The only file that knows aiodocker. Each call is bounded in time: an engine that hangs fails the
verb with that reason instead of holding the node until the order's own end.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from boreas.domain.errors import ErrorCode, Unavailable
from boreas.drivers.container_plan import SeenContainer, seen_from
from boreas.drivers.registry_logins import RegistryLogin

if TYPE_CHECKING:
    from aiodocker import Docker

_ANSWER_SECONDS: Final = 30.0
# Stopping waits for the container's own grace, which people may have made long.
_STOP_SECONDS: Final = 600.0
# A pull may take an hour, but not two minutes without a word.
_PULL_SILENCE_SECONDS: Final = 120.0

NOT_FOUND: Final = 404
CONFLICT: Final = 409


class EngineTrouble(Unavailable):
    """The Docker Engine does not do what it was asked for."""

    code = ErrorCode.UNAVAILABLE

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class DockerEngine:
    """One connection to an engine; make it with `open_engine`."""

    def __init__(self, docker: "Docker") -> None:
        self._docker = docker

    async def containers(self, labels: Mapping[str, str]) -> tuple[SeenContainer, ...]:
        """All containers with these labels, running or not."""
        async with _asking("list containers"):
            wanted = [f"{name}={value}" for name, value in labels.items()]
            filters = _json({"label": wanted})
            found = await self._docker.containers.list(all=True, filters=filters)
        seen = [await self.find(one.id) for one in found]
        return tuple(one for one in seen if one is not None)

    async def find(self, name_or_id: str) -> SeenContainer | None:
        """The container with exactly this name or id, whoever made it."""
        try:
            async with _asking("look at a container"):
                return seen_from(await self._docker.containers.container(name_or_id).show())
        except EngineTrouble as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container and answer its id; nothing runs yet."""
        async with _asking(f"create the container {name}"):
            container = await self._docker.containers.create(dict(config), name=name)
        return container.id

    async def start(self, container_id: str) -> None:
        """Start a container; one that runs is left alone."""
        async with _asking("start the container"):
            await self._docker.containers.container(container_id).start()

    async def stop(self, container_id: str) -> None:
        """TERM, the container's own grace, then KILL; returns when it has ended."""
        async with _bounded("stop the container", _STOP_SECONDS):
            await self._docker.containers.container(container_id).stop()

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        async with _asking(f"rename the container to {name}"):
            await self._docker.containers.container(container_id).rename(name)

    async def remove(self, container_id: str) -> None:
        """Remove a stopped container and its anonymous volumes; never by force."""
        async with _asking("remove the container"):
            await self._docker.containers.container(container_id).delete(v=True)

    async def connect(self, container_id: str, network: str) -> None:
        """Put a container into one more network."""
        async with _asking(f"connect to the network {network}"):
            found = await self._docker.networks.get(network)
            await found.connect({"Container": container_id})

    async def log_tail(self, container_id: str, *, lines: int) -> tuple[str, ...]:
        """The last lines of a container, both streams as they came."""
        async with _asking("read the container's log"):
            container = self._docker.containers.container(container_id)
            pieces = await container.log(stdout=True, stderr=True, tail=lines)
        return tuple("".join(pieces).splitlines()[-lines:])

    async def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image; None when it is not on the node."""
        try:
            async with _asking("look at an image"):
                return await self._docker.images.inspect(name)
        except EngineTrouble as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def pull(self, name: str, *, login: RegistryLogin | None = None) -> None:
        """Fetch an image from its registry; a login travels in a header of this one request."""
        from aiohttp import ClientTimeout

        silence = ClientTimeout(total=None, sock_connect=30, sock_read=_PULL_SILENCE_SECONDS)
        async with _bounded(f"pull {name}", None):
            # aiodocker's annotation is narrower than what it takes.
            auth = login.auth if login is not None else None
            asked = login.full_name(name) if login is not None else name
            await self._docker.images.pull(asked, auth=auth, timeout=silence)  # type: ignore[call-overload]

    async def remove_image(self, image_id: str) -> None:
        """Remove an image that nothing uses; the engine refuses when something does."""
        async with _asking("remove an image"):
            await self._docker.images.delete(image_id)


@contextlib.asynccontextmanager
async def open_engine(url: str | None = None) -> AsyncIterator[DockerEngine]:
    """Talk to the engine at `url`, or where `DOCKER_HOST` or the usual socket say it is."""
    # 20 MB that a node without containers need not pay for.
    from aiodocker import Docker, DockerError

    try:
        docker = Docker(url)
    except (AssertionError, ValueError, DockerError) as error:
        told = "there is no Docker Engine on this node (no DOCKER_HOST and no /run/docker.sock)"
        raise EngineTrouble(told) from error
    async with docker:
        yield DockerEngine(docker)


def _asking(doing: str) -> AbstractAsyncContextManager[None]:
    """A question that an engine in good health answers at once."""
    return _bounded(doing, _ANSWER_SECONDS)


@contextlib.asynccontextmanager
async def _bounded(doing: str, seconds: float | None) -> AsyncIterator[None]:
    """Turn what can go wrong with the engine into words."""
    from aiodocker import DockerError
    from aiohttp import ClientError

    try:
        async with asyncio.timeout(seconds):
            yield
    except DockerError as error:
        told = f"Docker could not {doing}: {error.message}"
        raise EngineTrouble(told, status=error.status) from error
    except TimeoutError as error:
        raise EngineTrouble(f"Docker could not {doing}: it does not answer") from error
    except (ClientError, OSError) as error:
        raise EngineTrouble(f"Docker could not {doing}: {error}") from error


@contextlib.contextmanager
def ignoring(*statuses: int) -> Iterator[None]:
    """Go on when the engine says one of these: what was wanted is so already."""
    try:
        yield
    except EngineTrouble as error:
        if error.status not in statuses:
            raise


def free_local_port() -> int:
    """A port of the loopback that nobody listens on now; somebody may take it, so try again."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _json(filters: Mapping[str, list[str]]) -> str:
    from aiodocker.utils import clean_filters

    return clean_filters(filters)
