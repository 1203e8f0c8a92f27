"""What `dryRun` answers: the plan by name, and nothing done."""

from typing import Any

from pydantic import Field

from boreas.domain.deployments import Deployment
from boreas.engine.explain import describe_plan
from boreas.engine.plan import Ground
from boreas.engine.preview import PlanPreview
from boreas.server.bodies import V1View
from boreas.server.plan_inputs import InputChangeView, RefusalView
from boreas.server.strategy_bodies import strategy_view
from boreas.server.task_views import Names


class RoundView(V1View):
    """Targets that are started together, and what is done there."""

    kind: str
    batch: int
    step: int | None
    targets: list[str]


class PlannedTaskView(V1View):
    """A task, in an order in which it could run."""

    id: str
    name: str
    type: str
    application: str | None
    waits_for: list[str]
    first_deployment: bool
    blue_green: bool
    require_confirm: bool
    rounds: list[RoundView]
    note: str | None


class ChangeView(V1View):
    """What becomes of an application on a target; `fromVersion` null: nothing known is there."""

    application: str
    target: str
    from_version: str | None
    to_version: str
    mixed: bool


class WarningView(V1View):
    """Something to know before, such as expected downtime."""

    code: str
    text: str
    task_id: str | None


class PlanView(V1View):
    """The answer of a dry run."""

    dry_run: bool = True
    project_id: str
    version_id: str
    version: str
    environment_id: str
    environment: str
    applications: list[str]
    strategy: list[dict[str, Any]]
    tasks: list[PlannedTaskView]
    changes: list[ChangeView]
    approvals: list[str]
    offline: list[str]
    holds: list[str]
    warnings: list[WarningView]
    inputs: list[InputChangeView] = Field(default_factory=list)
    refusals: list[RefusalView] = Field(default_factory=list)
    text: str


def plan_view(
    deployment: Deployment,
    ground: Ground,
    preview: PlanPreview,
    names: Names,
    versions: dict[str, str],
) -> PlanView:
    """The preview with names; `versions` are version names by release id."""
    return PlanView(
        project_id=deployment.project_id,
        version_id=deployment.version_id,
        version=names.version,
        environment_id=deployment.environment_id,
        environment=names.environment,
        applications=[it.name for it in ground.applications],
        strategy=strategy_view(deployment.strategy),
        tasks=[
            PlannedTaskView(
                id=it.id,
                name=it.name,
                type=it.type,
                application=it.application,
                waits_for=list(it.waits_for),
                first_deployment=it.first_deployment,
                blue_green=it.blue_green,
                require_confirm=it.require_confirm,
                rounds=[
                    RoundView(kind=r.kind, batch=r.batch, step=r.step, targets=list(r.targets))
                    for r in it.rounds
                ],
                note=it.note,
            )
            for it in preview.tasks
        ],
        changes=[
            ChangeView(
                application=it.application,
                target=it.target,
                from_version=versions.get(it.before or ""),
                to_version=names.version,
                mixed=it.mixed,
            )
            for it in preview.changes
        ],
        approvals=list(preview.approvals),
        offline=list(preview.offline),
        holds=list(preview.holds),
        warnings=[
            WarningView(code=it.code, text=it.text, task_id=it.task_id) for it in preview.warnings
        ],
        text=describe_plan(deployment, {it.id: it.name for it in ground.targets}),
    )
