"""An image for the demo's container application: FROM scratch with busybox, no registry needed.

The demo speaks to the engine itself only to bring this image and to clear up after itself.
"""

import io
import shutil
import tarfile
from pathlib import Path
from typing import Final

from boreas.cli.checkup.docker import docker_socket, engine_version
from boreas.cli.demo.sources import VERSIONS
from boreas.cli.demo.world import World

BUSYBOX: Final = (Path("/bin/busybox"), Path("/usr/bin/busybox"))


async def bring_image(world: World) -> tuple[str | None, str]:
    """The image's name, or None; and the sentence that says which and why."""
    socket = docker_socket()
    if socket is None:
        return None, "No Docker Engine answers: the container application is left out."
    busybox = static_busybox()
    if busybox is None:
        return None, "There is no static busybox (apt-get install busybox-static): no container."
    try:
        version = await engine_version(socket)
        await _import(socket, busybox, world.name)
    except OSError as error:
        return None, f"Docker does not help ({error}): the container application is left out."
    return world.name, f"Docker Engine {version}: the image {world.name} is made of busybox."


def static_busybox() -> Path | None:
    """A busybox that needs no library: it can be an image by itself."""
    found = [*BUSYBOX, Path(shutil.which("busybox") or "/nowhere")]
    return next((path for path in found if path.is_file() and _is_static(path)), None)


def _is_static(path: Path) -> bool:
    """An ELF file that names no interpreter (program header PT_INTERP would hold this path)."""
    return b"/lib64/ld-linux" not in path.read_bytes()[:4096]


def image_layer(busybox: Path) -> bytes:
    """The image's only layer as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = busybox.stat().st_size, 0o755
        with busybox.open("rb") as file:
            tar.addfile(entry, file)
    return buffer.getvalue()


async def _import(socket: Path, busybox: Path, name: str) -> None:
    layer = image_layer(busybox)
    for version in VERSIONS:
        query = f"fromSrc=-&repo={name}&tag={version}"
        await _ask(socket, "POST", f"/images/create?{query}", layer)


async def clear_up(world: World) -> None:
    """Remove the demo's containers and images; what is gone already does not matter."""
    socket = docker_socket()
    if socket is None:
        return
    listed = await _ask(
        socket, "GET", f'/containers/json?all=1&filters={{"name":["{world.name}"]}}'
    )
    for container in listed if isinstance(listed, list) else ():
        await _ask(socket, "DELETE", f"/containers/{container['Id']}?force=1")
    for version in VERSIONS:
        await _ask(socket, "DELETE", f"/images/{world.name}:{version}?force=1")


async def _ask(socket: Path, method: str, path: str, body: bytes | None = None) -> object:
    """One request to the engine; its JSON, or None. Raises `OSError` when it refuses."""
    import aiohttp

    connector = aiohttp.UnixConnector(path=str(socket))
    patience = aiohttp.ClientTimeout(total=60)
    headers = {"Content-Type": "application/x-tar"} if body else {}
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=patience) as session,
            session.request(method, f"http://docker{path}", data=body, headers=headers) as answer,
        ):
            text = await answer.text()
            if answer.status >= 400 and answer.status != 404:
                raise OSError(f"{answer.status}: {text.strip()[:200]}")
            return (
                await answer.json() if answer.content_type == "application/json" and text else None
            )
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise OSError(str(error)) from error
