"""Which driver puts which kind of application on a target.

Each is imported when it is first asked for: a node without containers never loads a Docker client.
"""

from typing import assert_never

from boreas.domain.orders import DriverKind
from boreas.domain.ports import Driver
from boreas.kit.clock import Clock


def driver_for(kind: DriverKind, clock: Clock) -> Driver:
    """A driver of this kind; it keeps nothing between two verbs."""
    match kind:
        case DriverKind.SCRIPT:
            from boreas.drivers.script import ScriptDriver

            return ScriptDriver(clock)
        case DriverKind.GIT_PULL:
            from boreas.drivers.git_pull import GitPullDriver

            return GitPullDriver(clock)
        case DriverKind.CONTAINER:
            from boreas.drivers.container import ContainerDriver

            return ContainerDriver(clock)
        case _:
            assert_never(kind)
