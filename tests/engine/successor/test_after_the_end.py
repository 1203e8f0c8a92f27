"""Terminal states are final: retry and rollback of a finished deployment are new deployments."""

from dataclasses import replace

import pytest

from boreas.domain.errors import Conflict
from boreas.domain.fleet import LiveRecord
from boreas.engine import edit, people, people_targets
from boreas.engine.successor import NewDeployment, retry_of, rollback_of
from boreas.testing.builders import (
    NOON,
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
    releases_of,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=3, live="v1", check=None, apps=("web",), **request):
    applications = [an_application(it, hosts=hosts, health_check=check) for it in apps]
    ground = a_ground(*applications, live=live_with(live, *applications) if live else {})
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1),))), **request)


def new_after(rollout, number=2) -> NewDeployment:
    return NewDeployment(
        id=f"d{number}",
        number=number,
        by="bo",
        now=rollout.now,
        live=rollout.live,
        target_names=rollout.snapshot.target_names,
    )


def follow(make, rollout, number=2):
    """The successor, driven in the same world."""
    deployment = make(rollout.deployment, new_after(rollout, number))
    ground = replace(rollout.ground, live=dict(rollout.live))
    follower = Rollout(ground, deployment=deployment)
    releases = {**releases_of(rollout.ground), **releases_of(ground)}
    follower.snapshot = replace(follower.snapshot, releases=releases)
    return follower


def versions(rollout, hosts=3, app="web"):
    return [rollout.version_on(f"n{it}", app) for it in range(1, hosts + 1)]


# --- retry -------------------------------------------------------------------------------------


def failed_half_way():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.fail("n2")
    assert rollout.state == "failed"
    return rollout


def test_a_retry_is_a_new_deployment_linked_to_the_old():
    rollout = failed_half_way()

    again = retry_of(rollout.deployment, new_after(rollout))

    assert (again.id, again.number, again.retry_of) == ("d2", 2, "d1")
    assert (again.origin, again.created_by, again.state) == ("retry", "bo", "pending")
    assert rollout.deployment.state == "failed"


def test_a_retry_runs_only_what_failed():
    again = follow(retry_of, failed_half_way())

    assert again.busy() == ["n2"]
    again.run()
    assert [it.split("#")[1] for it in again.sent] == ["2", "2"]
    assert again.state == "success"
    assert versions(again) == ["v2", "v2", "v2"]


def test_what_succeeded_is_carried_over_as_it_was():
    rollout = failed_half_way()
    was = rollout.executions()[0]

    carried = retry_of(rollout.deployment, new_after(rollout)).executions[0]

    assert carried == replace(was, id="d2.1")


def test_if_the_retry_fails_the_whole_fleet_goes_back():
    rollout = failed_half_way()
    again = retry_of(rollout.deployment, new_after(rollout))
    again = replace(again, strategy=a_strategy(a_step(1, back=True)))
    follower = Rollout(replace(rollout.ground, live=rollout.live), deployment=again)
    follower.fail("n2")
    follower.run()

    assert follower.state == "rolled_back"
    assert versions(follower) == ["v1", "v1", "v1"]


def test_tasks_that_succeeded_say_where():
    tasks = (a_task_request("a"), a_task_request("b", after=["a"]))
    rollout = a_rollout(tasks=tasks)
    rollout.finish()
    rollout.fail()

    again = follow(retry_of, rollout)

    assert again.task("a").state == "success"
    assert again.task("a").reason == "succeeded in #1"
    assert again.task("b").state == "running"


def test_a_retry_of_a_rolled_back_deployment_does_everything_behind_it_again():
    tasks = (
        a_task_request("build", "build", app="web"),
        a_task_request("d", "deploy", app="web"),
        a_task_request("smoke", after=["d"]),
        a_task_request("last", after=["smoke"]),
    )
    rollout = a_rollout(a_step(0, back=True), a_step(0), tasks=tasks)
    rollout.finish()
    rollout.finish()
    rollout.finish()
    rollout.fail()
    rollout.run()
    assert rollout.state == "rolled_back"

    again = follow(retry_of, rollout)

    states = {it.id: it.state.value for it in again.deployment.tasks}
    assert states == {
        "build": "success",
        "d": "running",
        "smoke": "blocked",
        "last": "blocked",
    }
    again.run()
    assert again.state == "success"
    assert versions(again) == ["v2", "v2", "v2"]


@pytest.mark.parametrize("outcome", ["failed", "lost", "cancelled"])
def test_a_target_whose_way_back_failed_may_have_changed_and_is_done_again(outcome):
    rollout = a_rollout(a_step(1, back=True))
    rollout.finish("n1")
    rollout.fail("n2")
    rollout.finish("n2")
    rollout.finish("n1", outcome=outcome)
    assert rollout.state == "failed"

    again = follow(retry_of, rollout)

    assert again.busy() == ["n1"]
    again.run()
    assert versions(again) == ["v2", "v2", "v2"]


def test_a_retry_of_a_cancelled_deployment_goes_on_where_it_was():
    rollout = a_rollout()
    rollout.finish("n1")
    rollout.wish(people.cancel, "bo")
    rollout.finish(outcome="cancelled")

    again = follow(retry_of, rollout)

    assert again.busy() == ["n2"]


def test_tolerated_failures_of_a_success_can_be_tried_again():
    rollout = a_rollout(a_step(0, max_failures=1), a_step(0))
    rollout.fail("n2")
    rollout.finish()
    assert rollout.state == "success"

    again = follow(retry_of, rollout)

    assert again.busy() == ["n2"]


def test_a_deployment_where_nothing_failed_cannot_be_retried():
    rollout = a_rollout()
    rollout.run()

    with pytest.raises(Conflict, match="Nothing of it has failed"):
        retry_of(rollout.deployment, new_after(rollout))


def test_an_approved_step_stays_approved():
    rollout = a_rollout(a_step(1, canary="0.1", approval=True), a_step(1))
    rollout.finish("n1")
    rollout.wish(people.confirm, "bo")
    rollout.fail("n2")

    again = follow(retry_of, rollout)

    assert again.busy() == ["n2"]
    assert again.state == "running"


def later_deployment(rollout, name="t1", version="v3"):
    record = LiveRecord(
        application_id="web",
        target_id=name,
        release_id=f"web@{version}",
        deployment_id="d9",
        since=NOON,
    )
    rollout.live["web", name] = record


def test_a_retry_after_a_later_deployment_is_refused():
    rollout = failed_half_way()
    later_deployment(rollout)

    with pytest.raises(Conflict, match="A later deployment has changed n1"):
        retry_of(rollout.deployment, new_after(rollout))


def test_a_later_attempt_that_failed_there_counts_as_a_change_too():
    rollout = failed_half_way()
    record = rollout.live["web", "t1"]
    rollout.live["web", "t1"] = replace(record, uncertain_release_id="web@v3")

    with pytest.raises(Conflict, match="A later deployment has changed n1"):
        retry_of(rollout.deployment, new_after(rollout))


def test_a_rollback_leaves_alone_what_a_later_attempt_left_uncertain():
    rollout = failed_half_way()
    record = rollout.live["web", "t1"]
    rollout.live["web", "t1"] = replace(record, uncertain_release_id="web@v3")

    back = follow(rollback_of, rollout)

    assert back.busy() == ["n2"]
    assert back.executions(target_id="t1")[0].state == "skipped"


@pytest.mark.parametrize("make", [retry_of, rollback_of])
def test_an_active_deployment_has_no_successor(make):
    rollout = a_rollout()

    with pytest.raises(Conflict, match="It is still running"):
        make(rollout.deployment, new_after(rollout))


# --- rollback ----------------------------------------------------------------------------------


def succeeded(**more):
    rollout = a_rollout(**more)
    rollout.run()
    assert rollout.state == "success"
    return rollout


def test_a_rollback_is_a_new_deployment_linked_to_the_old():
    rollout = succeeded()

    back = rollback_of(rollout.deployment, new_after(rollout))

    assert (back.rollback_of, back.origin, back.state) == ("d1", "rollback", "pending")
    assert [it.name for it in back.tasks] == ["Take back: Deploy web"]
    assert {it.kind for it in back.executions} == {"revert"}


def test_every_target_goes_back_and_it_ends_in_success():
    back = follow(rollback_of, succeeded())
    back.run()

    assert back.state == "success"
    assert versions(back) == ["v1", "v1", "v1"]
    assert {it.state for it in back.deployment.tasks} == {"success"}


def test_newest_batch_first_one_wave_at_a_time():
    back = follow(rollback_of, succeeded())
    order = []
    while back.state == "running":
        order.append(back.busy())
        back.finish()

    assert order == [["n3"], ["n2"], ["n1"]]


def test_applications_go_back_in_reverse_order():
    rollout = succeeded(apps=("web", "api"), must_in_order=("web", "api"), hosts=1)

    back = follow(rollback_of, rollout)

    assert [it.id for it in back.deployment.tasks] == ["api-deploy", "web-deploy"]
    assert [it.application_id for it in back.in_flight()] == ["api"]
    back.finish()
    assert [it.application_id for it in back.in_flight()] == ["web"]


def test_while_it_runs_it_is_in_phase_rollback():
    back = follow(rollback_of, succeeded())

    assert back.deployment.phase == "rollback"
    assert back.state == "running"


def test_it_asks_nobody_and_waits_for_no_interval():
    check = a_health_check()
    rollout = a_rollout(a_step(1, interval=600), check=check)
    rollout.run()
    rollout = replace_approval(rollout)

    back = follow(rollback_of, rollout)
    back.finish()

    assert back.busy() == ["n2"]


def replace_approval(rollout):
    rollout.deployment = replace(rollout.deployment, manual_approval=True)
    return rollout


def test_a_failed_way_back_makes_it_fail_but_stops_nobody():
    back = follow(rollback_of, succeeded())
    back.fail("n3")
    back.run()

    assert back.state == "failed"
    assert versions(back) == ["v1", "v1", "v2"]
    assert "going back failed on n3" in back.deployment.error_message


def test_a_failed_rollback_can_be_retried():
    back = follow(rollback_of, succeeded())
    back.fail("n3")
    back.run()

    again = follow(retry_of, back, 3)
    assert again.busy() == ["n3"]
    again.run()

    assert again.state == "success"
    assert versions(again) == ["v1", "v1", "v1"]


def test_a_failed_deployment_can_be_taken_back_later():
    back = follow(rollback_of, failed_half_way())
    back.run()

    assert back.state == "success"
    assert versions(back) == ["v1", "v1", "v1"]
    assert [it.target_id for it in back.executions()] == ["t2", "t1"]


def test_a_rollback_can_itself_be_taken_back():
    back = follow(rollback_of, succeeded())
    back.run()

    forth = follow(rollback_of, back, 3)
    forth.run()

    assert forth.state == "success"
    assert versions(forth) == ["v2", "v2", "v2"]
    assert [it.name for it in forth.deployment.tasks] == ["Take back: Deploy web"]


def test_a_rolled_back_deployment_has_nothing_to_take_back():
    rollout = a_rollout(a_step(1, back=True))
    rollout.fail("n1")
    rollout.run()

    with pytest.raises(Conflict, match="Nothing of it is live"):
        rollback_of(rollout.deployment, new_after(rollout))


def test_a_first_deployment_has_nowhere_to_go_back_to():
    rollout = succeeded(live=None)

    with pytest.raises(Conflict, match="no earlier version"):
        rollback_of(rollout.deployment, new_after(rollout))


def test_what_a_later_deployment_changed_is_left_as_it_is():
    rollout = succeeded()
    later_deployment(rollout, "t2")

    back = follow(rollback_of, rollout)
    back.run()

    assert back.state == "success"
    assert versions(back) == ["v1", "v3", "v1"]
    left = back.executions(target_id="t2")[0]
    assert left.reason == "changed by a later deployment: left as it is"


def test_if_everything_was_changed_later_there_is_nothing_to_do():
    rollout = succeeded()
    for name in ("t1", "t2", "t3"):
        later_deployment(rollout, name)

    with pytest.raises(Conflict, match="changed by a later deployment"):
        rollback_of(rollout.deployment, new_after(rollout))


def test_targets_that_did_not_go_back_at_first_are_taken_back_by_a_new_rollback():
    rollout = a_rollout(a_step(1, back=True))
    rollout.finish("n1")
    rollout.fail("n2")
    rollout.fail("n2")
    rollout.finish("n1")
    assert rollout.state == "failed"

    back = follow(rollback_of, rollout)

    assert back.busy() == ["n2"]
    back.run()
    assert versions(back) == ["v1", "v1", "v1"]


def test_the_way_back_cannot_be_edited_paused_or_cancelled_half_way():
    back = follow(rollback_of, succeeded())
    for wish in (people.pause, people.cancel, people.rollback):
        with pytest.raises(Conflict):
            back.wish(wish, "bo")
    with pytest.raises(Conflict):
        edit.edit_workflow(back.deployment, (), "bo", ground=back.ground, expected=1, now=NOON)


def test_a_way_back_on_which_every_target_is_ignored_fails_and_says_so():
    back = follow(rollback_of, succeeded(hosts=1))
    back.wish(people_targets.ignore_target, "t1", "bo")
    back.finish(outcome="cancelled")

    assert back.state == "failed"
    assert back.deployment.error_message.startswith("nothing went back")


def test_before_it_began_a_rollback_can_be_cancelled():
    rollout = succeeded()
    deployment = rollback_of(rollout.deployment, new_after(rollout))
    back = Rollout(rollout.ground, deployment=deployment, granted=False)

    back.wish(people.cancel, "bo")

    assert back.state == "cancelled"
