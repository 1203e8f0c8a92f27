"""One target fails: what runs finishes, nothing new starts, and everything else says why."""

import pytest

from boreas.testing.builders import (
    a_ground,
    a_health_check,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=4, live=True, check=None, **request):
    web = an_application(hosts=hosts, health_check=check)
    ground = a_ground(web, live=live_with("v1", web) if live else {})
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1),))), **request)


def test_running_targets_of_the_batch_finish():
    rollout = a_rollout(a_step(2))

    rollout.fail("n1")

    assert rollout.busy() == ["n2"]
    assert rollout.state == "running"
    assert rollout.cancels == []


def test_the_wait_for_them_is_said():
    rollout = a_rollout(a_step(2))

    rollout.fail("n1", reason="exit code 7")

    assert rollout.waits() == ["Deploy web failed on n1: exit code 7; waits for n2 to finish"]


def test_nothing_new_starts():
    rollout = a_rollout(a_step(2))

    rollout.fail("n1")
    rollout.finish("n2")

    assert rollout.states() == ["failed", "success", "skipped", "skipped"]
    assert len(rollout.sent) == 2


def test_waiting_targets_say_that_they_were_not_started():
    rollout = a_rollout(a_step(2))

    rollout.fail("n1")

    assert rollout.executions()[3].reason == (
        "not started: stopped after failure on n1: Deploy web failed on n1: exit code 1"
    )


def test_without_going_back_the_deployment_fails_and_the_fleet_stays():
    rollout = a_rollout(a_step(2))

    rollout.finish("n1")
    rollout.fail("n2")

    assert rollout.state == "failed"
    assert rollout.deployment.error_message == (
        "Deploy web failed on n2: exit code 1; left as it is: n1, n2 changed"
    )
    assert rollout.version_on("n1") == "v2"
    assert rollout.live["web", "t2"].uncertain_release_id == "web@v2"


def test_tasks_behind_it_are_cancelled_naming_the_failed_task():
    tasks = (
        a_task_request("d", "deploy", app="web", name="Deploy web"),
        a_task_request("note", after=["d"]),
        a_task_request("later", after=["note"]),
    )
    rollout = a_rollout(a_step(0), tasks=tasks)

    rollout.fail("n1")
    rollout.finish()

    for task_id in ("note", "later"):
        assert rollout.task(task_id).state == "cancelled"
        assert "Deploy web failed on n1" in rollout.task(task_id).reason


def test_other_tasks_under_way_finish_and_keep_their_result():
    tasks = (
        a_task_request("d", "deploy", app="web"),
        a_task_request("side", payload={"target": "n4"}),
    )
    rollout = a_rollout(a_step(1), tasks=tasks)

    rollout.fail("n1")
    assert rollout.busy() == ["n4"]
    rollout.finish("n4")

    assert rollout.task("side").state == "success"
    assert rollout.task("d").state == "failed"
    assert rollout.state == "failed"


def test_a_task_between_two_batches_is_cancelled_when_another_fails():
    web, api = an_application("web", hosts=2), an_application("api", hosts=2)
    rollout = Rollout(a_ground(web, api), strategy=a_strategy(a_step(1, interval=60)))
    rollout.report(rollout.executions("web-deploy")[0], outcome="success")

    rollout.report(rollout.executions("api-deploy")[0], outcome="failed", reason="no")

    assert rollout.task("web-deploy").state == "cancelled"
    assert rollout.task("api-deploy").state == "failed"


@pytest.mark.parametrize("outcome", ["failed", "lost", "refused", "cancelled"])
def test_every_bad_end_is_a_failure(outcome):
    rollout = a_rollout(a_step(1))

    rollout.finish("n1", outcome=outcome)

    assert rollout.state == "failed"


@pytest.mark.parametrize(
    ("tolerance", "failures", "state"),
    [(0, 1, "failed"), (1, 1, "success"), (1, 2, "failed"), (2, 2, "success"), (2, 3, "failed")],
)
def test_max_failures_is_exceeded_not_reached(tolerance, failures, state):
    rollout = a_rollout(a_step(1, max_failures=tolerance), hosts=6)
    for number in range(failures):
        rollout.fail(f"n{number + 1}")
    rollout.run()

    assert rollout.state == state


@pytest.mark.parametrize(
    ("tolerance", "hosts", "failures", "state"),
    [
        ("10%", 10, 1, "success"),
        ("10%", 10, 2, "failed"),
        ("10%", 9, 1, "failed"),
        ("50%", 4, 2, "success"),
        ("50%", 4, 3, "failed"),
    ],
)
def test_max_failures_as_a_percentage_of_all_targets(tolerance, hosts, failures, state):
    rollout = a_rollout(a_step(1, max_failures=tolerance), hosts=hosts)
    for number in range(failures):
        rollout.fail(f"n{number + 1}")
    rollout.run()

    assert rollout.state == state


def test_tolerated_failures_are_named_by_the_task():
    rollout = a_rollout(a_step(0, max_failures=1), a_step(0))
    rollout.fail("n2")
    rollout.finish()

    assert rollout.state == "success"
    assert rollout.task("web-deploy").reason == "n2 failed and was tolerated (maxFailures)"
    assert rollout.deployment.error_message == "n2 failed and was tolerated (maxFailures)"


def test_failures_of_one_batch_may_be_more_than_tolerated_because_they_were_under_way():
    rollout = a_rollout(a_step(4, max_failures=1))

    rollout.fail("n1")
    assert rollout.deployment.stop is None
    rollout.fail("n2")
    assert rollout.deployment.stop is not None
    rollout.fail("n3")
    rollout.finish("n4")

    assert rollout.state == "failed"


def test_a_deployment_where_everything_failed_is_no_success_however_tolerant():
    rollout = a_rollout(a_step(0, max_failures="100%"), hosts=2)

    rollout.fail()

    assert rollout.state == "failed"


def test_a_progress_deadline_of_zero_tolerates_nothing():
    check = a_health_check(progress_deadline=0)
    rollout = a_rollout(a_step(1, max_failures=3), check=check)

    rollout.fail("n1")

    assert rollout.state == "failed"


def test_a_failed_build_changes_nothing_and_fails():
    tasks = (
        a_task_request("b", "build", app="web"),
        a_task_request("d", "deploy", app="web"),
    )
    rollout = a_rollout(a_step(1, back=True), tasks=tasks)

    rollout.fail()

    assert rollout.state == "failed"
    assert rollout.task("d").state == "cancelled"
    assert rollout.version_on("n1") == "v1"


def test_a_failed_custom_task_after_the_deploy_goes_back_as_the_first_step_says():
    tasks = (
        a_task_request("d", "deploy", app="web"),
        a_task_request("smoke", after=["d"]),
    )
    rollout = a_rollout(a_step(0, canary="0.5", back=True), a_step(0), hosts=2, tasks=tasks)
    rollout.finish()
    rollout.finish()

    rollout.fail()
    rollout.run()

    assert rollout.state == "rolled_back"
    assert rollout.version_on("n1") == rollout.version_on("n2") == "v1"


def test_a_tolerated_target_does_not_fail_its_health_check_untolerated():
    check = a_health_check()
    rollout = a_rollout(a_step(4, max_failures=1), check=check)
    rollout.fail("n1")
    rollout.finish()

    rollout.fail("n1")
    rollout.finish()

    assert rollout.state == "success"


def test_the_first_failure_stays_the_reason():
    rollout = a_rollout(a_step(2))

    rollout.fail("n1", reason="first")
    rollout.fail("n2", reason="second")

    assert rollout.deployment.error_message.startswith("Deploy web failed on n1: first")


def test_a_refused_order_left_its_target_untouched():
    rollout = a_rollout(a_step(1))

    rollout.finish("n1", outcome="refused", reason="lower fence")

    assert rollout.live["web", "t1"].uncertain_release_id is None
    assert rollout.version_on("n1") == "v1"
    assert "changed" not in rollout.deployment.error_message
