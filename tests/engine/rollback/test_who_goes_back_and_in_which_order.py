"""With AutoRollback every changed target goes back to its own last good version."""

from dataclasses import replace

import pytest

from boreas.domain.fleet import LiveRecord
from boreas.domain.workflow import TaskType
from boreas.testing.builders import (
    NOON,
    a_ground,
    a_health_check,
    a_release,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=4, live="v1", check=None, **request):
    web = an_application(hosts=hosts, health_check=check)
    ground = a_ground(web, live=live_with(live, web) if live else {})
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1, back=True),))), **request)


def waves(rollout) -> list[list[str]]:
    """Names of the targets that went back, as they were sent together."""
    found: dict[tuple, list[str]] = {}
    for it in rollout.executions(kind="revert"):
        if it.ordered_at is not None:
            found.setdefault(it.batch, []).append(rollout.name(it))
    return [found[it] for it in sorted(found)]


def test_every_changed_target_is_back_on_its_version():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.finish("n2")
    rollout.fail("n3")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert [rollout.version_on(f"n{it}") for it in (1, 2, 3, 4)] == ["v1"] * 4


def test_the_failed_target_goes_back_too():
    rollout = a_rollout()

    rollout.fail("n1")

    assert rollout.busy() == ["n1"]
    assert rollout.in_flight()[0].kind == "revert"


def test_unchanged_targets_are_left_alone():
    rollout = a_rollout()
    rollout.fail("n1")
    rollout.run()

    assert [it.target_id for it in rollout.executions(kind="revert")] == ["t1"]


def test_the_newest_batch_goes_first():
    rollout = a_rollout(a_step(2, back=True), hosts=6)
    rollout.finish("n1", "n2")
    rollout.finish("n3", "n4")
    rollout.fail("n5")
    rollout.finish("n6")
    rollout.run()

    assert waves(rollout) == [["n5", "n6"], ["n3", "n4"], ["n1", "n2"]]


def test_a_wave_waits_for_the_one_before():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.fail("n2")

    assert rollout.busy() == ["n2"]
    rollout.finish("n2")
    assert rollout.busy() == ["n1"]


def test_applications_go_back_in_reverse_order_of_the_dag():
    web, api = an_application("web", hosts=1), an_application("api", hosts=1)
    ground = a_ground(web, api, live=live_with("v1", web, api))
    strategy = a_strategy(a_step(1, back=True))
    rollout = Rollout(ground, strategy=strategy, must_in_order=("web", "api"))
    rollout.finish()
    rollout.fail()

    assert [it.application_id for it in rollout.in_flight()] == ["api"]
    rollout.finish()
    assert [it.application_id for it in rollout.in_flight()] == ["web"]


def test_a_failure_of_one_application_takes_the_others_back():
    web, api = an_application("web", hosts=2), an_application("api", hosts=2)
    ground = a_ground(web, api, live=live_with("v1", web, api))
    strategy = a_strategy(a_step(2, back=True))
    rollout = Rollout(ground, strategy=strategy, must_in_order=("web", "api"))
    rollout.finish()
    rollout.fail("n1")
    rollout.finish("n2")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert {rollout.version_on(n, a) for n in ("n1", "n2") for a in ("web", "api")} == {"v1"}
    assert {rollout.task(f"{it}-deploy").state for it in ("web", "api")} == {"rolled_back"}


def test_each_target_goes_back_to_its_own_version():
    web = an_application(hosts=2)
    live = live_with("v1", web)
    live[web.id, web.targets[1].id] = LiveRecord(
        application_id=web.id,
        target_id=web.targets[1].id,
        release_id="web@v0",
        deployment_id="older",
        since=NOON,
    )
    rollout = Rollout(a_ground(web, live=live), strategy=a_strategy(a_step(2, back=True)))
    rollout.fail()
    rollout.run()

    assert (rollout.version_on("n1"), rollout.version_on("n2")) == ("v1", "v0")


def test_what_was_last_proven_is_restored_not_what_was_last_tried():
    web = an_application(hosts=1)
    live = {
        (web.id, web.targets[0].id): LiveRecord(
            application_id=web.id,
            target_id=web.targets[0].id,
            release_id="web@v1",
            uncertain_release_id="web@broken",
            deployment_id="failed-one",
            since=NOON,
        )
    }
    rollout = Rollout(a_ground(web, live=live), strategy=a_strategy(a_step(1, back=True)))
    rollout.fail()

    assert rollout.in_flight()[0].release_id == "web@v1"


def test_after_an_earlier_failure_the_newest_attempt_is_the_uncertain_one():
    web = an_application(hosts=1)
    live = live_with("v1", web)
    place = (web.id, web.targets[0].id)
    live[place] = replace(live[place], uncertain_release_id="web@broken")
    rollout = Rollout(a_ground(web, live=live), strategy=a_strategy(a_step(1, back=True)))
    assert rollout.live[place].uncertain_release_id == "web@v2"

    rollout.fail()

    assert rollout.live[place].uncertain_release_id == "web@v2"
    rollout.finish()
    assert rollout.live[place].uncertain_release_id is None


def test_while_going_back_it_is_running_in_phase_rollback():
    rollout = a_rollout()

    rollout.fail("n1")

    assert rollout.state == "running"
    assert rollout.deployment.phase == "rollback"


def test_the_whole_way_back_is_visible_at_once():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.finish("n2")

    rollout.fail("n3")

    assert [it.state for it in rollout.executions(kind="revert")] == [
        "ordered",
        "pending",
        "pending",
    ]


def test_going_back_takes_a_new_fencing_number():
    rollout = a_rollout()
    before = rollout.deployment.fence

    rollout.fail("n1")

    assert rollout.deployment.fence > before


def test_it_waits_for_what_is_under_way_before_it_turns_round():
    rollout = a_rollout(a_step(2, back=True))

    rollout.fail("n1")

    assert rollout.executions(kind="revert") == []
    rollout.finish("n2")
    assert rollout.busy() == ["n1", "n2"]


def test_intervals_and_approvals_are_skipped_on_the_way_back():
    rollout = a_rollout(a_step(1, back=True, interval=600, canary="0.5"), a_step(1, back=True))
    rollout.finish("n1")
    rollout.wait(600)
    rollout.fail("n2")

    rollout.finish("n2")
    assert rollout.busy() == ["n1"]


def test_a_way_back_is_checked_for_health():
    rollout = a_rollout()

    rollout.fail("n1")

    assert [it.value for it in rollout.in_flight()[0].verbs] == ["revert", "check"]


def test_the_health_deadline_of_the_earlier_version_holds_on_the_way_back():
    check = a_health_check(healthy_deadline=30)
    rollout = a_rollout(check=check)
    rollout.fail("n1")
    rollout.check_begins("n1")

    rollout.wait(30)

    assert rollout.cancels[-1].reason == "not healthy after 30 s"


def test_a_rollback_never_triggers_a_rollback():
    rollout = a_rollout()
    rollout.fail("n1")

    rollout.fail("n1", reason="disk full")

    assert rollout.state == "failed"
    assert rollout.deployment.error_message == (
        "Deploy web failed on n1: exit code 1; going back failed on n1: disk full"
    )


def test_a_failed_way_back_does_not_stop_the_others():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.fail("n2")
    rollout.fail("n2")

    assert rollout.busy() == ["n1"]
    rollout.finish("n1")
    assert rollout.state == "failed"
    assert rollout.version_on("n1") == "v1"
    assert rollout.live["web", "t2"].uncertain_release_id == "web@v2"


def test_a_target_without_an_earlier_version_is_left_and_says_so():
    web = an_application(hosts=2)
    live = live_with("v1", web)
    del live[web.id, web.targets[0].id]
    rollout = Rollout(a_ground(web, live=live), strategy=a_strategy(a_step(2, back=True)))
    rollout.finish("n1")
    rollout.fail("n2")
    rollout.run()

    left = rollout.executions(kind="revert", target_id="t1")[0]
    assert (left.state, left.reason) == (
        "skipped",
        "no earlier version to go back to: left as it is",
    )
    assert rollout.state == "rolled_back"
    assert rollout.deployment.error_message.endswith(
        "no earlier version to go back to on n1: left as it is"
    )


def test_if_nothing_at_all_can_go_back_it_has_failed():
    rollout = a_rollout(live=None, hosts=1)

    rollout.fail("n1")

    assert rollout.state == "failed"
    assert "no earlier version" in rollout.deployment.error_message


def test_only_the_step_that_failed_decides_whether_to_go_back():
    steps = (a_step(1, canary="0.25", back=True), a_step(0))
    rollout = a_rollout(*steps)
    rollout.finish("n1")
    rollout.fail("n2")
    rollout.finish()

    assert rollout.state == "failed"
    assert rollout.executions(kind="revert") == []


def test_the_batch_size_is_respected_on_the_way_back():
    rollout = a_rollout(a_step(2, back=True), hosts=4)
    rollout.finish("n1", "n2")
    rollout.fail()
    most = 0
    while rollout.state == "running":
        most = max(most, len(rollout.busy()))
        rollout.finish(rollout.busy()[0])

    assert most == 2
    assert rollout.state == "rolled_back"


def test_tasks_that_changed_nothing_keep_their_result():
    tasks = (
        a_task_request("b", "build", app="web"),
        a_task_request("d", "deploy", app="web"),
    )
    rollout = a_rollout(tasks=tasks)
    rollout.finish()
    rollout.fail()
    rollout.run()

    assert rollout.task("b").state == "success"
    assert rollout.task("d").state == "rolled_back"


def test_a_place_changed_by_two_tasks_goes_back_once():
    tasks = (
        a_task_request("d1", "deploy", app="web"),
        a_task_request("d2", "deploy", app="web", after=["d1"]),
    )
    rollout = a_rollout(hosts=1, tasks=tasks)
    rollout.finish()
    rollout.fail()
    rollout.run()

    reverts = rollout.executions(kind="revert")
    assert [it.release_id for it in reverts] == ["web@v1"]
    assert rollout.state == "rolled_back"


def test_two_deploy_tasks_remember_what_was_before_the_deployment():
    tasks = (
        a_task_request("d1", "deploy", app="web"),
        a_task_request("d2", "deploy", app="web", after=["d1"]),
    )
    rollout = a_rollout(hosts=1, tasks=tasks)
    rollout.finish()

    assert rollout.in_flight()[0].previous_release_id == "web@v1"


def test_locks_are_kept_until_everything_is_back():
    rollout = a_rollout()

    rollout.fail("n1")
    assert not rollout.last.release_locks
    rollout.finish("n1")

    assert "ended" in {it.code for it in rollout.notices}


@pytest.mark.parametrize(
    ("hosts", "fails_at"), [(hosts, at) for hosts in (1, 2, 3, 5) for at in range(1, hosts + 1)]
)
def test_wherever_it_fails_the_fleet_is_never_left_mixed(hosts, fails_at):
    rollout = a_rollout(hosts=hosts)
    for number in range(1, fails_at):
        rollout.finish(f"n{number}")
    rollout.fail(f"n{fails_at}")
    rollout.run()

    versions = {rollout.version_on(f"n{it}") for it in range(1, hosts + 1)}
    assert versions == {"v1"}
    assert all(it.uncertain_release_id is None for it in rollout.live.values())


def test_a_release_without_check_still_goes_back():
    assert a_release().health_check is None
    rollout = a_rollout()
    rollout.fail("n1")
    rollout.run()

    assert rollout.state == "rolled_back"
    assert rollout.task("web-deploy").type is TaskType.DEPLOY
