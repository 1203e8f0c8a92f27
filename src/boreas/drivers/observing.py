"""What a look at a live application says besides its version: is it healthy, asked once.

A look has no secrets. A command that is given some in an order is not run without them: nothing is
said of its health then.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boreas.domain.orders import HealthCheck, OrderBody, ProbeKind
from boreas.domain.ports import Workbench
from boreas.drivers.checking import probe_for
from boreas.drivers.probes import Probe


def may_run_commands(order: OrderBody) -> bool:
    """People's own commands may be asked here: they see the variables that they would see."""
    return not order.secret_variables


async def seen_health(probe: Probe | None) -> dict[str, Any]:
    """One question, one answer; nothing without a question."""
    if probe is None:
        return {"healthy": None, "health_reason": None}
    answer = await probe()
    return {"healthy": answer.passed, "health_reason": answer.detail or None}


def looking_probe(
    bench: Workbench,
    check: HealthCheck | None,
    *,
    cwd: Path,
    extra: Mapping[str, str] | None = None,
) -> Probe | None:
    """The question of the release's health check, if a look can ask it."""
    if check is None or check.type is ProbeKind.CONTAINER:
        return None
    if check.type is ProbeKind.COMMAND and not may_run_commands(bench.order):
        return None
    return probe_for(bench, check, cwd=cwd, extra=extra)
