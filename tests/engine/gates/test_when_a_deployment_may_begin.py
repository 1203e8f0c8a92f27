"""Schedule, manual lock and windows before the start; a window without overrun in the middle."""

from datetime import timedelta

import pytest

from boreas.domain.deployments import ApprovalPolicy
from boreas.domain.errors import Conflict, Forbidden
from boreas.domain.projects import EnvironmentLock
from boreas.domain.windows import Window, WindowKind
from boreas.engine import people
from boreas.engine.snapshot import Rules
from boreas.testing.builders import NOON, a_ground, a_step, a_strategy, an_application, live_with
from boreas.testing.rollout import Rollout

HOUR = timedelta(hours=1)


def a_rollout(rules=None, hosts=3, **request):
    web = an_application(hosts=hosts)
    ground = a_ground(web, live=live_with("v1", web))
    strategy = a_strategy(a_step(1, back=True))
    return Rollout(ground, strategy=strategy, rules=rules or Rules(), **request)


def a_freeze(begin=NOON, end=NOON + HOUR, **changes):
    window = Window(name="fair", kind=WindowKind.FREEZE, starts_at=begin, ends_at=end, **changes)
    return Rules(windows=(window,))


LOCKED = Rules(lock=EnvironmentLock(by="ann", at=NOON, reason="audit of the books"))


# --- a time to begin -----------------------------------------------------------------------------


def test_it_begins_at_the_time_it_was_given():
    rollout = a_rollout(deploy_at=NOON + HOUR)

    assert rollout.waits() == ["is to begin at 2030-01-01 13:00:00 UTC"]
    assert rollout.sent == []

    rollout.wait(3600)
    assert rollout.busy() == ["n1"]


def test_it_is_approved_before_its_time_and_then_begins_by_itself():
    rollout = a_rollout(deploy_at=NOON + HOUR, manual_approval=True)
    assert rollout.state == "waiting_confirm"

    rollout.wish(people.confirm, "bob")
    assert rollout.codes() == {"scheduled"}

    rollout.wait(3600)
    assert rollout.busy() == ["n1"]


def test_what_has_not_begun_by_its_last_moment_is_given_up():
    rollout = a_rollout(expire_at=NOON + HOUR, manual_approval=True)

    rollout.wait(3600)
    assert rollout.state == "cancelled"
    assert rollout.deployment.error_message == "it had not begun by 2030-01-01 13:00:00 UTC"
    assert set(rollout.states()) == {"skipped"}


def test_what_has_begun_in_time_is_not_given_up():
    rollout = a_rollout(expire_at=NOON + HOUR)

    rollout.finish("n1")
    rollout.wait(3600)
    assert rollout.state == "running"


# --- the manual lock -----------------------------------------------------------------------------


def test_a_locked_environment_says_who_and_why():
    rollout = a_rollout(LOCKED)

    assert rollout.waits() == [
        "the environment is locked by ann since 2030-01-01 12:00 UTC: audit of the books"
    ]
    assert rollout.deployment.queued_at is None


def test_unlocked_it_begins():
    rollout = a_rollout(LOCKED)

    rollout.rules = Rules()
    rollout.decide()
    assert rollout.busy() == ["n1"]


def test_a_lock_lets_go_on_what_is_under_way():
    rollout = a_rollout()

    rollout.rules = LOCKED
    rollout.finish("n1")
    assert rollout.busy() == ["n2"]


# --- windows -------------------------------------------------------------------------------------


def test_in_a_freeze_it_waits_and_begins_when_it_is_over():
    rollout = a_rollout(a_freeze())
    assert rollout.waits() == ["frozen by fair until 2030-01-01 13:00 UTC"]

    rollout.wait(3600)
    assert rollout.busy() == ["n1"]


def test_what_cannot_begin_keeps_nobody_waiting_in_the_queue():
    rollout = a_rollout(a_freeze())

    assert rollout.deployment.queued_at is None
    assert not rollout.last.wants_admission


def test_a_person_lets_it_pass_with_a_reason():
    rollout = a_rollout(a_freeze())

    rollout.wish(people.skip_window, "bob", reason="the shop is down")
    assert rollout.busy() == ["n1"]
    assert rollout.deployment.window_skip.reason == "the shop is down"


def test_it_is_passed_once():
    rollout = a_rollout(a_freeze())
    rollout.wish(people.skip_window, "bob", reason="the shop is down")

    with pytest.raises(Conflict, match="bob has let it pass"):
        rollout.wish(people.skip_window, "ann", reason="me too")


def test_a_window_that_nobody_can_pass_says_so():
    rollout = a_rollout(a_freeze(skippable=False))

    rollout.wish(people.skip_window, "bob", reason="please")
    assert rollout.waits() == [
        "frozen by fair until 2030-01-01 13:00 UTC (nobody can pass this window)"
    ]


def test_what_is_under_way_when_a_freeze_begins_may_finish():
    rollout = a_rollout(a_freeze(NOON + HOUR, NOON + 2 * HOUR))

    rollout.wait(3600)
    rollout.finish("n1")
    assert rollout.busy() == ["n2"]


def test_without_overrun_nothing_new_starts_until_the_window_allows_it():
    rollout = a_rollout(a_freeze(NOON + HOUR, NOON + 2 * HOUR, overrun=False))

    rollout.wait(3600)
    rollout.finish("n1")
    assert rollout.busy() == []
    assert "frozen by fair until 2030-01-01 14:00 UTC" in rollout.waits()

    rollout.wait(3600)
    assert rollout.busy() == ["n2"]


def test_time_in_a_freeze_counts_for_no_deadline():
    rollout = a_rollout(a_freeze(NOON + HOUR, NOON + 2 * HOUR, overrun=False))

    rollout.wait(3600)
    rollout.finish("n1")
    rollout.wait(3600)
    assert rollout.deployment.held_seconds == 3600.0
    assert rollout.deployment.held_since is None


def test_a_failure_goes_back_in_the_middle_of_a_freeze():
    rollout = a_rollout(a_freeze(NOON + HOUR, NOON + 9 * HOUR, overrun=False))
    rollout.finish("n1")
    rollout.wait(3600)

    rollout.fail("n2")
    rollout.run()
    assert rollout.state == "rolled_back"
    assert rollout.now < NOON + 2 * HOUR


# --- who may agree -------------------------------------------------------------------------------


def test_only_named_people_and_roles_may_agree():
    policy = ApprovalPolicy(roles=("owner",), users=("carl",))
    rollout = a_rollout(manual_approval=True, approval_policy=policy)

    assert rollout.waits()[0].startswith(
        "waits for approval before the first task by role owner, or carl"
    )
    people.require_approver(rollout.deployment, "carl", "viewer")
    people.require_approver(rollout.deployment, "olga", "owner")
    with pytest.raises(Forbidden, match="Only role owner, or carl may approve here"):
        people.require_approver(rollout.deployment, "mary", "maintainer")


def test_where_nobody_is_named_everybody_who_may_deploy_agrees():
    rollout = a_rollout(manual_approval=True)

    people.require_approver(rollout.deployment, "mary", "developer")
