"""The routes, one router per noun. What belongs to later work is not here at all."""

from boreas.server.api import (
    accounts,
    agents,
    applications,
    deployment_acts,
    deployments,
    environments,
    files,
    logs,
    projects,
    targets,
    task_acts,
    tasks,
    tokens,
    variables,
    versions,
)

ROUTERS = (
    accounts.router,
    tokens.router,
    projects.router,
    applications.router,
    environments.router,
    targets.router,
    agents.router,
    versions.router,
    variables.router,
    variables.snapshots,
    deployments.router,
    deployment_acts.router,
    tasks.router,
    task_acts.router,
    logs.router,
    files.router,
)
