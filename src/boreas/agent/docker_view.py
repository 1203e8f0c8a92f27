"""A look at the Docker Engine: its version, and the containers that Boreas deployed.

Two plain GETs over its socket. Loaded only on nodes that have Docker (see deployed.py).
"""

import json
from pathlib import Path
from typing import Any

import aiohttp

_LABEL = "boreas."


async def look(
    docker_socket: Path, *, seconds: float
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """`(None, [])` when the engine does not answer in time."""
    connector = aiohttp.UnixConnector(path=str(docker_socket))
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            version = await _get(http, "/version")
            containers = await _get(http, "/containers/json?all=1")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None, []
    ours = (one for one in containers if _labels(one))
    return {"version": version.get("Version", "")}, [_described(one) for one in ours]


async def _get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(f"http://docker{path}") as response:
        response.raise_for_status()
        return json.loads(await response.read())


def _labels(container: dict[str, Any]) -> dict[str, str]:
    labels = container.get("Labels") or {}
    return {name: value for name, value in labels.items() if name.startswith(_LABEL)}


def _described(container: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": container["Id"][:12],
        "name": (container.get("Names") or [""])[0].lstrip("/"),
        "image": container.get("Image", ""),
        "state": container.get("State", ""),
        "created": container.get("Created", 0),
        "labels": _labels(container),
    }
