"""Variables and configuration as callers send and get them; no secret value ever stands in one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from boreas.domain.configuration import Config, ConfigOrigins, GivenConfig
from boreas.domain.deployments import Deployment
from boreas.domain.orders import ReleaseBody
from boreas.domain.reading import plain_text
from boreas.domain.variables import (
    MOST_PER_LEVEL,
    Given,
    Origin,
    Resolution,
    Variable,
    VariableSnapshot,
    explained,
)
from boreas.logs.secret_forms import is_maskable
from boreas.server.bodies import Body, Flag, Moment, V1View, View


def _text(value: Any) -> Any:
    """Numbers and truth values as the text that an environment holds."""
    return value if value is None or plain_text(value) is None else plain_text(value)


class VariableBody(Body):
    """One variable. A secret that is sent without `value` keeps the one it has."""

    name: str
    value: Annotated[
        str | None,
        BeforeValidator(_text, json_schema_input_type=str | float | bool | None),
    ] = None
    secret: Flag = False


class VariablesBody(Body):
    """The whole list of a level; what is not in it is removed."""

    items: list[VariableBody] = Field(max_length=10 * MOST_PER_LEVEL)


class VariableView(View):
    """One variable; `value` is null for a secret one."""

    name: str
    value: str | None
    secret: bool
    updated_at: Moment
    updated_by: str


class VariablesView(View):
    """What one level gives, by name."""

    items: list[VariableView]
    warnings: list[str] = Field(default_factory=list)


class OriginView(View):
    """The level that gave a value."""

    kind: str
    name: str


class GivenView(View):
    """A value that was overridden, and who had given it."""

    origin: OriginView
    value: str | None
    secret: bool


class ResolvedView(View):
    """A variable as it comes out: its value, who gave it, what that overrode (nearest first)."""

    name: str
    value: str | None
    secret: bool
    origin: OriginView
    overrode: list[GivenView]
    text: str


class GivenConfigView(View):
    """A value of the configuration that was overridden, and who had given it."""

    origin: OriginView
    value: Any


class ResolvedConfigView(View):
    """One value of the configuration by its dotted path."""

    path: str
    value: Any
    origin: OriginView
    overrode: list[GivenConfigView]


class ResolutionView(View):
    """Everything that would be resolved at this moment, with where it comes from."""

    items: list[ResolvedView]
    config: dict[str, Any]
    config_items: list[ResolvedConfigView]


class SnapshotVariableView(V1View):
    """A variable as it was frozen for a deployment; `appId` null: for commands of none."""

    name: str
    value: str
    secret: bool
    origin: str
    app_id: str | None
    application: str | None
    version: str | None


def level_view(variables: Iterable[Variable], warnings: Sequence[str] = ()) -> VariablesView:
    """A level's list."""
    items = [
        VariableView(
            name=it.name,
            value=it.value,
            secret=it.secret is not None,
            updated_at=it.updated_at,
            updated_by=it.updated_by,
        )
        for it in variables
    ]
    return VariablesView(items=items, warnings=list(warnings))


def resolution_view(
    resolution: Resolution, config: Config, origins: ConfigOrigins
) -> ResolutionView:
    """A resolution by name, a configuration by path."""
    return ResolutionView(
        items=[_resolved(name, resolution[name]) for name in sorted(resolution)],
        config=dict(config),
        config_items=[_config(path, given) for path, given in origins.items()],
    )


def _resolved(name: str, given: Sequence[Given]) -> ResolvedView:
    first, *overrode = (_given(it) for it in given)
    return ResolvedView(
        name=name,
        value=first.value,
        secret=first.secret,
        origin=first.origin,
        overrode=overrode,
        text=explained(name, given),
    )


def _given(given: Given) -> GivenView:
    setting = given.setting
    secret = setting.secret is not None
    return GivenView(origin=_origin(given.origin), value=setting.value, secret=secret)


def _config(path: str, given: Sequence[GivenConfig]) -> ResolvedConfigView:
    first, *overrode = (GivenConfigView(origin=_origin(it.origin), value=it.value) for it in given)
    return ResolvedConfigView(path=path, value=first.value, origin=first.origin, overrode=overrode)


def _origin(origin: Origin) -> OriginView:
    return OriginView(kind=origin.kind, name=origin.name)


def snapshot_views(
    deployment: Deployment, releases: Iterable[ReleaseBody]
) -> list[SnapshotVariableView]:
    """What a deployment's commands see, as frozen: of none, then of each release it brings."""
    views = _frozen(deployment.variables, None)
    for release in releases:
        views += _frozen(release.variables.under(release.task_variables), release)
    return views


def _frozen(snapshot: VariableSnapshot, release: ReleaseBody | None) -> list[SnapshotVariableView]:
    return [
        SnapshotVariableView(
            name=name,
            value=snapshot.shown(name) or "",
            secret=name in snapshot.secret,
            origin=snapshot.origins.get(name, ""),
            app_id=None if release is None else release.application_id,
            application=None if release is None else release.application,
            version=None if release is None else release.version,
        )
        for name in snapshot.names
    ]


def masking_warnings(secrets: Mapping[str, str]) -> list[str]:
    """Which new secrets cannot be taken out of logs."""
    return [
        f"{name} is too short or too common a word: it will not be masked in logs"
        for name, value in secrets.items()
        if not is_maskable(value)
    ]
