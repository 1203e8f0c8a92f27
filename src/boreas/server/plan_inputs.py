"""What a deployment changes besides the version's name: commit, image, variables, configuration.

Compared with what is live now; where targets differ, with what most of them run. Also which rules
of promotion stand against it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from boreas.domain.comparison import Difference, changes_only, compared, compared_variables
from boreas.domain.configuration import leaves
from boreas.domain.deployments import Deployment
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import ApplicationId, ReleaseId
from boreas.domain.images import image_of
from boreas.domain.orders import DriverKind, ReleaseBody
from boreas.domain.variables import NO_VARIABLES
from boreas.runtime.order_bodies import with_image
from boreas.server.bodies import V1View
from boreas.server.ground import Frozen
from boreas.server.promotion import refusals
from boreas.store import SqlTransaction as Transaction


class InputChangeView(V1View):
    """One resolved input that will be another one; `change` is added, removed or changed."""

    application: str
    kind: str
    name: str
    change: str
    before: Any
    after: Any
    origin: str | None


class RefusalView(V1View):
    """A rule that does not let this deployment be made."""

    code: str
    text: str
    mend: str


async def read_inputs(
    tx: Transaction, deployment: Deployment, frozen: Frozen
) -> dict[str, list[InputChangeView] | list[RefusalView]]:
    """What a plan says besides, by its field."""
    version = await tx.versions.get(deployment.version_id)
    environment = await tx.environments.get(deployment.environment_id)
    against = await refusals(tx, version, environment, deployment.application_ids)
    ids = list(live_releases(frozen.ground.live.values()).values())
    running, built = await tx.releases.bodies(ids), await tx.releases.built(ids)
    live = {it.application_id: with_image(it, built.get(id_)) for id_, it in running.items()}
    return {
        "inputs": input_changes(frozen.releases, live),
        "refusals": [RefusalView(code=it.code, text=it.text, mend=it.mend) for it in against],
    }


def live_releases(live: Iterable[LiveRecord]) -> Mapping[ApplicationId, ReleaseId]:
    """For each application the release that most targets run."""
    counts: dict[ApplicationId, Counter[ReleaseId]] = {}
    for record in live:
        if record.release_id is not None:
            counts.setdefault(record.application_id, Counter())[record.release_id] += 1
    return {app: count.most_common(1)[0][0] for app, count in counts.items()}


def input_changes(
    releases: Iterable[ReleaseBody], live: Mapping[ApplicationId, ReleaseBody]
) -> list[InputChangeView]:
    """What each application gets that it has not now, or has now and will not have."""
    return [view for it in releases for view in _of(it, live.get(it.application_id))]


def _of(after: ReleaseBody, before: ReleaseBody | None) -> Iterable[InputChangeView]:
    new = after.variables.under(after.task_variables)
    old = NO_VARIABLES if before is None else before.variables.under(before.task_variables)
    for kind, found in (
        ("source", compared({} if before is None else _source(before), _source(after))),
        ("variable", compared_variables(old, new)),
        ("config", compared({} if before is None else leaves(before.config), leaves(after.config))),
    ):
        for it in changes_only(found):
            origin = new.origins.get(it.name) if kind == "variable" else None
            yield _view(after.application, kind, it, origin)


def _view(application: str, kind: str, found: Difference, origin: str | None) -> InputChangeView:
    return InputChangeView(
        application=application,
        kind=kind,
        name=found.name,
        change=found.change,
        before=found.a,
        after=found.b,
        origin=origin,
    )


def _source(release: ReleaseBody) -> dict[str, Any]:
    """What is put on the targets: a commit, an image."""
    found: dict[str, Any] = {}
    if release.git is not None:
        found["commit"] = release.git.commit
    if release.driver is DriverKind.CONTAINER:
        name = str(release.spec.get("image") or "")
        if release.build is not None:
            found["image"] = f"{release.build.image} (to be built)"
        elif name or release.artifact.get("image"):
            found["image"] = image_of(name, version=release.version, artifact=release.artifact)
    return found
