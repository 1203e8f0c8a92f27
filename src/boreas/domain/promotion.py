"""Whether a version may go into an environment: the project's order, and versions that are blocked.

Pure. Asked when a deployment is planned, created or started; what it answers stands in the plan.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from boreas.domain.errors import Conflict
from boreas.domain.ids import ApplicationId, EnvironmentId
from boreas.domain.projects import Version

Succeeded = Mapping[EnvironmentId, AbstractSet[ApplicationId]]
"""Environment -> the applications of which a version succeeded there."""


class RefusalCode(StrEnum):
    """Why a version may not go somewhere."""

    NOT_PROMOTED = "not_promoted"
    """It has not yet succeeded in an environment that comes before."""
    BLOCKED = "version_blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason against it, with what would mend it."""

    code: RefusalCode
    text: str
    mend: str

    def as_error(self) -> Conflict:
        """To be raised where nobody may go on."""
        return Conflict(f"{self.text}; {self.mend}", parameters={"reason": self.code.value})


def missing_before(
    order: Sequence[EnvironmentId],
    environment_id: EnvironmentId,
    applications: Collection[ApplicationId],
    succeeded: Succeeded,
) -> EnvironmentId | None:
    """The first environment of the order in which these applications did not yet succeed.

    An environment that is not in the order stands outside it: nothing needs to come before it.
    """
    if environment_id not in order:
        return None
    before = order[: order.index(environment_id)]
    return next((it for it in before if not set(applications) <= succeeded.get(it, set())), None)


def next_after(
    order: Sequence[EnvironmentId],
    applications: Collection[ApplicationId],
    succeeded: Succeeded,
) -> EnvironmentId | None:
    """Where these applications go next: the first place of the order without their success."""
    wanted = set(applications)
    return next((it for it in order if not wanted <= succeeded.get(it, set())), None)


def refused_promotion(version: Version, missing: str, wanted: str) -> Refusal:
    """`missing` and `wanted` are names of environments."""
    return Refusal(
        code=RefusalCode.NOT_PROMOTED,
        text=f"{version.name} has not yet succeeded in {missing}, which comes before {wanted}",
        mend=f"deploy it to {missing} first, or let an owner override it with a reason",
    )


def refused_block(
    version: Version,
    applications: Collection[ApplicationId],
    running: AbstractSet[ApplicationId],
    environment: str,
) -> Refusal | None:
    """A blocked version goes only where each of these applications runs it already."""
    block = version.blocked
    if block is None or (applications and set(applications) <= running):
        return None
    return Refusal(
        code=RefusalCode.BLOCKED,
        text=f"{version.name} was blocked by {block.by}: {block.reason}",
        mend=f"choose another version (it does not run in {environment}), or unblock it",
    )
