"""A deployment as the views see it: values read from the server's JSON, nothing else. Pure.

Reading is lenient on purpose: a newer server may say more, an older one less; views still draw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from boreas.domain.deployments import TERMINAL, DeploymentState, ExecutionState, TaskState
from boreas.domain.workflow import TaskType

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionView:
    """One target's part in a task."""

    id: str
    target: str
    state: str
    batch: int = 1
    attempt: int = 1
    going_back: bool = False
    reason: str = ""

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read an execution."""
        return cls(
            id=str(document.get("id", "")),
            target=_name(document, "target"),
            state=str(document.get("state") or document.get("status") or ExecutionState.PENDING),
            batch=int(document.get("batch") or 1),
            attempt=int(document.get("attempt") or 1),
            going_back=document.get("phase") == "rollback" or document.get("kind") == "revert",
            reason=str(document.get("reason") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A node of the graph."""

    id: str
    name: str
    type: str
    state: str
    app_id: str | None = None
    after: tuple[str, ...] = ()
    reason: str = ""
    executions: tuple[ExecutionView, ...] = ()

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read a task."""
        return cls(
            id=str(document["id"]),
            name=str(document.get("name") or document["id"]),
            type=str(document.get("type") or TaskType.CUSTOM),
            state=str(document.get("status") or document.get("state") or TaskState.PENDING),
            app_id=document.get("appId") or document.get("applicationId"),
            after=_ids(document.get("blockBy")),
            reason=str(document.get("reason") or ""),
            executions=tuple(ExecutionView.of(each) for each in document.get("executions") or ()),
        )

    def cells(self) -> tuple[ExecutionView, ...]:
        """The last word on each target, in the order in which targets first appear."""
        last: dict[str, ExecutionView] = {}
        for execution in self.executions:
            last[execution.target] = execution
        return tuple(last.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """What a screen shows of one deployment."""

    id: str
    title: str
    heading: str
    state: str
    phase: str = "forward"
    progress: float = 0.0
    revision: int = 0
    waiting_for: tuple[str, ...] = ()
    error: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    must_in_order: tuple[str, ...] = ()
    tasks: tuple[TaskView, ...] = ()

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read a deployment as `GET /api/v1/deployments/:id` answers it."""
        number = document.get("number")
        return cls(
            id=str(document["id"]),
            title=f"#{number}" if number is not None else str(document["id"]),
            heading=heading_of(document),
            state=str(document.get("status", "")),
            phase=str(document.get("phase") or "forward"),
            progress=percent_of(document.get("progress")),
            revision=int(document.get("revision") or 0),
            waiting_for=tuple(_sentence(each) for each in document.get("waitingFor") or ()),
            error=str(document.get("errorMessage") or ""),
            started_at=moment(document.get("startedAt") or document.get("createdAt")),
            completed_at=moment(document.get("completedAt")),
            must_in_order=_ids(document.get("mustInOrder")),
            tasks=tuple(TaskView.of(each) for each in document.get("tasks") or ()),
        )

    @property
    def ended(self) -> bool:
        """Is the state final?"""
        return self.state in TERMINAL

    @property
    def waits_for_people(self) -> bool:
        """Does it go on only after somebody answers?"""
        return self.state == DeploymentState.WAITING_CONFIRM

    def seconds_taken(self, now: datetime) -> float:
        """From start to end, or until now."""
        if self.started_at is None:
            return 0.0
        return max(0.0, ((self.completed_at or now) - self.started_at).total_seconds())

    def seconds_left(self, now: datetime) -> float | None:
        """A guess from the pace so far; None while there is nothing to guess from."""
        going = self.state == DeploymentState.RUNNING and self.phase == "forward"
        if not going or not 5 <= self.progress < 100:
            return None
        return self.seconds_taken(now) * (100 - self.progress) / self.progress


def heading_of(document: Json) -> str:
    """`v2 of web → prod`, with as much of it as the document says; a return is called one."""
    applications = ", ".join(str(each) for each in document.get("applications") or ())
    environments = ", ".join(str(each) for each in document.get("environments") or ())
    version = _name(document, "version")
    what = f"{version} of {applications}" if applications else version
    what = f"back from {what}" if document.get("rollbackOf") else what
    return f"{what} → {environments}" if environments else what


def moment(text: object) -> datetime | None:
    """An ISO 8601 time, or None."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def percent_of(progress: object) -> float:
    """Progress in percent, whether the server says a number or counts."""
    if isinstance(progress, Mapping):
        if "percent" in progress:
            return percent_of(progress["percent"])
        done, total = progress.get("done") or 0, progress.get("total") or 0
        return 100.0 * done / total if total else 0.0
    return float(progress) if isinstance(progress, int | float) else 0.0


def _name(document: Json, noun: str) -> str:
    """The name of something; its id where no name is told."""
    return str(document.get(noun) or document.get(f"{noun}Id") or "")


def _sentence(reason: object) -> str:
    return str(reason.get("text", "")) if isinstance(reason, Mapping) else str(reason)


def _ids(value: object) -> tuple[str, ...]:
    """Ids as a list, or as the comma-separated text of the founding documents."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
