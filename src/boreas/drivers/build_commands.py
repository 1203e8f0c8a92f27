"""Docker command lines of a build, as plain tuples, and the files they read. Pure.

BuildKit builds; the client is found by what it can do, not by its version. What people wrote stands
behind options that take a value, and has passed `boreas.domain.builds` before.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from boreas.domain.builds import BuildCache, BuildPlan
from boreas.domain.images import without_tag
from boreas.drivers.registry_logins import RegistryLogin

Argv = tuple[str, ...]

CACHE_TAG: Final = "buildcache"
KEEPS_LAYERS: Final = "20GB"
"""How much of its cache a builder keeps, if it is not told."""


def environment(config_dir: Path, *, engine: str) -> dict[str, str]:
    """What the client needs: BuildKit, a configuration of this order alone, the node's engine."""
    return {"DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(config_dir), "DOCKER_HOST": engine}


def asks_for_help(client: str) -> Argv:
    """Its help names `--secret` when this client can build with BuildKit."""
    return (client, "build", "--help")


def login_file(login: RegistryLogin | None) -> bytes:
    """The client's configuration: who we are to one registry, and nothing else."""
    if login is None:
        return b"{}\n"
    spoken = f"{login.username}:{login.password}".encode()
    server = login.auth["serveraddress"]
    auths = {server: {"auth": base64.b64encode(spoken).decode()}}
    return json.dumps({"auths": auths}).encode() + b"\n"


def build(
    client: str, plan: BuildPlan, *, context: Path, dockerfile: Path, secrets: Mapping[str, Path]
) -> Argv:
    """Build the image and give it its name."""
    arguments = [f"--build-arg={name}={value}" for name, value in plan.build_args.items()]
    mounted = [f"--secret=id={name},src={path}" for name, path in secrets.items()]
    return (
        client,
        "build",
        "--progress=plain",
        *_cache_options(plan),
        *arguments,
        *mounted,
        f"--tag={plan.image}",
        f"--file={dockerfile}",
        "--",
        str(context),
    )


def _cache_options(plan: BuildPlan) -> Argv:
    match plan.cache:
        case BuildCache.OFF:
            return ("--no-cache",)
        case BuildCache.REGISTRY:
            return (f"--cache-from={cache_image(plan)}", "--build-arg=BUILDKIT_INLINE_CACHE=1")
        case BuildCache.LOCAL:
            return ()


def cache_image(plan: BuildPlan) -> str:
    """Where the registry keeps layers for the next build."""
    return f"{without_tag(plan.image)}:{CACHE_TAG}"


def tag(client: str, image: str, other: str) -> Argv:
    """Give an image a second name."""
    return (client, "tag", image, other)


def push(client: str, image: str) -> Argv:
    """Send an image to its registry."""
    return (client, "push", image)


def inspect(client: str, image: str) -> Argv:
    """Prints what the engine knows of an image, as JSON."""
    return (client, "image", "inspect", "--format={{json .}}", image)


def prune(client: str, *, keeps: str) -> Argv:
    """Forget the oldest layers that are more than a builder keeps."""
    return (client, "builder", "prune", "--force", f"--keep-storage={keeps}")


def digest_in(found: Mapping[str, Any], plan: BuildPlan) -> str | None:
    """The digest by which this image's registry knows it; its id if it was not to be pushed."""
    if not plan.push:
        return str(found["Id"])
    repository = without_tag(plan.image)
    for named in found.get("RepoDigests") or ():
        name, _, digest = str(named).partition("@")
        if name == repository:
            return digest
    return None
