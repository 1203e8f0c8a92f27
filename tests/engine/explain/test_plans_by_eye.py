"""Plans as text, to be read by people; changed on purpose with --update-golden."""

import pytest

from boreas.engine.explain import describe_plan
from boreas.testing.builders import (
    a_deployment,
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)

WEB = an_application("web", hosts=5, health_check=a_health_check())
API = an_application("api", hosts=5)
FIXED = an_application("web", hosts=3, can_stage=False)
LIVE = live_with("v1", WEB, API)
CANARY = a_strategy(
    a_step(1, canary="0.1", interval=300, back=True, approval=True), a_step("40%", canary=1)
)

PLANS = {
    "rolling": (a_ground(WEB, live=LIVE), {"strategy": a_strategy(a_step(2, interval=60))}),
    "canary": (a_ground(WEB, live=LIVE), {"strategy": CANARY}),
    "first_canary": (a_ground(WEB), {"strategy": CANARY}),
    "implicit_step": (
        a_ground(WEB, live=LIVE),
        {"strategy": a_strategy(a_step(1, canary="0.4", back=True, max_failures=1))},
    ),
    "blue_green": (
        a_ground(WEB, live=LIVE),
        {"strategy": a_strategy(a_step(0, back=True), grace=300)},
    ),
    "blue_green_without_staging": (
        a_ground(FIXED, live=live_with("v1", FIXED)),
        {"strategy": a_strategy(a_step(0))},
    ),
    "two_in_order": (
        a_ground(API, WEB, live=LIVE),
        {"must_in_order": ("api", "web"), "strategy": a_strategy(a_step(0), a_step(0))},
    ),
    "no_strategy": (a_ground(API, live=LIVE), {"strategy": a_strategy()}),
    "answers_in_the_strategy": (
        a_ground(API, live=LIVE),
        {
            "strategy": a_strategy(
                a_step(1, canary="0.2", approval=True, answer=True),
                a_step(0, canary="0.6", approval=True, answer=False, max_failures="20%"),
            )
        },
    ),
    "every_type": (
        a_ground(WEB, API, live=LIVE),
        {
            "manual_approval": True,
            "tasks": (
                a_task_request("prepare", "prepare", app="web"),
                a_task_request("build", "build", app="web"),
                a_task_request("test", "test", app="web", payload={"scope": "each_target"}),
                a_task_request("web", "deploy", app="web"),
                a_task_request("check", "health_check", app="web"),
                a_task_request("api", "deploy", app="api", after=["check"], require_confirm=True),
                a_task_request("tell", after=["api"], payload={"target": "n3"}),
            ),
        },
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_reads_as_it_should(name, golden):
    ground, request = PLANS[name]
    names = {it.id: it.name for it in ground.targets}

    golden(f"plan_{name}.txt", describe_plan(a_deployment(ground, **request), names))
