"""How an environment is shown."""

from typing import Any

from boreas.domain.projects import EnvironmentKind, QueuePolicy
from boreas.server.bodies import Moment, View
from boreas.server.window_bodies import ApprovalPolicyView, WindowView


class LockView(View):
    """Who keeps new deployments out, since when, and why."""

    by: str
    at: Moment
    reason: str


class EnvironmentView(View):
    """An environment."""

    id: str
    project_id: str
    name: str
    kind: EnvironmentKind
    queue_policy: QueuePolicy
    approval_policy: ApprovalPolicyView
    windows: list[WindowView]
    lock: LockView | None
    config: dict[str, Any]
    created_at: Moment
