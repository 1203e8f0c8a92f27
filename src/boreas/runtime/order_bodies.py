"""From the engine's intents to the rows that promise an agent what to do."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import msgspec

from boreas.domain.builds import BuiltImage
from boreas.domain.delivery import CredentialUse
from boreas.domain.deployments import Deployment, Execution, ExecutionKind, Task
from boreas.domain.ids import AgentId, ApplicationId, ReleaseId, TargetId
from boreas.domain.orders import OrderBody, ReleaseBody
from boreas.domain.secrets import SecretRef
from boreas.domain.variables import NO_VARIABLES, VariableSnapshot, task_variables
from boreas.domain.workflow import TaskType
from boreas.engine.snapshot import CancelIntent, Decision, Snapshot
from boreas.kit.values import replace
from boreas.runtime.ports import Loaded, OutboxKind, OutboxRow

DEFAULT_TIMEOUT_SECONDS = 3600.0
Releases = Mapping[ReleaseId, ReleaseBody]


_Place = tuple[TargetId, ApplicationId | None]
LeftBehind = Mapping[_Place, AbstractSet[ReleaseId]]


class _Around(NamedTuple):
    """What the orders of one decision have in common."""

    decision: Decision
    loaded: Loaded
    releases: Releases
    left_behind: LeftBehind


def releases_needed(decision: Decision) -> set[ReleaseId]:
    """The releases whose documents the decision's orders carry."""
    wanted = {intent.execution_id for intent in decision.orders}
    executions = [e for e in decision.next.executions if e.id in wanted]
    both = {e.release_id for e in executions} | {e.previous_release_id for e in executions}
    return {release for release in both if release is not None}


def outbox_rows(decision: Decision, loaded: Loaded, releases: Releases) -> Sequence[OutboxRow]:
    """The decision's orders and cancels, cancels first: they make room."""
    deployment = decision.next
    cancels = [_cancel_row(deployment, cancel) for cancel in decision.cancels]
    wanted = {intent.execution_id for intent in decision.orders}
    if not wanted:
        return cancels
    tasks = {task.id: task for task in deployment.tasks}
    around = _Around(decision, loaded, releases, _left_behind(deployment))
    orders = [
        _order_row(execution, tasks[execution.task_id], around)
        for execution in deployment.executions
        if execution.id in wanted
    ]
    return [*cancels, *orders]


def scope_of(execution: Execution) -> str:
    """What an order acts on: orders of one scope never overlap on the agent and are fenced.

    A command of no application has a scope of its deployment's own: two deployments of different
    applications may both be under way on a target, and no lock says whose fence is the higher.
    """
    own = f"-{execution.id.rpartition('.')[0]}"
    return f"{execution.target_id}/{execution.application_id or own}"


def _left_behind(deployment: Deployment) -> LeftBehind:
    """For each place, what was live there before any execution of this deployment."""
    found: dict[_Place, set[ReleaseId]] = {}
    for it in deployment.executions:
        if it.previous_release_id is not None:
            place = it.target_id, it.application_id
            found.setdefault(place, set()).add(it.previous_release_id)
    return found


def _cancel_row(deployment: Deployment, cancel: CancelIntent) -> OutboxRow:
    return OutboxRow(
        agent_id=cancel.agent_id,
        kind=OutboxKind.CANCEL,
        order_id=cancel.order_id,
        deployment_id=deployment.id,
        body=msgspec.msgpack.encode(
            {"grace_seconds": cancel.grace_seconds, "reason": cancel.reason}
        ),
    )


def _order_row(execution: Execution, task: Task, around: _Around) -> OutboxRow:
    return OutboxRow(
        agent_id=execution.agent_id,
        kind=OutboxKind.ORDER,
        order_id=execution.order_id,
        deployment_id=around.decision.next.id,
        scope=scope_of(execution),
        fence=around.decision.next.fence,
        body=msgspec.msgpack.encode(_order_body(execution, task, around)),
    )


def _order_body(execution: Execution, task: Task, around: _Around) -> OrderBody:
    loaded, releases = around.loaded, around.releases
    deployment, snapshot = around.decision.next, loaded.snapshot
    release = releases.get(execution.release_id) if execution.release_id else None
    previous = execution.previous_release_id
    variables = variables_of(execution, task, deployment, release)
    is_build = execution.kind is ExecutionKind.BUILD
    return OrderBody(
        order_id=execution.order_id,
        execution_id=execution.id,
        attempt=execution.attempt,
        deployment_id=deployment.id,
        task_id=task.id,
        task_name=task.name,
        project_id=deployment.project_id,
        project=loaded.project,
        environment_id=deployment.environment_id,
        environment=loaded.environment,
        target_id=execution.target_id,
        target=snapshot.target_names.get(execution.target_id, execution.target_id),
        agent_id=execution.agent_id,
        agent=_agent_name(snapshot, execution.agent_id),
        verbs=execution.verbs,
        release=_for_its_agent(release),
        previous=_for_its_agent(releases.get(previous) if previous else None),
        command=task.payload.get("command"),
        build=release.build if release is not None and is_build else None,
        variables=variables.plain,
        secret_variables=_secrets_for(release, variables, is_build=is_build),
        credentials=_credentials_for(release, is_build=is_build),
        timeout_seconds=_timeout_of(task, release),
        files=tuple(task.payload.get("files", ())),
        keep_releases=_releases_to_keep(execution, around.left_behind, snapshot),
    )


def variables_of(
    execution: Execution, task: Task, deployment: Deployment, release: ReleaseBody | None
) -> VariableSnapshot:
    """What the order's commands see: the snapshot of the release it brings, and its own task's.

    Going back, the release decides alone: it holds what its own deploy task had said.
    """
    if release is None:
        return deployment.variables.under(task_variables(task.payload))
    if execution.kind is ExecutionKind.REVERT:
        return release.variables.under(release.task_variables)
    own = task_variables(task.payload)
    if execution.kind in {ExecutionKind.RUN, ExecutionKind.BUILD}:
        return release.variables.under(own)
    return release.variables.under({**release.task_variables, **own})


def with_image(release: ReleaseBody, image: BuiltImage | None) -> ReleaseBody:
    """The same release with the image that was built for it; a version's own pin stays."""
    if image is None or release.artifact.get("digest"):
        return release
    pinned = {"image": image.image, "digest": image.digest}
    return replace(release, artifact={**release.artifact, **pinned})


def _for_its_agent(release: ReleaseBody | None) -> ReleaseBody | None:
    """Without what the order itself says, and how its image is made."""
    if release is None:
        return None
    return replace(
        release, variables=NO_VARIABLES, task_variables={}, build=None, build_credentials={}
    )


def _secrets_for(
    release: ReleaseBody | None, variables: VariableSnapshot, *, is_build: bool
) -> Mapping[str, SecretRef]:
    """A builder gets the secrets that its Dockerfile mounts, and no others."""
    if not is_build or release is None or release.build is None:
        return variables.secret
    wanted = release.build.secrets
    return {name: ref for name, ref in variables.secret.items() if name in wanted}


def _credentials_for(release: ReleaseBody | None, *, is_build: bool) -> Mapping[str, CredentialUse]:
    if release is None:
        return {}
    return release.build_credentials if is_build else release.credentials


def _agent_name(snapshot: Snapshot, agent_id: AgentId) -> str:
    agent = snapshot.agents.get(agent_id)
    return agent.name if agent else agent_id


def _timeout_of(task: Task, release: ReleaseBody | None) -> float:
    if task.timeout_seconds:
        return task.timeout_seconds
    if release is not None and release.build is not None and task.type is TaskType.BUILD:
        return release.build.timeout_seconds
    own = release.spec.get("timeout_seconds") if release else None
    return float(own) if own else DEFAULT_TIMEOUT_SECONDS


def _releases_to_keep(
    execution: Execution, left_behind: LeftBehind, snapshot: Snapshot
) -> tuple[ReleaseId, ...]:
    """What a rollback may need on this target: what is live, and what was before."""
    keep = {execution.release_id, execution.previous_release_id}
    keep |= left_behind.get((execution.target_id, execution.application_id), set())
    if execution.application_id:
        live = snapshot.live.get((execution.application_id, execution.target_id))
        if live:
            keep |= {live.release_id, live.uncertain_release_id}
    return tuple(sorted(release for release in keep if release is not None))
