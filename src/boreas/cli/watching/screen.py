"""Draw a deployment for a terminal: heading, tree, grid of targets, waits, log tail. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from boreas.cli.output import plain
from boreas.cli.watching.edges import children
from boreas.cli.watching.model import DeploymentView, ExecutionView, TaskView
from boreas.cli.watching.words import said, sign, span, style
from boreas.domain.deployments import TaskState
from boreas.domain.workflow import TaskType

LOG_LINES: Final = 8
GRID_TARGETS: Final = 240
"""More cells than this are counted instead of drawn: no terminal is that tall."""


def draw(view: DeploymentView, log: Sequence[str], now: datetime) -> RenderableType:
    """The whole screen: what matters most first, for a small terminal cuts the end off."""
    parts: list[RenderableType] = [_heading(view, now), *_waits(view), _tree(view), *_grids(view)]
    if log:
        parts += [Text("log", style="bold"), *(_log_line(line) for line in log[-LOG_LINES:])]
    return Group(*parts)


def _heading(view: DeploymentView, now: datetime) -> Text:
    line = Text.assemble(
        (f"{view.title} {plain(view.heading)}  ", "bold"),
        (f"{sign(view.state)} {said(view.state)}", style(view.state)),
    )
    if view.phase == "rollback" and not view.ended:
        line.append(" · going back", style="magenta")
    line.append(f"  {view.progress:.0f} %  {span(view.seconds_taken(now))}", style="dim")
    if (left := view.seconds_left(now)) is not None:
        line.append(f", about {span(left)} left", style="dim")
    return line


def _tree(view: DeploymentView) -> Tree:
    below = children(view)
    root = Tree(Text("tasks", style="bold"), guide_style="dim")
    _grow(root, None, below)
    return root


def _grow(
    branch: Tree, parent: str | None, below: Mapping[str | None, tuple[TaskView, ...]]
) -> None:
    for task in below.get(parent, ()):
        _grow(branch.add(_task_line(task)), task.id, below)


def _task_line(task: TaskView) -> Text:
    line = Text.assemble(
        (f"{sign(task.state)} ", style(task.state)),
        plain(task.name),
        (f"  {said(task.state)}", style(task.state)),
        no_wrap=True,
        overflow="ellipsis",
    )
    if task.reason:
        line.append(f"  {plain(task.reason)}", style="dim")
    return line


def _grids(view: DeploymentView) -> Iterable[RenderableType]:
    for task in view.tasks:
        cells = task.cells()
        if cells and _is_worth_a_grid(task):
            yield Text(f"{plain(task.name)} on {len(cells)} targets", style="bold")
            yield from _grid(cells)


def _is_worth_a_grid(task: TaskView) -> bool:
    """Deploy tasks always; others while they are at work or went wrong: terminals are small."""
    return task.type == TaskType.DEPLOY or task.state in (TaskState.RUNNING, TaskState.FAILED)


def _grid(cells: Sequence[ExecutionView]) -> Iterable[Text]:
    if len(cells) > GRID_TARGETS:
        yield _counted(cells)
        return
    in_batches = sorted(cells, key=lambda cell: (cell.going_back, cell.batch))
    for (back, batch), group in groupby(in_batches, lambda cell: (cell.going_back, cell.batch)):
        line = Text.assemble((f"  {'back' if back else 'batch'} {batch:<3} ", "dim"))
        for cell in group:
            line.append_text(_cell(cell))
        yield line


def _cell(cell: ExecutionView) -> Text:
    shown = "rolled_back" if cell.going_back and cell.state == "success" else cell.state
    again = f"×{cell.attempt}" if cell.attempt > 1 else ""
    return Text(f"{sign(shown)} {plain(cell.target)}{again}   ", style=style(shown))


def _counted(cells: Sequence[ExecutionView]) -> Text:
    line = Text("  ")
    for state, group in groupby(sorted(cell.state for cell in cells)):
        line.append(f"{sign(state)} {len(list(group))} {said(state)}   ", style=style(state))
    return line


def _waits(view: DeploymentView) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(f"why: {plain(each)}", style="yellow") for each in view.waiting_for
    ]
    if view.waits_for_people:
        lines.append(
            Text(f"answer with: boreas confirm {view.id}   or: boreas reject {view.id}", "yellow")
        )
    if view.error:
        lines.append(Text(plain(view.error), style="red"))
    return lines


def _log_line(line: str) -> Text:
    return Text(plain(line), style="dim", no_wrap=True, overflow="ellipsis")
