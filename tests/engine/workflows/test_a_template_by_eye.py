"""The how-to's own example, compiled and laid out, as text to be read by people."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from boreas.domain.workflows.reading import read_template
from boreas.engine import people
from boreas.engine.compiling import Named, compile_template
from boreas.engine.explain import describe_plan, explain
from boreas.testing.builders import (
    a_ground,
    a_step,
    a_strategy,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout

DOCS = Path(__file__).parents[3] / "docs"
WEB, API = an_application("web", hosts=2), an_application("api", hosts=2)
FACTS = {
    "version.git.ref": "hotfix",
    "environment.kind": "prod",
    "variables": {},
    "applications": {},
}


@pytest.fixture
def rollout() -> Rollout:
    page = (DOCS / "howto" / "workflows.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    found = compile_template(
        read_template(text), [Named(id="web", name="web"), Named(id="api", name="api")]
    )
    ground = replace(a_ground(WEB, API, live=live_with("v1", WEB, API)), facts=FACTS)
    return Rollout(
        ground,
        tasks=found.tasks,
        stages=found.stages,
        strategy=a_strategy(a_step(1, back=True)),
        started=False,
    )


def test_the_plan(rollout, golden):
    names = rollout.snapshot.target_names

    golden("workflow_plan.txt", describe_plan(rollout.deployment, names))


def test_the_story_while_a_stage_waits_for_its_approval(rollout, golden):
    rollout.wish(people.start, "bo")
    for execution in rollout.in_flight():
        outcome = "failed" if execution.task_id == "lint" else "success"
        rollout.report(execution, outcome=outcome, exit_code=int(outcome == "failed"))

    golden("workflow_story.txt", explain(rollout.current(), rollout.now))
