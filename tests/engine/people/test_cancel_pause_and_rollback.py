"""Cancel is asked for, then done; pause stops new batches; going back can be asked for by hand."""

import pytest

from boreas.domain.errors import Conflict, NotFound
from boreas.engine import people, people_targets
from boreas.testing.builders import (
    a_ground,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=3, **request):
    web = an_application(hosts=hosts)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1, back=True),))), **request)


# --- start -------------------------------------------------------------------------------------


def test_without_autostart_it_waits_for_somebody_to_start_it():
    rollout = a_rollout(started=False)

    assert rollout.state == "pending"
    assert rollout.waits() == ["waits for somebody to start it"]


def test_starting_twice_is_refused():
    rollout = a_rollout(started=False)
    rollout.wish(people.start, "al")

    with pytest.raises(Conflict, match="started already"):
        rollout.wish(people.start, "bo")


# --- cancel ------------------------------------------------------------------------------------


def test_cancel_asks_the_agents_to_stop_and_waits_for_their_answer():
    rollout = a_rollout(a_step(2))

    rollout.wish(people.cancel, "bo")

    assert rollout.state == "running"
    assert [it.reason for it in rollout.cancels] == ["cancelled by bo", "cancelled by bo"]
    assert rollout.waits() == ["cancelled by bo; waits for n1, n2 to stop"]


def test_only_when_all_agents_answered_it_says_cancelled():
    rollout = a_rollout(a_step(2))
    rollout.wish(people.cancel, "bo")

    rollout.finish("n1", outcome="cancelled")
    assert rollout.state == "running"
    rollout.finish("n2", outcome="cancelled")
    assert rollout.state == "cancelled"


def test_a_target_that_finished_before_the_stop_reached_it_has_succeeded():
    rollout = a_rollout()
    rollout.wish(people.cancel, "bo")

    rollout.finish("n1")

    assert rollout.states() == ["success", "skipped", "skipped"]
    assert rollout.state == "cancelled"
    assert rollout.version_on("n1") == "v2"


def test_each_order_is_asked_to_stop_once():
    rollout = a_rollout()
    rollout.wish(people.cancel, "bo")
    rollout.wait(5)

    assert len(rollout.cancels) == 1


def test_a_cancelled_deployment_says_what_it_left():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.wish(people.cancel, "bo")
    rollout.finish(outcome="cancelled")

    assert rollout.deployment.error_message == "cancelled by bo; left as it is: n1, n2 changed"


def test_cancel_with_rollback_goes_back():
    rollout = a_rollout(a_step(1))
    rollout.finish("n1")
    rollout.wish(people.cancel, "bo", rollback=True)
    rollout.finish(outcome="cancelled")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert rollout.version_on("n1") == rollout.version_on("n2") == "v1"


def test_cancel_with_rollback_and_nothing_changed_is_just_cancelled():
    rollout = a_rollout(tasks=(a_task_request("a"),))
    rollout.wish(people.cancel, "bo", rollback=True)
    rollout.finish(outcome="cancelled")

    assert rollout.state == "cancelled"


@pytest.mark.parametrize("request_", [{"started": False}, {"manual_approval": True}])
def test_before_it_began_it_is_cancelled_at_once(request_):
    rollout = a_rollout(**request_)

    rollout.wish(people.cancel, "bo")

    assert rollout.state == "cancelled"
    assert {it.state for it in rollout.deployment.tasks} == {"cancelled"}
    assert set(rollout.states()) == {"skipped"}


def test_in_the_queue_it_is_cancelled_at_once():
    rollout = a_rollout(granted=False)

    rollout.wish(people.cancel, "bo")

    assert rollout.state == "cancelled"


def test_cancelling_twice_is_refused():
    rollout = a_rollout()
    rollout.wish(people.cancel, "bo")

    with pytest.raises(Conflict, match="stopping already: cancelled by bo"):
        rollout.wish(people.cancel, "cy")


def test_while_it_goes_back_it_cannot_be_cancelled():
    rollout = a_rollout()
    rollout.fail("n1")

    with pytest.raises(Conflict, match="going back"):
        rollout.wish(people.cancel, "bo")


def test_a_cancel_after_a_failure_stops_waiting_for_the_others():
    rollout = a_rollout(a_step(2, back=True))
    rollout.fail("n1")

    rollout.wish(people.cancel, "bo")
    assert rollout.cancels[0].reason == "cancelled by bo"
    rollout.finish("n2", outcome="cancelled")
    rollout.run()

    assert rollout.state == "rolled_back"


def test_an_approval_is_withdrawn_by_a_cancel():
    rollout = a_rollout(a_step(1, approval=True))
    rollout.finish()
    rollout.finish()
    rollout.finish()
    rollout.wish(people.cancel, "bo")

    assert rollout.deployment.gates[0].state == "withdrawn"
    assert rollout.state == "cancelled"


def test_a_comment_is_kept_with_the_reason():
    rollout = a_rollout(started=False)
    rollout.wish(people.cancel, "bo", comment="wrong version")

    assert rollout.deployment.error_message == "cancelled by bo: wrong version"


# --- pause -------------------------------------------------------------------------------------


def test_paused_targets_under_way_go_on():
    rollout = a_rollout(a_step(2))
    rollout.wish(people.pause, "bo")

    rollout.finish("n1")

    assert rollout.busy() == ["n2"]
    assert rollout.cancels == []
    assert rollout.waits()[-1] == "paused by bo: nothing new starts until it is resumed"


def test_paused_before_the_start_it_does_not_queue():
    rollout = a_rollout(started=False)
    rollout.wish(people.pause, "bo")
    rollout.wish(people.start, "bo")

    assert rollout.state == "pending"
    assert rollout.waits() == ["paused by bo"]
    assert not rollout.last.wants_admission


def test_pausing_twice_and_resuming_twice_are_refused():
    rollout = a_rollout()
    rollout.wish(people.pause, "bo")
    with pytest.raises(Conflict, match="paused already, by bo"):
        rollout.wish(people.pause, "cy")
    rollout.wish(people.resume, "cy")
    with pytest.raises(Conflict, match="not paused"):
        rollout.wish(people.resume, "cy")


def test_a_pause_keeps_a_ready_task_from_starting():
    tasks = (a_task_request("a"), a_task_request("b", after=["a"]))
    rollout = a_rollout(tasks=tasks)
    rollout.wish(people.pause, "bo")

    rollout.finish()

    assert rollout.task("b").state == "pending"
    assert rollout.task("b").reason == "paused by bo"


def test_a_failure_ends_the_pause():
    rollout = a_rollout()
    rollout.wish(people.pause, "bo")

    rollout.fail("n1")

    assert rollout.deployment.paused_at is None
    assert rollout.busy() == ["n1"]


def test_while_it_goes_back_it_cannot_be_paused():
    rollout = a_rollout()
    rollout.fail("n1")

    with pytest.raises(Conflict, match="going back"):
        rollout.wish(people.pause, "bo")


# --- rollback by hand --------------------------------------------------------------------------


def test_a_rollback_stops_what_is_under_way_and_goes_back():
    rollout = a_rollout(a_step(1))
    rollout.finish("n1")
    rollout.wish(people.rollback, "bo")
    assert rollout.cancels[0].reason == "rollback asked for by bo"
    rollout.finish("n2", outcome="cancelled")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert {rollout.version_on(f"n{it}") for it in (1, 2, 3)} == {"v1"}


def test_before_anything_began_a_rollback_is_refused():
    rollout = a_rollout(granted=False)

    with pytest.raises(Conflict, match="cancel it instead"):
        rollout.wish(people.rollback, "bo")


def test_a_rollback_while_it_goes_back_is_refused():
    rollout = a_rollout()
    rollout.fail("n1")

    with pytest.raises(Conflict, match="going back already"):
        rollout.wish(people.rollback, "bo")


def test_a_rollback_after_a_cancel_is_refused():
    rollout = a_rollout()
    rollout.wish(people.cancel, "bo")

    with pytest.raises(Conflict, match="stopping already"):
        rollout.wish(people.rollback, "cy")


def test_a_rollback_during_an_approval_goes_back():
    rollout = a_rollout(a_step(1, canary="0.1", approval=True), a_step(0))
    rollout.finish("n1")

    rollout.wish(people.rollback, "bo")
    rollout.run()

    assert rollout.state == "rolled_back"


# --- what has ended has ended ------------------------------------------------------------------

WISHES = {
    "start": lambda d, now: people.start(d, "bo", now=now),
    "confirm": lambda d, now: people.confirm(d, "bo", now=now),
    "reject": lambda d, now: people.reject(d, "bo", now=now),
    "pause": lambda d, now: people.pause(d, "bo", now=now),
    "resume": lambda d, now: people.resume(d, "bo", now=now),
    "cancel": lambda d, now: people.cancel(d, "bo", now=now),
    "rollback": lambda d, now: people.rollback(d, "bo", now=now),
    "retry": lambda d, now: people_targets.retry_failed(d, "bo", now=now),
    "skip": lambda d, now: people_targets.skip_task(d, "web-deploy", "bo", now=now),
    "ignore": lambda d, now: people_targets.ignore_target(d, "t1", "bo", now=now),
}


@pytest.mark.parametrize("wish", WISHES)
def test_nothing_can_be_wished_for_a_finished_deployment(wish):
    rollout = a_rollout()
    rollout.run()
    assert rollout.state == "success"

    with pytest.raises(Conflict, match="It has ended \\(success\\)"):
        WISHES[wish](rollout.deployment, rollout.now)


@pytest.mark.parametrize("wish", WISHES)
def test_every_wish_names_who_wished(wish):
    rollout = a_rollout(started=False)
    try:
        decision = WISHES[wish](rollout.deployment, rollout.now)
    except (Conflict, NotFound):
        return
    assert decision.notices[-1].by == "bo"
    assert decision.next.revision == rollout.deployment.revision + 1
    assert not decision.orders
    assert not decision.cancels


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cancel", "rollback"),
        ("rollback", "cancel"),
        ("cancel", "pause"),
        ("rollback", "pause"),
        ("cancel", "retry"),
        ("rollback", "retry"),
        ("cancel", "skip"),
        ("cancel", "ignore"),
    ],
)
def test_of_two_contradicting_wishes_exactly_one_wins(first, second):
    rollout = a_rollout()
    won = WISHES[first](rollout.deployment, rollout.now).next

    with pytest.raises(Conflict):
        WISHES[second](won, rollout.now)
