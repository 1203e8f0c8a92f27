"""What people ask of a deployment that exists: start, confirm, reject, cancel, go back, try again.

Each is one POST; the server's engine says whether the present state allows it.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import CommentOption, DeploymentArgument, WatchOption
from boreas.cli.client import Json
from boreas.cli.failures import usage
from boreas.cli.nouns import given
from boreas.cli.verbs import Session, new_app, verb
from boreas.cli.watching.watch import watch as watch_to_the_end

start, confirm, reject = new_app(), new_app(), new_app()
pause, resume, cancel = new_app(), new_app(), new_app()
rollback, retry = new_app(), new_app()
skip, ignore = new_app(), new_app()
skip_window = new_app()

GateOption = Annotated[
    str | None,
    typer.Option("--gate", metavar="GATE", help="Which approval, when several are open."),
]
TaskOption = Annotated[
    str | None, typer.Option("--task", metavar="TASK", help="One task of it, by id or name.")
]


async def _ask(
    session: Session,
    deployment: str,
    wish: str,
    *,
    task: str | None = None,
    body: Json | None = None,
) -> Json:
    """POST the wish for a deployment, or for one task of it; the deployment after it."""
    found = await names.deployment(session.client, deployment)
    path = f"{names.DEPLOYMENTS}/{found['id']}"
    if task is not None:
        path += f"/tasks/{names.task(found, task)['id']}"
    answer = await session.client.post(f"{path}/{wish}", dict(body or {}))
    if isinstance(answer, dict) and "tasks" in answer:
        return answer
    return await names.deployment(session.client, str(found["id"]))


async def _tell(session: Session, found: Json, done: str, *, watch: bool = False) -> None:
    if watch:
        session.out.say(f"{names.title(found)}: {done}")
        await watch_to_the_end(session, str(found["id"]))
        return
    session.out.result(found, f"{names.title(found)}: {done}")


def _answer(comment: str | None, gate: str | None = None) -> Json:
    return given(comment=comment, gateId=gate)


def _simple(app: typer.Typer, wish: str, done: str, help_text: str) -> Callable[..., None]:
    @verb
    async def command(
        session: Session, deployment: DeploymentArgument = "latest", watch: WatchOption = False
    ) -> None:
        await _tell(session, await _ask(session, deployment, wish), done, watch=watch)

    command.__name__, command.__doc__ = wish, help_text
    return app.command()(command)


_simple(start, "start", "started", "Start a deployment that was made with --no-start.")
_simple(pause, "pause", "paused", "Start no new batch until it is resumed.")
_simple(resume, "resume", "resumed", "Go on after a pause.")


def _answering(app: typer.Typer, wish: str, done: str, help_text: str) -> Callable[..., None]:
    @verb
    async def command(
        session: Session,
        deployment: DeploymentArgument = "latest",
        task: TaskOption = None,
        gate: GateOption = None,
        comment: CommentOption = None,
        watch: WatchOption = False,
    ) -> None:
        found = await _ask(session, deployment, wish, task=task, body=_answer(comment, gate))
        await _tell(session, found, done, watch=watch)

    command.__name__, command.__doc__ = wish, help_text
    return app.command()(command)


_answering(confirm, "confirm", "confirmed", "Say yes to what a deployment (or a task) waits for.")
_answering(reject, "reject", "rejected", "Say no to what a deployment (or a task) waits for.")


@cancel.command(name="cancel")
@verb
async def cancel_deployment(
    session: Session,
    deployment: DeploymentArgument = "latest",
    go_back: Annotated[
        bool, typer.Option("--rollback", help="Bring every changed target back as well.")
    ] = False,
    watch: WatchOption = False,
) -> None:
    """Ask a deployment to stop; what runs is stopped by its agent first."""
    found = await _ask(session, deployment, "cancel", body={"rollback": go_back})
    await _tell(session, found, "cancel asked for", watch=watch)


@rollback.command(name="rollback")
@verb
async def rollback_deployment(
    session: Session, deployment: DeploymentArgument = "latest", watch: WatchOption = False
) -> None:
    """Bring every target that a deployment changed back to what it ran before."""
    found = await _ask(session, deployment, "rollback")
    await _tell(session, found, "going back", watch=watch)


@retry.command(name="retry")
@verb
async def retry_deployment(
    session: Session,
    deployment: DeploymentArgument = "latest",
    task: TaskOption = None,
    watch: WatchOption = False,
) -> None:
    """Run again what failed, and only that, with the same inputs."""
    found = await _ask(session, deployment, "retry", task=task)
    await _tell(session, found, "tried again", watch=watch)


@skip.command(name="skip")
@verb
async def skip_task(
    session: Session,
    deployment: DeploymentArgument = "latest",
    task: TaskOption = None,
    comment: CommentOption = None,
) -> None:
    """Skip one task: what comes after it no longer waits for it."""
    if task is None:
        raise usage("which task?", mend="boreas skip DEPLOYMENT --task TASK")
    found = await _ask(session, deployment, "skip", task=task, body=_answer(comment))
    await _tell(session, found, f"{task} skipped")


@ignore.command(name="ignore")
@verb
async def ignore_target(
    session: Session,
    deployment: DeploymentArgument = "latest",
    target: Annotated[
        str | None, typer.Option("--target", metavar="TARGET", help="Which target, name or id.")
    ] = None,
    comment: CommentOption = None,
) -> None:
    """Count one target no more: the deployment goes on without it."""
    if target is None:
        raise usage("which target?", mend="boreas ignore DEPLOYMENT --target TARGET")
    found = await names.deployment(session.client, deployment)
    target_id = names.pick(_targets_of(found), target, "target of this deployment")["id"]
    path = f"{names.DEPLOYMENTS}/{found['id']}/targets/{target_id}/ignore"
    after = await session.client.post(path, _answer(comment))
    await _tell(session, after, f"{target} counts no more")


def _targets_of(found: Json) -> list[Json]:
    """Every target that an execution of the deployment names, once."""
    named = {
        each["targetId"]: each["target"]
        for task in found.get("tasks") or ()
        for each in task.get("executions") or ()
    }
    return [{"id": target_id, "name": name} for target_id, name in named.items()]


@skip_window.command("skip-window")
@verb
async def skip_the_window(
    session: Session,
    reason: Annotated[
        str, typer.Option("--reason", "-m", metavar="TEXT", help="Kept with the deployment.")
    ],
    deployment: DeploymentArgument = "latest",
    watch: WatchOption = False,
) -> None:
    """Let one deployment pass the environment's windows, and say why."""
    found = await _ask(session, deployment, "skip-window", body={"reason": reason})
    await _tell(session, found, "may pass the windows", watch=watch)
