"""The three deployments of the demo, and how each should end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from boreas.cli import names
from boreas.cli.client import Client, Json
from boreas.cli.demo.world import CACHE, ENVIRONMENT, PROJECT, SETTINGS, WEB
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure
from boreas.cli.requests import Wanted, request_body
from boreas.cli.watching.follow import Viewer, follow
from boreas.domain.deployments import DeploymentState
from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.kit.until import Hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One deployment: what it shows and how it should end."""

    version: str
    told: str
    should_end: DeploymentState
    apps: tuple[str, ...] = ()
    strategy: str | None = None
    approval: bool = False
    should_fail: str | None = None
    """The application that must be the reason: going back for another one proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of a chapter."""

    chapter: Chapter
    found: Json

    @property
    def as_it_should(self) -> bool:
        """Did it end as the story says, and for the reason it says?"""
        expected = {self.chapter.should_fail} - {None}
        ended = self.found.get("status") == self.chapter.should_end
        return ended and set(failed_applications(self.found)) == expected


CHAPTERS: Final = (
    Chapter(
        version="v1",
        told="the first deployment: every application in order, all six nodes",
        should_end=DeploymentState.SUCCESS,
        strategy="rolling:3",
    ),
    Chapter(
        version="v2",
        told="a canary of the web application: one node, then a person's word, then the rest",
        should_end=DeploymentState.SUCCESS,
        apps=(WEB,),
        strategy="canary:10%",
        approval=True,
    ),
    Chapter(
        version="v3",
        told="a broken version: its canary never gets healthy, and every node goes back by itself",
        should_end=DeploymentState.ROLLED_BACK,
        strategy="canary:10%",
        should_fail=WEB,
    ),
)


async def begin(client: Client, chapter: Chapter, *, with_cache: bool) -> str:
    """Ask for the deployment; its id."""
    apps = chapter.apps or ((SETTINGS, CACHE, WEB) if with_cache else (SETTINGS, WEB))
    wanted = Wanted(
        project=PROJECT,
        environment=ENVIRONMENT,
        version=chapter.version,
        apps=apps,
        strategy=chapter.strategy,
        approval_after_canary=chapter.approval,
        in_order=",".join(apps) if len(apps) > 1 else None,
    )
    body = await request_body(client, wanted)
    made = await client.post(names.DEPLOYMENTS, {**body, "autoStart": True})
    return str(made["id"])


async def see(
    client: Client,
    deployment_id: str,
    viewer: Viewer,
    *,
    confirm: bool,
    still_up: Callable[[], None],
) -> Json:
    """Show it to its end; with `confirm`, say yes whenever it waits for a person.

    `still_up` is asked every second and raises when the demo's own processes are gone.
    """
    watcher = _Answering(viewer)
    async with TaskGroup("demo") as tasks:
        tasks.start(lambda: _look_after(still_up), name="processes")
        if confirm:
            tasks.start(lambda: _say_yes(client, deployment_id, watcher.asked), name="confirm")
        return await follow(client, deployment_id, watcher)


async def _look_after(still_up: Callable[[], None]) -> None:
    while True:
        still_up()
        await SystemClock().sleep(1.0)


async def _say_yes(client: Client, deployment_id: str, asked: Hint) -> None:
    while True:
        await asked.wait()
        try:
            body = {"comment": "boreas demo --once"}
            await client.post(f"{names.DEPLOYMENTS}/{deployment_id}/confirm", body)
        except Failure as failure:
            # Answered or gone on in the meantime.
            if failure.exit_code is not ExitCode.CONFLICT:
                raise


class _Answering:
    """Passes everything on to the viewer, and tells when a person is waited for."""

    def __init__(self, viewer: Viewer) -> None:
        self.wants_log = viewer.wants_log
        self.asked = Hint()
        self._viewer = viewer

    def show(self, found: Json, log: Sequence[str], now: datetime) -> None:
        """Show it; raise the hint when it waits for somebody's word."""
        self._viewer.show(found, log, now)
        if found.get("status") == DeploymentState.WAITING_CONFIRM:
            self.asked.raise_()


def failed_applications(found: Json) -> list[str]:
    """The applications that failed on some target, on the way forward or back."""
    return [
        str(task.get("application"))
        for task in found.get("tasks") or ()
        if any(each.get("state") in ("failed", "lost") for each in task.get("executions") or ())
    ]
