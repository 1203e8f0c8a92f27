"""Build an application's image from a commit, push it, and say by which digest it is known.

Runs on an agent that is labelled as a builder. Every command is a step of the workbench, so an
agent that was killed goes on where it was; what was half-made is made again from the beginning.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from boreas.domain.builds import PUSH, BuildCache, BuildPlan
from boreas.domain.errors import Unavailable, invalid
from boreas.domain.orders import GitRef, ReleaseBody, VerbOutcome
from boreas.domain.placeholders import safe_name
from boreas.domain.ports import Workbench
from boreas.drivers import build_commands as docker
from boreas.drivers import build_context, git_commands
from boreas.drivers.files import off_loop, remove_tree, write_whole
from boreas.drivers.git_mirror import Mirror
from boreas.drivers.registry_logins import login_for
from boreas.drivers.verbs import failed, last_words, release_of, worded

_LOOK_SECONDS = 60.0


class Builder:
    """Builds images; keeps nothing between two orders but git's mirror and the engine's cache."""

    def __init__(
        self,
        *,
        engine: str,
        keeps: str = docker.KEEPS_LAYERS,
        most_bytes: int = build_context.MOST_BYTES,
    ) -> None:
        self._engine = engine
        self._keeps = keeps
        self._most_bytes = most_bytes

    async def build(self, bench: Workbench) -> VerbOutcome:
        """Check out, build, push; the outcome's result has `image`, `digest`, `size`, `commit`."""
        place = _place_of(bench)
        await off_loop(_remove_others, place)
        outcome = await self._build_in(bench, place)
        await off_loop(remove_tree, place)
        return outcome

    @worded
    async def _build_in(self, bench: Workbench, place: Path) -> VerbOutcome:
        plan = bench.order.build
        if plan is None:
            raise invalid("build", "the order has no build to do")
        client = await _client(bench)
        checkout = await self._checked_out(bench, plan, place)
        environment = docker.environment(_config_dir(bench, plan), engine=self._engine)
        return await _Build(bench, plan, checkout, client, environment, self._keeps).run()

    async def _checked_out(self, bench: Workbench, plan: BuildPlan, place: Path) -> Path:
        mirror = Mirror(
            bench, _sources_of(bench, plan), repository=plan.usual_repository, steps="build"
        )
        commit = await mirror.commit_in_mirror()
        # Before a file is written: a small repository may unpack into more than a disk holds.
        sizes = git_commands.sizes_of(mirror.path, commit)
        code, listing = await bench.probe(sizes, at_most=_LOOK_SECONDS)
        if code != 0:
            raise invalid("git.commit", f"git cannot list the files of commit {commit[:12]}")
        build_context.refuse_if_too_large(
            build_context.sizes_in(listing), commit, most=self._most_bytes
        )
        checkout = await mirror.checkout(place, commit)
        await off_loop(build_context.clean, checkout)
        found = await off_loop(build_context.size_of, checkout, self._most_bytes)
        build_context.refuse_if_too_large((found,), commit, most=self._most_bytes)
        return checkout


class _Build:
    """The engine's part of one build."""

    def __init__(
        self,
        bench: Workbench,
        plan: BuildPlan,
        checkout: Path,
        client: str,
        environment: Mapping[str, str],
        keeps: str,
    ) -> None:
        self._bench = bench
        self._plan = plan
        self._checkout = checkout
        self._client = client
        self._environment = environment
        self._keeps = keeps

    async def run(self) -> VerbOutcome:
        """Build, push if wanted, look what came of it, tidy up."""
        plan = self._plan
        await self._bench.say(f"Builds {plan.image} from {plan.commit[:12]}.")
        code = await self._step("build", self._build_command())
        if code != 0:
            return failed(f"docker build ended with exit code {code}", exit_code=code)
        if plan.push and (code := await self._push()) != 0:
            told = f"{plan.image} could not be pushed; the registry's words are in the log"
            return failed(told, exit_code=code)
        built = await self._look()
        await self._step("prune-cache", docker.prune(self._client, keeps=self._keeps))
        await self._bench.say(f"Built {plan.image}: {built['digest']}, {built['size']:,} bytes.")
        return VerbOutcome(ok=True, exit_code=0, result=built)

    def _build_command(self) -> docker.Argv:
        return docker.build(
            self._client,
            self._plan,
            context=build_context.context_in(self._checkout, self._plan),
            dockerfile=build_context.dockerfile_in(self._checkout, self._plan),
            secrets=_secret_files(self._bench, self._plan),
        )

    async def _push(self) -> int:
        code = await self._step("push", docker.push(self._client, self._plan.image))
        if code == 0 and self._plan.cache is BuildCache.REGISTRY:
            other = docker.cache_image(self._plan)
            await self._step("tag-cache", docker.tag(self._client, self._plan.image, other))
            await self._step("push-cache", docker.push(self._client, other))
        return code

    async def _look(self) -> dict[str, Any]:
        argv = docker.inspect(self._client, self._plan.image)
        code, output = await self._bench.probe(argv, at_most=_LOOK_SECONDS, env=self._environment)
        found = _document_in(output) if code == 0 else {}
        digest = docker.digest_in(found, self._plan) if found else None
        if digest is None:
            raise Unavailable(
                f"the engine does not say by which digest {self._plan.image} is known"
            )
        return {
            "image": self._plan.image,
            "digest": digest,
            "size": int(found.get("Size") or 0),
            "commit": self._plan.commit,
        }

    async def _step(self, name: str, argv: docker.Argv) -> int:
        return await self._bench.run(f"build:{name}", argv, env=self._environment)


def _sources_of(bench: Workbench, plan: BuildPlan) -> ReleaseBody:
    """The release, at exactly the commit that is to be built."""
    git = GitRef(repository=plan.repository, commit=plan.commit)
    return replace(release_of(bench.order), git=git)


def _place_of(bench: Workbench) -> Path:
    """A checkout of this order's own: two builds never see each other's files."""
    return bench.scope_dir / "builds" / safe_name(bench.order.order_id)


def _remove_others(place: Path) -> None:
    """What stopped builds left: orders of one scope never run side by side."""
    if place.parent.is_dir():
        for other in place.parent.iterdir():
            if other != place:
                remove_tree(other)


async def _client(bench: Workbench) -> str:
    """The first docker client on this node that can build with BuildKit."""
    tried = []
    for candidate in _clients():
        env = {"DOCKER_BUILDKIT": "1"}
        code, output = await bench.probe(
            docker.asks_for_help(candidate), at_most=_LOOK_SECONDS, env=env
        )
        if code == 0 and "--secret" in output:
            return candidate
        tried.append(candidate)
    if not tried:
        raise Unavailable("there is no docker client on this builder; install docker.io")
    names = ", ".join(tried)
    raise Unavailable(
        f"no docker client here builds with BuildKit ({names}); install docker-buildx"
    )


def _clients() -> list[str]:
    folders = os.get_exec_path()
    found = (shutil.which("docker", path=folder) for folder in folders)
    return list(dict.fromkeys(path for path in found if path is not None))


def _config_dir(bench: Workbench, plan: BuildPlan) -> Path:
    """The client's configuration, for this order only: it may hold a password."""
    directory = bench.private_dir / "docker"
    directory.mkdir(mode=0o700, exist_ok=True)
    credential = bench.secrets.credentials.get(PUSH)
    login = None
    if credential is not None:
        login = login_for(plan.image, credential, usual=plan.usual_image)
    write_whole(directory / "config.json", docker.login_file(login))
    return directory


def _secret_files(bench: Workbench, plan: BuildPlan) -> Mapping[str, Path]:
    """A file for each secret that the Dockerfile may mount; they go with the order."""
    files = {}
    for name in plan.secrets:
        value = bench.secrets.variables.get(name)
        if value is None:
            raise invalid(f"build.secrets.{name}", "is no secret variable of this application")
        path = bench.private_dir / f"secret-{name}"
        write_whole(path, value.encode("utf-8", "surrogateescape"))
        files[name] = path
    return files


def _document_in(output: str) -> dict[str, Any]:
    try:
        found = json.loads(last_words(output, at_most=1_000_000))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
