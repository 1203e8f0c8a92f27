"""How builds and images are asked for and shown: the founding document's BuildRecord."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Self

from pydantic import model_validator

from boreas.domain.deployments import ExecutionState
from boreas.domain.orders import ReleaseBody
from boreas.server.bodies import Body, Flag, Moment, Name, View
from boreas.store.builds import Build
from boreas.store.images import ImageArtifact

_STATUS: Final[Mapping[ExecutionState, str]] = {
    ExecutionState.PENDING: "pending",
    ExecutionState.ORDERED: "pending",
    ExecutionState.RUNNING: "running",
    ExecutionState.SUCCESS: "success",
    ExecutionState.FAILED: "failed",
    ExecutionState.LOST: "failed",
    ExecutionState.CANCELLED: "cancelled",
    ExecutionState.SKIPPED: "cancelled",
}


class BuildGitBody(Body):
    """What to build: a branch or tag, or a commit; the repository is the application's."""

    ref: str | None = None
    commit: str | None = None
    repository: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.ref is None) == (self.commit is None):
            raise ValueError("needs exactly one of `ref` and `commit`; write the one you mean")
        return self


class BuildBody(Body):
    """A build of one application: of a version that exists, or of `git`, which makes one.

    `application` may be left out when only one of the project's applications is built by Boreas.
    """

    application: str | None = None
    version_id: str | None = None
    git: BuildGitBody | None = None
    version: Name | None = None
    no_cache: Flag = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.version_id is None) == (self.git is None):
            raise ValueError("needs exactly one of `version_id` and `git`; write what to build")
        if self.version is not None and self.git is None:
            raise ValueError("names a new version, which needs `git`")
        return self


class BuildView(View):
    """A build; `image` is the name it will have, `digest` is known when it has succeeded."""

    id: str
    project_id: str
    application_id: str
    version_id: str
    status: str
    image: str
    digest: str
    size: int
    duration: int
    started_at: Moment | None
    completed_at: Moment | None
    error: str
    builder: str
    deployment_id: str
    task_id: str
    number: int


class ImageView(View):
    """An image that was built for a version."""

    id: str
    version_id: str
    application_id: str
    image: str
    digest: str
    size: int
    created_at: Moment


def build_view(build: Build, release: ReleaseBody | None, builder: str, now: datetime) -> BuildView:
    """A build with what is known of it by now; `builder` is its agent's name."""
    it = build.execution
    planned = release.build.image if release is not None and release.build is not None else ""
    return BuildView(
        id=it.id,
        project_id=build.project_id,
        application_id=it.application_id or "",
        version_id=build.version_id,
        status=_STATUS[it.state],
        image=it.image.image if it.image is not None else planned,
        digest=it.image.digest if it.image is not None else "",
        size=it.image.size if it.image is not None else 0,
        duration=_seconds(it.started_at, it.completed_at, now),
        started_at=it.started_at,
        completed_at=it.completed_at,
        error="" if it.state is ExecutionState.SUCCESS else it.reason or "",
        builder=builder,
        deployment_id=build.deployment_id,
        task_id=it.task_id,
        number=build.number,
    )


def image_view(found: ImageArtifact) -> ImageView:
    """An image as the document has it."""
    return ImageView(
        id=found.id,
        version_id=found.version_id,
        application_id=found.application_id,
        image=found.made.image,
        digest=found.made.digest,
        size=found.made.size,
        created_at=found.created_at,
    )


def _seconds(started: datetime | None, ended: datetime | None, now: datetime) -> int:
    return 0 if started is None else int(((ended or now) - started).total_seconds())
