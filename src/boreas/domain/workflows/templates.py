"""A workflow template as a value, and how it is saved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from boreas.domain.ids import ProjectId
from boreas.domain.workflow import Bad, Retry, Stage, TaskType
from boreas.domain.workflows.problems import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionText:
    """A `when:` as written, of the task or of its stage."""

    text: str
    path: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTemplate:
    """One task, or one for each application of its matrix.

    `applications` None: no matrix; empty: all that are deployed. `places` holds where each key
    stands, `""` being the task itself.
    """

    id: str
    name: str
    type: TaskType
    path: str
    stage: int | None = None
    application: str | None = None
    applications: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    conditions: tuple[ConditionText, ...] = ()
    """All of them must be met."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    confirm: bool = False
    timeout_seconds: float | None = None
    retry: Retry | None = None
    continue_on: tuple[Bad, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def when(self) -> str | None:
        """All conditions as one."""
        texts = [it.text for it in self.conditions]
        return " && ".join(f"({it})" for it in texts) if len(texts) > 1 else next(iter(texts), None)

    @property
    def of_application(self) -> bool:
        """Whether each task that comes of it belongs to an application."""
        return self.application is not None or self.applications is not None

    def place(self, key: str = "") -> Place:
        """Where this key stands, or else the task."""
        return self.places.get(key) or self.places.get("", Place(1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A whole template. `variables` hold where whoever deploys gives no others."""

    description: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    tasks: tuple[TaskTemplate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A saved template of a project; `revision` is the number of its newest version."""

    id: str
    project_id: ProjectId
    name: str
    revision: int = 1
    description: str = ""
    created_at: datetime
    created_by: str = ""
    updated_at: datetime
    updated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowVersion:
    """One version of a saved template: the text as its author wrote it. Never changes."""

    id: str
    workflow_id: str
    number: int
    text: str
    author: str
    message: str = ""
    created_at: datetime
    origin: str = ""
    """Where the text came from, if it was not written: a restored version, a copy, a deployment."""
