"""What callers send about deployments and tasks, and how it becomes the engine's requests.

Applications may be named by id or by name, as the founding documents do. A task without an id is
called `<application>-<type>`.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from boreas.domain.deployments import Task
from boreas.domain.errors import invalid
from boreas.domain.file_names import is_file_name
from boreas.domain.ids import ApplicationId, TaskId
from boreas.domain.reading import plain_text
from boreas.domain.variables import name_problem, value_problem
from boreas.domain.workflow import Bad, Condition, Retry, TaskRequest, TaskType
from boreas.domain.workflows.reading import MOST_REPETITIONS
from boreas.engine import conditions
from boreas.server.bodies import Flag, Name, Text, V1Body, Whole
from boreas.server.strategy_bodies import StrategyBody
from boreas.server.window_bodies import UtcMoment

MOST_TASKS = 10_000


def _an_id(text: str) -> str:
    if not text or len(text) > 200 or text != text.strip():
        raise ValueError("is not an id; write 1 to 200 characters without spaces around them")
    if "," in text or "/" in text or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise ValueError("has a comma, a slash or a control character; choose a plain id")
    return text


def _blockers(value: Any) -> Any:
    """`"a,b"` or `["a", "b"]`; null and empty are nothing."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _payload(value: Any) -> Any:
    """The documents call it a text; an object says the same without quoting."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('is not an object; write {"command": "..."}') from None
    return value


def _file_names(payload: dict[str, Any]) -> dict[str, Any]:
    files = payload.get("files", [])
    if not isinstance(files, list) or not all(is_file_name(name) for name in files):
        raise ValueError('has `files` that are no list of plain names; write ["settings.tar.gz"]')
    return payload


def _variables(payload: dict[str, Any]) -> dict[str, Any]:
    """`variables` as texts; a name that no environment can hold is refused by name."""
    given = payload.get("variables")
    if given is None:
        return payload
    texts = (
        {name: plain_text(value) for name, value in given.items()}
        if isinstance(given, Mapping)
        else {"": None}
    )
    for name, text in texts.items():
        if text is None:
            raise ValueError('has `variables` that are no plain values; write {"NAME": "value"}')
        if found := name_problem(str(name)) or value_problem(text):
            raise ValueError(f"has a variable {name!r} that {found[0]}; {found[1]}")
    return {**payload, "variables": texts}


TaskIdText = Annotated[str, AfterValidator(_an_id)]
Blockers = Annotated[
    list[str],
    BeforeValidator(_blockers, json_schema_input_type=str | list[str] | None),
    Field(max_length=MOST_TASKS),
]
Payload = Annotated[
    dict[str, Any],
    BeforeValidator(_payload, json_schema_input_type=dict[str, Any] | str | None),
    AfterValidator(_file_names),
    AfterValidator(_variables),
]
Timeout = Annotated[float, Field(gt=0, le=31_536_000)]

READ_ONLY = frozenset(
    {
        "deploymentId",
        "status",
        "reason",
        "confirmedBy",
        "confirmedAt",
        "createdAt",
        "updatedAt",
        "startedAt",
        "completedAt",
        "duration",
        "result",
        "logs",
        "executions",
        "batches",
        "blueGreen",
        "firstDeployment",
        "application",
        "skipped",
    }
)
"""What the server answers about a task; sent back unread, so that what was got can be put."""


class RetryBody(V1Body):
    """A failed attempt is repeated so many times, after so many seconds."""

    count: Whole = Field(ge=1, le=MOST_REPETITIONS)
    delay: float = Field(default=0.0, ge=0, le=31_536_000)


class TaskFields(V1Body):
    """The parts of a task that can be written."""

    also: ClassVar[Mapping[str, str]] = {"blockedBy": "blockBy"}

    name: Name | None = None
    app_id: str | None = None
    type: TaskType | None = None
    block_by: Blockers = Field(default_factory=list)
    order: Whole | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    payload: Payload = Field(default_factory=dict)
    require_confirm: Flag = False
    timeout_seconds: Timeout | None = None
    stage: Whole | None = Field(
        default=None, ge=1, le=1000, description="The place of its stage, from 1."
    )
    when: str | None = Field(default=None, max_length=5000, description="A CEL condition.")
    retry: RetryBody | None = None
    continue_on: list[Bad] = Field(default_factory=list, max_length=10)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_read_only(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: item for key, item in value.items() if key not in READ_ONLY}


class NewTaskBody(TaskFields):
    """A task of a new deployment, or one to add."""

    id: TaskIdText | None = None
    type: TaskType


class PlacedTaskBody(TaskFields):
    """A task in the list of a workflow; what is left out stays as it is."""

    id: TaskIdText


class OverrideBody(V1Body):
    """An owner's word that the order of promotion does not count this time, and why."""

    reason: Text = Field(min_length=1)


class DeploymentBody(V1Body):
    """A new deployment. `applicationIds` left out: every application of the project."""

    version_id: str
    environment_id: str
    application_ids: list[str] | None = Field(default=None, max_length=1000)
    must_in_order: list[str] = Field(default_factory=list, max_length=1000)
    strategy: StrategyBody | None = None
    manual_approval: Flag = False
    tasks: list[NewTaskBody] | None = Field(default=None, max_length=MOST_TASKS)
    auto_start: Flag = True
    deploy_at: UtcMoment | None = None
    expire_at: UtcMoment | None = None
    dry_run: Flag = False
    override: OverrideBody | None = None
    workflow_id: str | None = Field(
        default=None, max_length=200, description="Id or name of a workflow to make the tasks of."
    )
    workflow_version: Whole | None = Field(default=None, ge=1)
    variables: dict[str, str] = Field(
        default_factory=dict,
        max_length=200,
        description="In place of the workflow's own variables, for this deployment alone.",
    )

    @model_validator(mode="after")
    def _can_begin(self) -> Self:
        if self.deploy_at and self.expire_at and self.expire_at <= self.deploy_at:
            raise ValueError("expireAt is not after deployAt; write a later one")
        return self

    @model_validator(mode="after")
    def _one_source_of_tasks(self) -> Self:
        if self.workflow_id is not None and self.tasks is not None:
            raise ValueError("has `tasks` beside `workflowId`; leave one of them out")
        if self.workflow_id is None and (self.workflow_version or self.variables):
            raise ValueError(
                "has `workflowVersion` or `variables` without a workflow; write `workflowId`"
            )
        return self


class WorkflowBody(V1Body):
    """The whole list of tasks; `revision` is the `workflowRevision` it was made from."""

    tasks: list[PlacedTaskBody] = Field(max_length=MOST_TASKS)
    revision: Whole | None = None


class CommentBody(V1Body):
    """Words for the record; `gateId` says which approval is meant when several are open."""

    comment: Text = ""
    gate_id: str | None = None


class SkipWindowBody(V1Body):
    """Why this deployment may pass the environment's windows."""

    reason: Annotated[Text, Field(min_length=1)]


class CancelBody(V1Body):
    """`rollback`: also bring back what was changed."""

    comment: Text = ""
    rollback: Flag = False


ApplicationNames = Mapping[str, ApplicationId]
"""Ids by id and by name."""


def ids_by_name(found: Iterable[tuple[str, ApplicationId]]) -> ApplicationNames:
    """From (name, id) pairs; an id wins over a name that looks like it."""
    pairs = list(found)
    return {name: id_ for name, id_ in pairs} | {str(id_): id_ for _, id_ in pairs}


def application_named(names: ApplicationNames, given: str, field: str) -> ApplicationId:
    """The application with this id or name."""
    found = names.get(given)
    if found is None:
        mend = "write the id or the name of an application of this project"
        raise invalid(field, f"there is no application {given!r}", mend)
    return found


def new_task_requests(
    bodies: Sequence[NewTaskBody], names: ApplicationNames
) -> tuple[TaskRequest, ...]:
    """The tasks of a new deployment."""
    if not bodies:
        mend = "leave `tasks` out for a deploy and a health check of each application"
        raise invalid("tasks", "names no task, so nothing would be deployed", mend)
    return tuple(
        new_task_request(body, names, place=f"tasks[{index}].", order=index)
        for index, body in enumerate(bodies)
    )


def new_task_request(
    body: NewTaskBody, names: ApplicationNames, *, place: str = "", order: int = 0
) -> TaskRequest:
    """One new task."""
    application = None
    if body.app_id:
        application = application_named(names, body.app_id, f"{place}appId")
    task_id = body.id or _usual_id(body, place)
    return TaskRequest(
        id=TaskId(task_id),
        name=body.name or task_id,
        type=body.type,
        application_id=application,
        block_by=tuple(TaskId(each) for each in body.block_by),
        order=order if body.order is None else body.order,
        payload=body.payload,
        require_confirm=body.require_confirm,
        timeout_seconds=body.timeout_seconds,
        stage=None if body.stage is None else body.stage - 1,
        when=_condition(body.when),
        retry=_retry(body),
        continue_on=tuple(dict.fromkeys(body.continue_on)),
    )


def _condition(text: str | None) -> Condition | None:
    return conditions.bound(text) if text and text.strip() else None


def _retry(body: TaskFields) -> Retry | None:
    return None if body.retry is None else Retry(count=body.retry.count, delay=body.retry.delay)


def _usual_id(body: NewTaskBody, place: str) -> str:
    if not body.app_id:
        raise invalid(f"{place}id", "is missing", "write an id, unique in this deployment")
    return f"{body.app_id}-{body.type.value}"


def placed_task_request(
    body: TaskFields,
    task_id: str,
    present: Task | None,
    names: ApplicationNames,
    *,
    place: str = "",
) -> TaskRequest:
    """A task as a workflow's list wants it: given parts from the body, the rest as it is."""
    if present is None:
        given = body.model_dump(exclude_unset=True, by_alias=True) | {"id": task_id}
        if "type" not in given or given["type"] is None:
            raise invalid(f"{place}type", "is missing", "a new task needs a type")
        return new_task_request(NewTaskBody.model_validate(given), names, place=place)
    given_names = body.model_fields_set
    application = present.application_id
    if "app_id" in given_names:
        application = (
            application_named(names, body.app_id, f"{place}appId") if body.app_id else None
        )
    block_by = present.block_by
    if "block_by" in given_names:
        block_by = tuple(TaskId(each) for each in body.block_by)
    return TaskRequest(
        id=present.id,
        name=body.name or present.name,
        type=body.type or present.type,
        application_id=application,
        block_by=block_by,
        order=present.order if body.order is None else body.order,
        payload=body.payload if "payload" in given_names else present.payload,
        require_confirm=(
            body.require_confirm if "require_confirm" in given_names else present.require_confirm
        ),
        timeout_seconds=(
            body.timeout_seconds if "timeout_seconds" in given_names else present.timeout_seconds
        ),
        **_placed_rules(body, present),
    )


def _placed_rules(body: TaskFields, present: Task) -> dict[str, Any]:
    """What a workflow template says of a task besides; a text that stays keeps what it means."""
    given = body.model_fields_set
    stage = None if body.stage is None else body.stage - 1
    same_text = present.when is not None and body.when == present.when.text
    return {
        "stage": stage if "stage" in given else present.stage,
        "when": _condition(body.when) if "when" in given and not same_text else present.when,
        "retry": _retry(body) if "retry" in given else present.retry,
        "continue_on": tuple(body.continue_on) if "continue_on" in given else present.continue_on,
    }
