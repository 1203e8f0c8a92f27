"""The ports: what one layer needs from another, named by need.

Edges never import each other; they meet here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from boreas.domain.delivery import OpenedSecrets
from boreas.domain.orders import OrderBody, VerbOutcome


class Workbench(Protocol):
    """What a driver may use on the node while it works on one order.

    The agent re-enters a verb after it was killed; `run` makes that safe: a named step that already
    ran is not run again, a running one is adopted, and the recorded exit code is returned.
    """

    order: OrderBody
    scope_dir: Path
    """Lives as long as the application on this target: releases, mirrors, state."""
    release_dir: Path
    """`scope_dir/releases/<release id>`, made on first use; what BOREAS_RELEASE_DIR names."""
    secrets: OpenedSecrets
    """What this order got in plain; whatever it says or prints is masked."""

    @property
    def private_dir(self) -> Path:
        """For key and password files of this order: nobody else looks in, and it goes with it."""
        ...

    async def run(
        self,
        step: str,
        argv: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        tell_secrets: bool = False,
    ) -> int:
        """Run a command to its end in its own session, its output in the order's log; exit code.

        `env` is added to a minimal clean environment and the order's variables; people's own
        commands get the secret ones too (`tell_secrets`). `step` is unique in the order. Raises
        `CommandLost` if the fate of an earlier start cannot be known.
        """
        ...

    async def probe(
        self,
        argv: tuple[str, ...],
        *,
        at_most: float,
        env: Mapping[str, str] | None = None,
        tell_secrets: bool = False,
    ) -> tuple[int, str]:
        """Run a short repeatable command for at most so many seconds; exit code, last output."""
        ...

    async def say(self, line: str) -> None:
        """Put a line of Boreas' own words into the order's log (once per order and text)."""
        ...


class Driver(Protocol):
    """Puts one kind of application on a target; every verb is convergent."""

    async def stage(self, bench: Workbench) -> VerbOutcome: ...

    async def check_staged(self, bench: Workbench) -> VerbOutcome: ...

    async def activate(self, bench: Workbench) -> VerbOutcome: ...

    async def check(self, bench: Workbench) -> VerbOutcome: ...

    async def revert(self, bench: Workbench) -> VerbOutcome: ...

    async def retire(self, bench: Workbench) -> VerbOutcome: ...

    async def observe(self, bench: Workbench) -> VerbOutcome: ...
