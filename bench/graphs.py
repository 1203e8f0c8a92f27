"""A graph of 5,000 tasks: accepted, begun, and what each task costs the server."""

import json
import time
from collections.abc import Iterator
from typing import Any

from bench.line import line
from bench.world import World, boreas, command, cpu_seconds, moment, wall_clock

WIDTH = 20


def graph_5000() -> Iterator[dict[str, Any]]:
    """Rows of 20 tasks, each waiting for two of the row before; an agent that answers at once."""
    with boreas() as whole:
        light = whole.light_agents(1)
        try:
            whole.add_targets(["light0"])
            _run(whole, 100)
            small = _run(whole, 100)
            large = _run(whole, 5000)
        finally:
            light.kill()
            light.wait()
    growth = large["cpu_ms_per_task"] / small["cpu_ms_per_task"]
    yield line(
        "graph_5000",
        "accepted <= 1 s, first task <= 2 s, cost per task flat from 100 to 5,000",
        reached=large["accepted_seconds"] <= 1
        and large["first_task_seconds"] <= 2
        and growth < 1.5,
        **large,
        cpu_ms_per_task_of_100=small["cpu_ms_per_task"],
        growth=growth,
    )


def _run(whole: World, count: int) -> dict[str, float]:
    wish = whole.wish([_task(number) for number in range(count)])
    text = json.dumps(wish).encode()
    before, asked, began = cpu_seconds(whole.server), wall_clock(), time.monotonic()
    headers = {"Authorization": f"Bearer {whole.token}", "Content-Type": "application/json"}
    answer = whole.http.post(f"{whole.url}/api/v1/deployments", content=text, headers=headers)
    assert answer.is_success, answer.text
    accepted = time.monotonic() - began
    deployment = answer.json()["id"]
    whole.until_over(deployment, at_most=400)
    used = cpu_seconds(whole.server) - before
    shown = whole.deployment(deployment)
    starts = [moment(task["startedAt"]) for task in shown["tasks"]]
    return {
        "accepted_seconds": accepted,
        "first_task_seconds": min(starts) - asked,
        "seconds": moment(shown["completedAt"]) - asked,
        "cpu_ms_per_task": used / count * 1000,
    }


def _task(number: int) -> dict[str, Any]:
    row = number // WIDTH
    before = [(row - 1) * WIDTH + (number + shift) % WIDTH for shift in (0, 1)] if row else []
    waits = [f"t{it}" for it in before]
    return {**command(f"t{number}", "true"), "blockBy": waits}
