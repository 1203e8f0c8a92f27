"""Random lives of random deployments: the laws of `boreas.testing.chance` hold after every step.

Every step also decides twice: without news the second decision must come to nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boreas.domain.deployments import TERMINAL, Deployment
from boreas.domain.errors import Conflict
from boreas.engine.successor import NewDeployment, retry_of, rollback_of
from boreas.testing.builders import a_step, a_strategy, releases_of
from boreas.testing.chance import Life
from boreas.testing.grounds import any_ground, any_request
from boreas.testing.rollout import Rollout

patient = settings(
    max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class Drawn:
    """A chooser whose choices hypothesis records and shrinks."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def choice(self, seq: Sequence[Any], /) -> Any:
        return seq[self.data.draw(st.integers(0, len(seq) - 1))]


def a_life(data: st.DataObject, steps: int = 25, **request: Any) -> Life:
    chance = Drawn(data)
    ground = any_ground(chance)
    life = Life(Rollout(ground, **{**any_request(chance, ground), **request}), chance)
    life.live(steps)
    return life


@patient
@given(st.data())
def test_the_laws_hold_after_every_step(data):
    a_life(data)


@patient
@given(st.data())
def test_whatever_happened_it_ends_when_everybody_behaves(data):
    life = a_life(data, steps=12)

    life.settle()

    assert life.rollout.deployment.state in TERMINAL


@patient
@given(st.data())
def test_with_rollback_on_every_step_a_failure_never_leaves_the_fleet_mixed(data):
    strategy = a_strategy(a_step(2, canary="0.5", back=True), a_step(1, back=True))
    chance = Drawn(data)
    ground = any_ground(chance)
    rollout = Rollout(ground, strategy=strategy)
    while rollout.in_flight():
        flying = rollout.in_flight()[0]
        bad = flying.kind != "revert" and chance.choice((False, False, True))
        rollout.report(flying, outcome="failed" if bad else "success")

    assert rollout.state in {"success", "rolled_back", "failed"}
    if rollout.state == "failed":
        assert "no earlier version" in (rollout.deployment.error_message or "")
        return
    expected = "v2" if rollout.state == "success" else "v1"
    for row in rollout.executions(changed=True, phase="forward"):
        if row.previous_release_id is not None:
            assert rollout.version_on(rollout.name(row), str(row.application_id)) == expected


def successors(life: Life) -> list[Deployment]:
    rollout = life.rollout
    new = NewDeployment(
        id="d2",
        number=2,
        by="bo",
        now=rollout.now,
        live=rollout.live,
        target_names=rollout.snapshot.target_names,
    )
    made = []
    for make in (retry_of, rollback_of):
        try:
            made.append(make(rollout.deployment, new))
        except Conflict:
            continue
    return made


@patient
@given(st.data())
def test_the_laws_hold_for_what_follows_a_finished_deployment(data):
    life = a_life(data, steps=12)
    life.settle()
    for deployment in successors(life):
        ground = replace(life.rollout.ground, live=dict(life.rollout.live))
        follower = Rollout(ground, deployment=deployment, granted=False)
        releases = {**releases_of(life.rollout.ground), **releases_of(ground)}
        follower.snapshot = replace(follower.snapshot, releases=releases)
        follower.admission = replace(follower.admission, granted=True)
        follower.decide()
        after = Life(follower, life.chance)
        after.live(8)
        after.settle()


@patient
@given(st.data())
def test_a_rollback_of_whatever_ended_brings_back_what_was_before(data):
    life = a_life(data, steps=12)
    life.settle()
    before = dict(life.rollout.ground.live)
    for deployment in successors(life):
        if deployment.rollback_of is None:
            continue
        ground = replace(life.rollout.ground, live=dict(life.rollout.live))
        follower = Rollout(ground, deployment=deployment)
        follower.run()
        assert follower.state == "success"
        for row in follower.executions(state="success"):
            place = (row.application_id, row.target_id)
            assert follower.live[place].release_id == before[place].release_id


@pytest.mark.parametrize("hosts", [1, 2, 5])
@given(data=st.data())
def test_no_deployment_is_ever_in_two_batches_at_once(hosts, data):
    chance = Drawn(data)
    steps = [a_step(chance.choice((1, 2, 3, "40%"))) for _ in range(chance.choice((1, 2)))]
    ground = any_ground(chance)
    rollout = Rollout(ground, strategy=a_strategy(*steps))
    for _ in range(hosts * 4):
        flying = rollout.in_flight()
        for task in {it.task_id for it in flying}:
            assert len({it.batch for it in flying if it.task_id == task}) == 1
        if flying:
            rollout.report(chance.choice(flying), outcome="success")
