"""A draft gives back the very same objects for whatever did not change, so saving stays small."""

from datetime import timedelta

import pytest

from boreas.domain.deployments import DeploymentState, ExecutionState, TaskState
from boreas.engine.attempts import changes_not_taken_back, failures_of, latest, rounds_of
from boreas.engine.draft import Draft
from boreas.engine.retry import next_attempt
from boreas.engine.transitions import IllegalTransition
from boreas.testing.builders import (
    NOON,
    a_deployment,
    a_ground,
    a_step,
    a_strategy,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout

LATER = NOON + timedelta(seconds=1)


def test_a_draft_that_changed_nothing_gives_the_very_same_deployment():
    deployment = a_deployment()
    draft = Draft(deployment, LATER)

    draft.update_task("web-deploy", state=TaskState.BLOCKED)
    draft.update_execution("d1.1", reason=None)
    draft.update(started=True)

    assert draft.changed() is deployment


def test_the_revision_grows_by_one_however_much_changed():
    deployment = a_deployment()
    draft = Draft(deployment, LATER)

    draft.update(paused_by="bo")
    draft.update_execution("d1.1", reason="x")
    draft.update_execution("d1.2", reason="y")

    assert draft.changed().revision == deployment.revision + 1
    assert draft.changed().updated_at == LATER


def test_untouched_rows_and_tasks_are_the_same_objects():
    deployment = a_deployment()
    draft = Draft(deployment, LATER)

    draft.update_execution("d1.2", reason="x")
    changed = draft.changed()

    assert changed.tasks is deployment.tasks
    assert changed.executions[0] is deployment.executions[0]
    assert changed.executions[1] is not deployment.executions[1]


def test_a_decision_about_one_target_leaves_the_others_alone():
    rollout = Rollout(a_ground(hosts=3), strategy=a_strategy(a_step(3), a_step(0)))
    before = rollout.deployment.executions

    rollout.finish("n2")

    after = rollout.deployment.executions
    assert [old is new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_a_final_execution_gets_its_end_time():
    draft = Draft(a_deployment(), LATER)

    row = draft.update_execution("d1.1", state=ExecutionState.SKIPPED, reason="x")

    assert row.completed_at == LATER


def test_only_planned_rows_can_be_skipped():
    rollout = Rollout(a_ground(hosts=2))
    draft = Draft(rollout.deployment, LATER)

    draft.skip(list(draft.executions.values()), "x")

    assert [it.state for it in draft.executions.values()] == ["ordered", "skipped"]


def test_new_rows_are_numbered_on():
    deployment = a_deployment(hosts=3)
    draft = Draft(deployment, LATER)

    rows = [draft.append(next_attempt(deployment.executions[0])) for _ in range(2)]

    assert [(it.id, it.ordinal, it.attempt) for it in rows] == [("d1.4", 4, 2), ("d1.5", 5, 2)]
    assert len(draft.changed().executions) == 5


@pytest.mark.parametrize(
    "act",
    [
        lambda draft: draft.update(state=DeploymentState.SUCCESS),
        lambda draft: draft.update_task("web-deploy", state=TaskState.ROLLED_BACK),
        lambda draft: draft.update_execution("d1.1", state=ExecutionState.SUCCESS),
    ],
)
def test_every_change_of_state_passes_its_table(act):
    with pytest.raises(IllegalTransition):
        act(Draft(a_deployment(), LATER))


def test_a_notice_knows_its_place_and_keeps_the_rest_as_parameters():
    draft = Draft(a_deployment(), LATER)

    draft.say("code", "text", task_id="web-deploy", by="bo", count=3)

    (notice,) = draft.notices
    assert (notice.task_id, notice.by, notice.parameters) == ("web-deploy", "bo", {"count": 3})


def a_story():
    """n1 was tried twice and is good now, n2 failed, n3 is under way."""
    web = an_application(hosts=3)
    strategy = a_strategy(a_step(3, max_failures=2), a_step(0))
    rollout = Rollout(a_ground(web, live=live_with("v1", web)), strategy=strategy)
    rollout.fail("n1", "n2")
    draft = Draft(rollout.deployment, rollout.now)
    again = draft.append(next_attempt(draft.executions["d1.1"]))
    draft.update_execution(again.id, state=ExecutionState.ORDERED, changed=True)
    draft.update_execution(again.id, state=ExecutionState.SUCCESS)
    return draft


def test_only_the_newest_attempt_of_a_target_counts():
    draft = a_story()

    assert [it.id for it in latest(draft.executions.values())] == ["d1.4", "d1.2", "d1.3"]
    assert [it.target_id for it in failures_of(draft.executions.values())] == ["t2"]


def test_a_round_is_over_when_each_of_its_targets_is():
    draft = a_story()

    (round_,) = rounds_of(draft.executions.values())
    assert not round_.is_over
    draft.update_execution("d1.3", state=ExecutionState.LOST)
    (round_,) = rounds_of(draft.executions.values())
    assert round_.is_over


def test_every_changed_place_is_known_by_its_newest_change():
    draft = a_story()
    changed = changes_not_taken_back(draft.deployment, list(draft.executions.values()))

    assert {target: row.id for (_, target), row in changed.items()} == {
        "t1": "d1.4",
        "t2": "d1.2",
        "t3": "d1.3",
    }


def test_a_place_that_went_back_is_changed_no_more():
    web = an_application(hosts=2)
    strategy = a_strategy(a_step(1, back=True))
    rollout = Rollout(a_ground(web, live=live_with("v1", web)), strategy=strategy)
    rollout.finish("n1")
    rollout.fail("n2")
    rollout.finish("n2")

    left = changes_not_taken_back(rollout.deployment, rollout.deployment.executions)
    assert [target for _, target in left] == ["t1"]
