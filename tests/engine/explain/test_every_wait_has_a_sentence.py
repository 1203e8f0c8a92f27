"""A sentence for every wait, hold, skip and going-back: whole stories, to be read by people."""

import pytest

from boreas.engine import people, people_targets
from boreas.engine.explain import blocked_words, explain, reasons
from boreas.engine.progress import progress_of
from boreas.testing.builders import (
    a_ground,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=3, apps=("web",), **request):
    applications = [an_application(it, hosts=hosts) for it in apps]
    ground = a_ground(*applications, live=live_with("v1", *applications))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1, back=True),))), **request)


def not_started():
    return a_rollout(started=False)


def in_flight():
    return a_rollout(a_step(2))


def between_batches():
    rollout = a_rollout(a_step(2, interval=60))
    rollout.finish()
    return rollout


def waiting_for_a_person():
    rollout = a_rollout(a_step(1, canary="0.1", approval=True), a_step(0))
    rollout.finish()
    return rollout


def paused():
    rollout = a_rollout()
    rollout.wish(people.pause, "bo")
    rollout.finish()
    return rollout


def agent_away():
    rollout = a_rollout(a_step(2))
    rollout.agent("n3", online=False)
    rollout.finish()
    return rollout


def stopping():
    rollout = a_rollout(a_step(2, back=True))
    rollout.fail("n1")
    return rollout


def going_back():
    rollout = a_rollout(apps=("web", "api"), must_in_order=("web", "api"))
    for _ in range(3):
        rollout.finish()
    rollout.fail()
    return rollout


def gone_back():
    rollout = going_back()
    rollout.run()
    return rollout


def cancelling():
    rollout = a_rollout()
    rollout.wish(people.cancel, "bo", comment="wrong branch")
    return rollout


def in_order():
    return a_rollout(apps=("web", "api"), must_in_order=("web", "api"))


def with_ignored_and_skipped():
    tasks = (
        a_task_request("d", "deploy", app="web"),
        a_task_request("smoke", after=["d"]),
    )
    rollout = a_rollout(a_step(2), tasks=tasks)
    rollout.wish(people_targets.ignore_target, "t3", "bo", comment="being repaired")
    rollout.wish(people_targets.skip_task, "smoke", "bo")
    return rollout


def tried_again():
    rollout = a_rollout(a_step(2))
    rollout.fail("n1")
    rollout.wish(people_targets.retry_failed, "bo")
    return rollout


STORIES = [
    not_started,
    in_flight,
    between_batches,
    waiting_for_a_person,
    paused,
    agent_away,
    stopping,
    going_back,
    gone_back,
    cancelling,
    in_order,
    with_ignored_and_skipped,
    tried_again,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda it: it.__name__)
def test_the_story_reads_as_it_should(story, golden):
    rollout = story()

    golden(f"story_{story.__name__}.txt", explain(rollout.current(), rollout.now))


@pytest.mark.parametrize("story", STORIES, ids=lambda it: it.__name__)
def test_the_reasons_are_stored_with_the_deployment(story):
    rollout = story()

    assert rollout.deployment.waiting_for == reasons(rollout.current(), rollout.now)


@pytest.mark.parametrize("story", STORIES, ids=lambda it: it.__name__)
def test_explaining_changes_nothing(story):
    rollout = story()
    before = rollout.current()

    explain(before, rollout.now)

    assert before == rollout.current()


def test_a_blocked_task_names_what_it_waits_for():
    tasks = (
        *(a_task_request(f"t{it}") for it in range(7)),
        a_task_request("last", after=[f"t{it}" for it in range(7)]),
    )
    rollout = a_rollout(tasks=tasks)

    assert blocked_words(rollout.deployment) == {"last": "waits for t0, t1, t2, t3, t4 and 2 more"}


def test_many_waits_are_counted_not_listed():
    tasks = tuple(a_task_request(f"t{it}") for it in range(60))
    rollout = a_rollout(tasks=tasks)

    assert len(rollout.waits()) == 41
    assert rollout.waits()[-1] == "and 20 more"


def test_sentences_stay_the_same_while_nothing_happens():
    rollout = between_batches()
    before = rollout.waits()
    rollout.wait(30)

    assert rollout.waits() == before


def test_progress_is_the_share_of_targets_that_are_over():
    rollout = a_rollout(hosts=4)
    assert progress_of(rollout.deployment) == 0.0
    rollout.finish()
    assert progress_of(rollout.deployment) == 0.25
    rollout.run()
    assert progress_of(rollout.deployment) == 1.0


def test_progress_of_a_way_back_is_its_own():
    rollout = a_rollout()
    rollout.finish()
    rollout.fail()
    assert progress_of(rollout.deployment) == 0.0
    rollout.finish()
    assert progress_of(rollout.deployment) == 0.5
    rollout.finish()
    assert progress_of(rollout.deployment) == 1.0


def test_a_task_without_targets_counts_as_one():
    web = an_application(can_stage=False)
    tasks = (a_task_request("p", "prepare", app="web"), a_task_request("c"))
    rollout = Rollout(a_ground(web), tasks=tasks)

    assert progress_of(rollout.deployment) == 0.5
