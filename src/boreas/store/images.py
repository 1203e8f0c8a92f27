"""What builds made: an image for each release that had to be built, and so for its version."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import Deployment
from boreas.domain.ids import ApplicationId, ExecutionId, ReleaseId, VersionId
from boreas.engine.snapshot import Built
from boreas.store.mapping import Form, document_of
from boreas.store.release_tables import images
from boreas.store.unit import Unit

_IMAGE = Form(BuiltImage)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArtifact:
    """An image that was built for an application in a version (the document's ImageArtifact)."""

    id: ExecutionId
    application_id: ApplicationId
    version_id: VersionId
    made: BuiltImage
    created_at: datetime


async def add(
    connection: AsyncConnection, deployment: Deployment, built: Sequence[Built], now: datetime
) -> None:
    """Keep them; each execution makes one at most."""
    rows = [
        {
            "id": one.execution_id,
            "project_id": deployment.project_id,
            "application_id": one.application_id,
            "version_id": deployment.version_id,
            "release_id": one.release_id,
            "digest": one.image.digest,
            "at": now,
            "document": document_of(one.image),
        }
        for one in built
    ]
    await connection.execute(insert(images), rows)


async def of_releases(
    connection: AsyncConnection, ids: Collection[ReleaseId]
) -> Mapping[ReleaseId, BuiltImage]:
    """The newest image of each of these releases."""
    query = select(images.c.release_id, images.c.document)
    found = await connection.execute(
        query.where(images.c.release_id.in_(ids)).order_by(images.c.at, images.c.id)
    )
    return {ReleaseId(row.release_id): _IMAGE.value(row.document) for row in found}


class SqlImages:
    """Images by version and project."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def of_version(self, version_id: VersionId) -> Sequence[ImageArtifact]:
        """All that were built for a version, oldest first."""
        query = select(images).where(images.c.version_id == version_id)
        found = await self._unit.connection.execute(query.order_by(images.c.at, images.c.id))
        return [
            ImageArtifact(
                id=row.id,
                application_id=row.application_id,
                version_id=row.version_id,
                made=_IMAGE.value(row.document),
                created_at=row.at,
            )
            for row in found
        ]
