"""What changed between two looks at a deployment, as lines for a file or a pipe. Pure."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from boreas.cli.watching.model import DeploymentView, TaskView
from boreas.cli.watching.words import said, sign

MOST_NAMED: Final = 6


def changes(before: DeploymentView | None, after: DeploymentView) -> Iterator[str]:
    """One line per thing that is new in `after`."""
    if before is None:
        yield f"{after.title} {after.heading}: {said(after.state)}"
    elif (before.state, before.phase) != (after.state, after.phase):
        yield f"{after.title} is {said(after.state)}{_direction(after)}"
    known = {task.id: task for task in before.tasks} if before else {}
    for task in after.tasks:
        yield from _task_changes(known.get(task.id), task)
    told = before.waiting_for if before else ()
    for sentence in after.waiting_for:
        if sentence not in told:
            yield f"  why: {sentence}"
    if after.error and (before is None or before.error != after.error):
        yield f"  {after.error}"


def _direction(view: DeploymentView) -> str:
    return ", going back" if view.phase == "rollback" and not view.ended else ""


def _task_changes(before: TaskView | None, after: TaskView) -> Iterator[str]:
    if before is not None and before.state != after.state:
        reason = f": {after.reason}" if after.reason else ""
        yield f"{sign(after.state)} {after.name} {said(after.state)}{reason}"
    known = {each.id: each.state for each in before.executions} if before else {}
    told = [each for each in after.executions if _is_news(known.get(each.id), each.state)]
    skipped = [each for each in told if each.state == "skipped"]
    for each in told:
        if each not in skipped:
            back = " back" if each.going_back else ""
            reason = f": {each.reason}" if each.reason else ""
            where = f"{after.name} on {each.target}, batch {each.batch}{back}"
            yield f"  {sign(each.state)} {where} {said(each.state)}{reason}"
    # One sentence for all that never started: they share the reason, and there may be hundreds.
    for reason, several in groupby(skipped, lambda each: each.reason):
        names = [each.target for each in several]
        where = f"{after.name} on {', '.join(names[:MOST_NAMED])}"
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        yield f"  {sign('skipped')} {where}{more} skipped: {reason}"


def _is_news(before: str | None, after: str) -> bool:
    return after not in ("pending", "ordered") and before != after
