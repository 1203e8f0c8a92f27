"""Lay out a deployment: from what was asked for to every task, batch and execution, frozen.

Called when a deployment is created (and, for single tasks, when the graph is edited). Nothing is
read here: releases, targets and what is live come in, so that the same input gives the same plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from boreas.domain.deployments import (
    ApprovalPolicy,
    Batch,
    Deployment,
    DeploymentState,
    Execution,
    ExecutionKind,
    ExecutionState,
    Origin,
    Task,
    TaskState,
    WorkflowOrigin,
)
from boreas.domain.errors import invalid
from boreas.domain.fleet import LiveRecord, Target
from boreas.domain.ids import (
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ExecutionId,
    ProjectId,
    ReleaseId,
    TargetId,
    TaskId,
    VersionId,
)
from boreas.domain.variables import NO_VARIABLES, VariableSnapshot
from boreas.domain.workflow import Stage, Strategy, TaskRequest, TaskType
from boreas.engine import conditions
from boreas.engine.first_deployment import is_first
from boreas.engine.graph import Graph, graph_of
from boreas.engine.snapshot import ReleaseView
from boreas.engine.task_scope import command_of, targets_of_command
from boreas.engine.waves import cut_into_batches, is_blue_green
from boreas.kit.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedApplication:
    """One application of the deployment: its frozen release and where it goes, in stored order."""

    id: ApplicationId
    name: str
    release: ReleaseView
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a plan stands on: the applications in their order, the environment, what is live."""

    applications: tuple[PlannedApplication, ...]
    targets: tuple[Target, ...]
    """Of the whole environment, in stored order."""
    builders: tuple[Target, ...] = ()
    """Agents that build images, as if they were targets; the least busy first."""
    live: Mapping[tuple[ApplicationId, TargetId], LiveRecord] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What conditions may ask, but for who asked for the deployment (`engine.conditions`)."""

    def application(self, application_id: ApplicationId) -> PlannedApplication | None:
        """The application with this id, if it is part of the deployment."""
        return next((it for it in self.applications if it.id == application_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """What somebody asks for; `tasks` None means the default list. Ids come from the caller."""

    id: DeploymentId
    number: int
    project_id: ProjectId
    environment_id: EnvironmentId
    version_id: VersionId
    created_by: str
    origin: Origin = Origin.MANUAL
    strategy: Strategy = field(default_factory=Strategy)
    must_in_order: tuple[ApplicationId, ...] = ()
    manual_approval: bool = False
    approval_policy: ApprovalPolicy = field(default_factory=ApprovalPolicy)
    tasks: tuple[TaskRequest, ...] | None = None
    variables: VariableSnapshot = NO_VARIABLES
    """For commands of no application."""
    stages: tuple[Stage, ...] = ()
    workflow: WorkflowOrigin | None = None
    started: bool = True
    """autoStart: it begins as soon as its turn comes."""
    deploy_at: datetime | None = None
    expire_at: datetime | None = None


def lay_out(request: DeploymentRequest, ground: Ground, now: datetime) -> Deployment:
    """The whole plan, in state `pending`; raises `InvalidInput` naming the field to mend."""
    if not ground.applications:
        raise invalid("applicationIds", "no application was named", "name at least one")
    requests = request.tasks if request.tasks is not None else default_tasks(ground)
    refuse_bad_plan(requests, request.must_in_order, len(request.stages))
    _refuse_unknown_order(request, ground)
    bare = Deployment(
        id=request.id,
        number=request.number,
        project_id=request.project_id,
        environment_id=request.environment_id,
        version_id=request.version_id,
        application_ids=tuple(it.id for it in ground.applications),
        state=DeploymentState.PENDING,
        created_by=request.created_by,
        created_at=now,
        updated_at=now,
        origin=request.origin,
        must_in_order=request.must_in_order,
        strategy=request.strategy,
        variables=request.variables,
        manual_approval=request.manual_approval,
        approval_policy=request.approval_policy,
        deploy_at=request.deploy_at,
        expire_at=request.expire_at,
        started=request.started,
        stages=request.stages,
        workflow=request.workflow,
        facts=facts_for(requests, ground, kind=request.origin, by=request.created_by),
    )
    return with_tasks(bare, requests, ground, now)


def refuse_bad_plan(
    requests: Sequence[TaskRequest], must_in_order: Sequence[ApplicationId], stages: int
) -> Graph:
    """The graph of these tasks; `InvalidInput` for a cycle, a bad id, stage or condition."""
    for index, wanted in enumerate(requests):
        if wanted.stage is not None and not 0 <= wanted.stage < stages:
            problem = f"there is no stage {wanted.stage + 1}"
            raise invalid(f"tasks[{index}].stage", problem, f"this deployment has {stages}")
    graph = graph_of(requests, must_in_order)
    conditions.refuse_bad(requests, graph)
    return graph


def facts_for(
    requests: Sequence[TaskRequest], ground: Ground, *, kind: str, by: str
) -> Mapping[str, Any]:
    """What the conditions of these tasks ask for; nothing is kept where there are none."""
    texts = [wanted.when.text for wanted in requests if wanted.when is not None]
    if not texts:
        return {}
    every = {"trigger.kind": str(kind), "trigger.by": by, **ground.facts}
    return conditions.kept_of(every, texts)


def _refuse_unknown_order(request: DeploymentRequest, ground: Ground) -> None:
    for application_id in request.must_in_order:
        if ground.application(application_id) is None:
            problem = f"application {application_id!r} is not part of this deployment"
            raise invalid("mustInOrder", problem)


def default_tasks(ground: Ground) -> tuple[TaskRequest, ...]:
    """One `deploy` per application, before it a `build` and after it a `health_check` if needed."""
    tasks: list[TaskRequest] = []
    for application in ground.applications:
        if application.release.builds:
            tasks.append(build_of(application, order=len(tasks)))
        deploy = TaskId(f"{application.name}-deploy")
        tasks.append(
            TaskRequest(
                id=deploy,
                name=f"Deploy {application.name}",
                type=TaskType.DEPLOY,
                application_id=application.id,
                order=len(tasks),
            )
        )
        if application.release.health_check is not None:
            tasks.append(
                TaskRequest(
                    id=TaskId(f"{application.name}-health-check"),
                    name=f"Check {application.name}",
                    type=TaskType.HEALTH_CHECK,
                    application_id=application.id,
                    order=len(tasks),
                )
            )
    return tuple(tasks)


def _builds_image(wanted: TaskRequest, application: PlannedApplication | None) -> bool:
    """Is it the application's own build that is meant, and not a command?"""
    has_build = application is not None and application.release.builds is not None
    return has_build and command_of(wanted) is None


def build_of(application: PlannedApplication, *, order: int = 0) -> TaskRequest:
    """The task that makes the application's image."""
    return TaskRequest(
        id=TaskId(f"{application.name}-build"),
        name=f"Build {application.name}",
        type=TaskType.BUILD,
        application_id=application.id,
        order=order,
    )


def with_tasks(
    deployment: Deployment,
    requests: Sequence[TaskRequest],
    ground: Ground,
    now: datetime,
    *,
    first_ordinal: int = 1,
) -> Deployment:
    """The deployment with these tasks added, laid out with all their executions."""
    tasks: list[Task] = list(deployment.tasks)
    executions: list[Execution] = list(deployment.executions)
    builds = sum(it.kind is ExecutionKind.BUILD for it in executions)
    for index, wanted in enumerate(requests):
        task, rows = _Layout(deployment, ground, now, index, builds).of(wanted)
        builds += sum(it.kind is ExecutionKind.BUILD for it in rows)
        tasks.append(task)
        for row in rows:
            ordinal = first_ordinal + len(executions) - len(deployment.executions)
            row_id = ExecutionId(f"{deployment.id}.{ordinal}")
            executions.append(replace(row, id=row_id, ordinal=ordinal))
    return replace(deployment, tasks=tuple(tasks), executions=tuple(executions))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Lays out one task; `index` is its place in the request, for error messages.

    `builds`: so many were given to builders before.
    """

    deployment: Deployment
    ground: Ground
    now: datetime
    index: int
    builds: int

    def of(self, wanted: TaskRequest) -> tuple[Task, list[Execution]]:
        """The task with its rows; a task that will be skipped says so from the beginning."""
        task, rows = self._laid_out(wanted)
        verdict = conditions.foretold(wanted, self.deployment.facts)
        if verdict is None or verdict.holds:
            return task, rows
        if verdict.holds is None:
            mend = 'ask `"NAME" in variables` first, or give what is missing'
            raise invalid(f"tasks[{self.index}].when", verdict.because, mend)
        return replace(task, reason=f"will be skipped: {verdict.because}"), rows

    def _laid_out(self, wanted: TaskRequest) -> tuple[Task, list[Execution]]:
        application = self._application(wanted)
        match wanted.type:
            case TaskType.DEPLOY:
                return self._deploy(wanted, self._needed(wanted, application))
            case TaskType.HEALTH_CHECK:
                return self._check(wanted, self._needed(wanted, application))
            case TaskType.PREPARE if command_of(wanted) is None:
                return self._prepare(wanted, application)
            case TaskType.BUILD if _builds_image(wanted, application):
                assert application is not None
                return self._build(wanted, application)
            case _:
                return self._run(wanted, application)

    def _application(self, wanted: TaskRequest) -> PlannedApplication | None:
        if wanted.application_id is None:
            return None
        application = self.ground.application(wanted.application_id)
        if application is None:
            problem = f"application {wanted.application_id!r} is not part of this deployment"
            raise invalid(f"tasks[{self.index}].appId", problem)
        return application

    def _needed(
        self, wanted: TaskRequest, application: PlannedApplication | None
    ) -> PlannedApplication:
        if application is None:
            problem = f"a {wanted.type.value} task needs an application"
            raise invalid(f"tasks[{self.index}].appId", problem, "name one")
        if not application.targets:
            problem = f"{application.name} has no targets in this environment"
            raise invalid("environmentId", problem, "add a target first")
        return application

    def _deploy(
        self, wanted: TaskRequest, application: PlannedApplication
    ) -> tuple[Task, list[Execution]]:
        strategy = self.deployment.strategy
        target_ids = tuple(it.id for it in application.targets)
        first = is_first(self.ground.live, application.id, target_ids)
        if is_blue_green(strategy):
            batches: tuple[Batch, ...] = (Batch(number=1, step=0, target_ids=target_ids),)
        else:
            batches = cut_into_batches(strategy, target_ids, first_deployment=first)
        beside = is_blue_green(strategy) and application.release.can_stage
        kinds: tuple[ExecutionKind, ...] = (ExecutionKind.DEPLOY,)
        if beside:
            kinds = (ExecutionKind.STAGE, ExecutionKind.ACTIVATE, ExecutionKind.RETIRE)
        task = self._task(wanted, batches=batches, blue_green=beside, first_deployment=first)
        number_of = {it: batch.number for batch in batches for it in batch.target_ids}
        rows = [
            self._row(wanted, target, kind, application, batch=number_of[target.id])
            for kind in kinds
            for target in application.targets
        ]
        return task, rows

    def _check(
        self, wanted: TaskRequest, application: PlannedApplication
    ) -> tuple[Task, list[Execution]]:
        rows = [
            self._row(wanted, target, ExecutionKind.CHECK, application)
            for target in application.targets
        ]
        return self._task(wanted), rows

    def _prepare(
        self, wanted: TaskRequest, application: PlannedApplication | None
    ) -> tuple[Task, list[Execution]]:
        """Staging ahead of time, where the driver can; otherwise there is nothing to do."""
        if application is None or not application.release.can_stage:
            why = "nothing to prepare"
            if application is not None:
                why += f": {application.name} cannot be staged beside itself"
            return self._task(wanted, reason=why), []
        rows = [
            self._row(wanted, target, ExecutionKind.STAGE, application)
            for target in application.targets
        ]
        return self._task(wanted), rows

    def _build(
        self, wanted: TaskRequest, application: PlannedApplication
    ) -> tuple[Task, list[Execution]]:
        """The application's image, unless the version has one already."""
        if not application.release.builds:
            why = f"nothing to build: the image of {application.name} is there"
            return self._task(wanted, reason=why), []
        if not self.ground.builders:
            mend = "start an agent with --label builder=yes"
            problem = f"{application.name} has to be built, and no agent builds"
            raise invalid(f"tasks[{self.index}]", problem, mend)
        builder = self.ground.builders[self.builds % len(self.ground.builders)]
        return self._task(wanted), [self._row(wanted, builder, ExecutionKind.BUILD, application)]

    def _run(
        self, wanted: TaskRequest, application: PlannedApplication | None
    ) -> tuple[Task, list[Execution]]:
        field_ = f"tasks[{self.index}].payload"
        if command_of(wanted) is None:
            problem = f"a {wanted.type.value} task needs a command"
            raise invalid(f"{field_}.command", problem, "write the bash text to run")
        of_app = application.targets if application is not None else ()
        targets = targets_of_command(wanted, of_app, self.ground.targets, field_)
        rows = [self._row(wanted, it, ExecutionKind.RUN, application) for it in targets]
        return self._task(wanted), rows

    def _task(
        self,
        wanted: TaskRequest,
        *,
        batches: tuple[Batch, ...] = (),
        blue_green: bool = False,
        first_deployment: bool = False,
        reason: str | None = None,
    ) -> Task:
        return Task(
            id=wanted.id,
            name=wanted.name or wanted.id,
            type=wanted.type,
            state=TaskState.BLOCKED,
            application_id=wanted.application_id,
            block_by=wanted.block_by,
            order=wanted.order,
            payload=wanted.payload,
            require_confirm=wanted.require_confirm,
            timeout_seconds=wanted.timeout_seconds,
            stage=wanted.stage,
            when=wanted.when,
            retry=wanted.retry,
            continue_on=wanted.continue_on,
            reason=reason,
            batches=batches,
            blue_green=blue_green,
            first_deployment=first_deployment,
            created_at=self.now,
            updated_at=self.now,
        )

    def _row(
        self,
        wanted: TaskRequest,
        target: Target,
        kind: ExecutionKind,
        application: PlannedApplication | None,
        *,
        batch: int = 1,
    ) -> Execution:
        release_id: ReleaseId | None = application.release.id if application is not None else None
        return Execution(
            id=ExecutionId(""),  # given with the ordinal, when the whole plan is put together
            ordinal=0,
            task_id=wanted.id,
            target_id=target.id,
            agent_id=target.agent_id,
            kind=kind,
            state=ExecutionState.PENDING,
            application_id=application.id if application is not None else None,
            batch=batch,
            release_id=release_id,
        )
