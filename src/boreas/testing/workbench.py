"""A workbench for driver tests: real commands, recorded steps, what was said kept in a list.

It keeps the promises of `boreas.domain.ports.Workbench` in memory; `die_before` and `die_after`
play the agent's sudden death between any two steps. Nothing that ships imports it.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boreas.domain.delivery import NO_SECRETS, OpenedSecrets
from boreas.domain.errors import CommandLost
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ExecutionId,
    OrderId,
    ProjectId,
    ReleaseId,
    TargetId,
    TaskId,
    VersionId,
)
from boreas.domain.orders import (
    DriverKind,
    OrderBody,
    ReleaseBody,
    Verb,
    order_variables,
)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class KilledHere(BaseException):
    """Stands for `kill -9` of the agent at a point in a verb."""


class FakeWorkbench:
    """Keeps the port's promise: a step that ran is not run again in the same order."""

    def __init__(
        self, order: OrderBody, scope_dir: Path, secrets: OpenedSecrets = NO_SECRETS
    ) -> None:
        self.order = order
        self.secrets = secrets
        self.scope_dir = scope_dir
        release = order.release.release_id if order.release else "none"
        self.release_dir = scope_dir / "releases" / release
        self.release_dir.mkdir(parents=True, exist_ok=True)
        self.recorded: dict[str, int] = {}
        self.ran: list[tuple[str, tuple[str, ...]]] = []
        self.said: list[str] = []
        self.output = ""
        self.die_before: str | None = None
        self.die_after: str | None = None
        self.die_saying: str | None = None
        self.lose: str | None = None

    @property
    def private_dir(self) -> Path:
        directory = self.scope_dir / "private"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    async def run(
        self,
        step: str,
        argv: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        tell_secrets: bool = False,
    ) -> int:
        if step == self.lose:
            raise CommandLost
        if step == self.die_before:
            raise KilledHere
        if step not in self.recorded:
            self.ran.append((step, argv))
            self.recorded[step], output = await self._execute(
                argv, self._told(env, tell_secrets=tell_secrets), cwd
            )
            self.output += output
        if step == self.die_after:
            raise KilledHere
        return self.recorded[step]

    async def probe(
        self,
        argv: tuple[str, ...],
        *,
        at_most: float,
        env: Mapping[str, str] | None = None,
        tell_secrets: bool = False,
    ) -> tuple[int, str]:
        try:
            async with asyncio.timeout(at_most):
                told = self._told(env, tell_secrets=tell_secrets)
                return await self._execute(argv, told, None)
        except TimeoutError:
            return 124, ""

    async def say(self, line: str) -> None:
        if line not in self.said:
            self.said.append(line)
        if self.die_saying is not None and self.die_saying in line:
            raise KilledHere

    def _told(self, env: Mapping[str, str] | None, *, tell_secrets: bool) -> dict[str, str]:
        return {**(self.secrets.variables if tell_secrets else {}), **(env or {})}

    async def _execute(
        self, argv: tuple[str, ...], env: Mapping[str, str] | None, cwd: Path | None
    ) -> tuple[int, str]:
        own = order_variables(self.order, release_dir=str(self.release_dir))
        clean = {"PATH": _PATH, "HOME": "/root", **own, **(env or {})}
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=clean,
            cwd=cwd,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        return process.returncode or 0, output.decode(errors="replace")


def a_release(version: str = "v1", **changes: Any) -> ReleaseBody:
    """A release of one application; its id follows the version unless it is named."""
    defaults: dict[str, Any] = {
        "release_id": ReleaseId(f"rel_{version}"),
        "version_id": VersionId(f"ver_{version}"),
        "version": version,
        "application_id": ApplicationId("app_1"),
        "application": "shop",
        "driver": DriverKind.SCRIPT,
        "spec": {"scripts": {"deploy": "true"}},
    }
    return ReleaseBody(**{**defaults, **changes})


def an_order(release: ReleaseBody | None, **changes: Any) -> OrderBody:
    """An order for one target towards this release."""
    defaults: dict[str, Any] = {
        "order_id": OrderId("dep_1.1#1"),
        "execution_id": ExecutionId("dep_1.1"),
        "attempt": 1,
        "deployment_id": DeploymentId("dep_1"),
        "task_id": TaskId("deploy"),
        "task_name": "deploy",
        "project_id": ProjectId("prj_1"),
        "project": "webshop",
        "environment_id": EnvironmentId("env_1"),
        "environment": "prod",
        "target_id": TargetId("tgt_1"),
        "target": "web-1",
        "agent_id": AgentId("agt_1"),
        "agent": "node-1",
        "verbs": (Verb.STAGE, Verb.ACTIVATE, Verb.CHECK),
    }
    return OrderBody(release=release, **{**defaults, **changes})


class Scope:
    """One application on one target: makes a workbench per order, all in the same directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def bench(self, release: ReleaseBody | None, **changes: Any) -> FakeWorkbench:
        return FakeWorkbench(an_order(release, **changes), self.directory)
