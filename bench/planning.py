"""What a plan costs: variables of all levels resolved, and 500 targets laid out, over HTTP."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

from bench.line import line
from bench.world import World, boreas

Line = dict[str, Any]
TARGETS = 500
VARIABLES = 50
LOOKS = 20


def plan_500_targets() -> Iterator[Line]:
    """A dry run into 500 targets, with 50 variables on each level; and the resolution alone."""
    with boreas() as whole:
        light = whole.light_agents(TARGETS)
        try:
            whole.add_targets([f"light{number}" for number in range(TARGETS)])
            plan, resolved = _measured(whole)
        finally:
            light.kill()
            light.wait()
    yield line(
        "plan_500_targets",
        "resolving variables and planning <= 100 ms",
        reached=plan <= 0.1,
        plan_ms=plan * 1000,
        resolved_ms=resolved * 1000,
        targets=TARGETS,
        variables=3 * VARIABLES,
    )


def _measured(whole: World) -> tuple[float, float]:
    project = f"/api/release/projects/{whole.project}"
    application = whole.get(f"{project}/applications")["items"][0]["id"]
    owners = (
        project,
        f"/api/release/applications/{application}",
        f"/api/release/environments/{whole.environment}",
    )
    for level, owner in enumerate(owners):
        items = [
            {"name": f"V{number + level * 10}", "value": "x" * 40} for number in range(VARIABLES)
        ]
        answer = whole.call("PUT", f"{owner}/variables", {"items": items})
        assert answer.is_success, answer.text
    version = whole.make_version("planned")
    wish = {"versionId": version, "environmentId": whole.environment, "dryRun": True}
    path = f"{project}/variables/resolved?environment={whole.environment}&application=app"
    return (
        _median(lambda: whole.post("/api/v1/deployments", wish)),
        _median(lambda: whole.get(path)),
    )


def _median(look: Any) -> float:
    times = []
    for _ in range(LOOKS):
        began = time.monotonic()
        look()
        times.append(time.monotonic() - began)
    return statistics.median(times)
