"""What this process remembers of the database, so that it need not read it twice.

Only what a commit made true is kept, and a deployment is used only if its revision is still the one
that the locked row has; a release never changes at all. Forgetting costs a query, nothing else.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from boreas.domain.deployments import TERMINAL, Deployment
from boreas.domain.ids import DeploymentId, ReleaseId
from boreas.domain.orders import ReleaseBody
from boreas.engine.snapshot import ReleaseView

K = TypeVar("K")
V = TypeVar("V")

MOST_DEPLOYMENTS: Final = 512
"""More than are under way in one installation at a time; each costs about as much as its rows."""
MOST_RELEASES: Final = 2048


class Recent(Generic[K, V]):
    """The values used last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, if it is still known."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember it; the one unused for longest makes room."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget it."""
        self._values.pop(key, None)


class Recall:
    """The memory of one store, shared by its transactions."""

    def __init__(self) -> None:
        self.deployments: Recent[DeploymentId, Deployment] = Recent(MOST_DEPLOYMENTS)
        self.releases: Recent[ReleaseId, tuple[ReleaseBody, ReleaseView]] = Recent(MOST_RELEASES)

    def committed(self, deployment: Deployment) -> None:
        """This is what the database holds now."""
        if deployment.state in TERMINAL:
            self.deployments.drop(deployment.id)
        else:
            self.deployments.put(deployment.id, deployment)
