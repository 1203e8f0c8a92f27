"""The graph can be edited while it waits; never started tasks; a stale write is refused."""

from dataclasses import replace

import pytest

from boreas.domain.deployments import ApprovalPolicy
from boreas.domain.errors import Conflict, InvalidInput, NotFound
from boreas.engine import edit, people
from boreas.testing.builders import (
    a_ground,
    a_step,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout

CHAIN = (a_task_request("a"), a_task_request("b", after=["a"]))


def a_rollout(tasks=CHAIN, **request):
    web = an_application(hosts=3)
    request.setdefault("started", False)
    strategy = request.pop("strategy", a_strategy(a_step(1, back=True)))
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, tasks=tasks, strategy=strategy, **request)


def change(rollout, *requests, expected=None):
    return rollout.wish(
        lambda d, now: edit.edit_workflow(
            d,
            requests,
            "al",
            ground=rollout.ground,
            expected=expected or d.workflow_revision,
            now=now,
        )
    )


def ids(rollout):
    return [it.id for it in rollout.deployment.tasks]


def test_a_task_is_added_with_its_executions():
    rollout = a_rollout()

    change(rollout, *CHAIN, a_task_request("c", after=["b"]))

    assert ids(rollout) == ["a", "b", "c"]
    assert rollout.executions("c")[0].state == "pending"
    assert rollout.executions("c")[0].id == "d1.3"


def test_a_removed_task_takes_its_executions_with_it():
    rollout = a_rollout()

    change(rollout, CHAIN[0])

    assert ids(rollout) == ["a"]
    assert rollout.executions("b") == []


def test_an_edge_can_be_drawn_and_taken_away():
    rollout = a_rollout()

    change(rollout, CHAIN[0], replace(CHAIN[1], block_by=()))

    assert rollout.task("b").block_by == ()


def test_unchanged_tasks_stay_the_same_objects_with_the_same_rows():
    rollout = a_rollout()
    before = rollout.task("a"), rollout.executions("a")[0]

    change(rollout, CHAIN[0], replace(CHAIN[1], name="other"))

    assert rollout.task("a") is before[0]
    assert rollout.executions("a")[0] is before[1]


def test_a_changed_task_is_laid_out_anew():
    rollout = a_rollout()
    wide = a_task_request("b", after=["a"], payload={"scope": "each_target"})

    change(rollout, CHAIN[0], wide)

    assert len(rollout.executions("b")) == 3


def test_the_workflow_revision_grows_with_each_edit():
    rollout = a_rollout()

    change(rollout, CHAIN[0])
    change(rollout, *CHAIN)

    assert rollout.deployment.workflow_revision == 3


def test_an_edit_that_changes_nothing_is_nothing():
    rollout = a_rollout()
    before = rollout.deployment

    change(rollout, *CHAIN)

    assert rollout.deployment is before


def test_a_new_order_of_the_list_is_an_edit():
    rollout = a_rollout()

    change(rollout, CHAIN[1], CHAIN[0])

    assert ids(rollout) == ["b", "a"]


def test_a_stale_write_is_refused_and_names_both_revisions():
    rollout = a_rollout()
    change(rollout, CHAIN[0])

    with pytest.raises(Conflict, match="revision 2, yours is 1") as caught:
        change(rollout, *CHAIN, expected=1)
    assert caught.value.parameters == {"revision": 2}


def test_of_two_editors_exactly_one_wins():
    rollout = a_rollout()
    seen = rollout.deployment.workflow_revision
    change(rollout, CHAIN[0], expected=seen)

    with pytest.raises(Conflict):
        change(rollout, CHAIN[1], expected=seen)


def test_a_cycle_is_refused():
    rollout = a_rollout()

    with pytest.raises(InvalidInput, match="wait for each other"):
        change(rollout, replace(CHAIN[0], block_by=("b",)), CHAIN[1])


def test_an_unknown_reference_is_refused():
    with pytest.raises(InvalidInput, match="'ghost'"):
        change(a_rollout(), a_task_request("a", after=["ghost"]))


def test_a_command_is_still_needed():
    with pytest.raises(InvalidInput, match="command"):
        change(a_rollout(), *CHAIN, a_task_request("c", command=" "))


def test_while_it_runs_the_graph_is_fixed():
    rollout = a_rollout(started=True)

    with pytest.raises(Conflict, match="It is running"):
        change(rollout, CHAIN[0])


def test_after_the_end_the_graph_is_fixed():
    rollout = a_rollout(started=True)
    rollout.run()

    with pytest.raises(Conflict, match="It is success"):
        change(rollout, CHAIN[0])


def waiting():
    """Task `a` is done, `b` waits for a person, `c` waits for `b`."""
    tasks = (CHAIN[0], replace(CHAIN[1], require_confirm=True), a_task_request("c", after=["b"]))
    rollout = a_rollout(tasks, started=True)
    rollout.finish()
    assert rollout.state == "waiting_confirm"
    return rollout, tasks


def test_while_it_waits_for_confirmation_later_tasks_can_be_edited():
    rollout, (a, b, c) = waiting()

    change(rollout, a, b, replace(c, name="later"), a_task_request("d", after=["c"]))

    assert rollout.task("c").name == "later"
    assert rollout.state == "waiting_confirm"


def test_a_started_task_cannot_be_changed():
    rollout, (a, b, c) = waiting()

    with pytest.raises(Conflict, match=r"a \(a\) has been started"):
        change(rollout, replace(a, payload={"command": "false"}), b, c)


def test_a_started_task_cannot_be_removed():
    rollout, (_, b, c) = waiting()

    with pytest.raises(Conflict, match="started"):
        change(rollout, replace(b, block_by=()), c)


def test_no_edge_can_be_drawn_into_a_started_task():
    rollout, (a, b, c) = waiting()

    with pytest.raises(Conflict, match="started"):
        change(rollout, replace(a, block_by=("new",)), b, c, a_task_request("new"))


def test_the_order_of_types_cannot_slip_a_task_in_before_a_started_one():
    tasks = (
        a_task_request("d", "deploy", app="web"),
        a_task_request("ask", require_confirm=True),
    )
    rollout = a_rollout(tasks, started=True)

    with pytest.raises(Conflict, match="build would come before d"):
        change(rollout, *tasks, a_task_request("build", "build", app="web"))


def test_the_task_that_waits_can_be_removed_and_its_question_with_it():
    rollout, (a, _, c) = waiting()

    change(rollout, a, replace(c, block_by=("a",)))

    assert rollout.deployment.gates == ()
    assert rollout.state == "running"
    assert rollout.task("c").state == "running"


def test_the_task_that_waits_can_stop_asking():
    rollout, (a, b, c) = waiting()

    change(rollout, a, replace(b, require_confirm=False), c)

    assert rollout.task("b").state == "running"
    assert rollout.deployment.held_since is None


def test_an_approval_given_before_the_edit_is_asked_for_again():
    rollout = a_rollout(started=True, manual_approval=True, granted=False)
    rollout.wish(people.confirm, "bo")
    assert rollout.state == "pending"

    change(rollout, CHAIN[0], replace(CHAIN[1], payload={"command": "rm -rf build"}))

    assert rollout.state == "waiting_confirm"


def test_half_an_approval_is_asked_for_again_too():
    policy = ApprovalPolicy(required=2)
    rollout = a_rollout(started=True, manual_approval=True, approval_policy=policy)
    rollout.wish(people.confirm, "bo")

    change(rollout, CHAIN[0])

    assert rollout.deployment.gates[0].answers == ()


def test_batches_are_planned_again():
    tasks = (a_task_request("d", "deploy", app="web"),)
    rollout = a_rollout(tasks)

    change(rollout, replace(tasks[0], name="again"))

    assert len(rollout.task("d").batches) == 3
    assert [it.ordinal for it in rollout.executions()] == [4, 5, 6]


def test_the_notice_says_what_was_done():
    rollout = a_rollout()

    change(rollout, replace(CHAIN[0], name="first"), a_task_request("c"))

    text = next(it.text for it in rollout.notices if it.code == "edited")
    assert text == "workflow edited by al: added c; changed a; removed b"


def one(act, rollout, *args, expected=1):
    return rollout.wish(
        lambda d, now: act(d, *args, "al", ground=rollout.ground, expected=expected, now=now)
    )


def test_one_task_can_be_added():
    rollout = a_rollout()
    one(edit.add_task, rollout, a_task_request("c"))
    assert ids(rollout) == ["a", "b", "c"]


def test_an_id_can_be_added_once():
    with pytest.raises(Conflict, match="'a' already"):
        one(edit.add_task, a_rollout(), a_task_request("a"))


def test_one_task_can_be_changed():
    rollout = a_rollout()
    one(edit.update_task, rollout, replace(CHAIN[1], timeout_seconds=5))
    assert rollout.task("b").timeout_seconds == 5


def test_one_task_can_be_deleted():
    rollout = a_rollout()
    one(edit.delete_task, rollout, "b")
    assert ids(rollout) == ["a"]


def test_a_task_that_another_waits_for_cannot_be_deleted():
    with pytest.raises(InvalidInput, match="'b' waits for 'a'"):
        one(edit.delete_task, a_rollout(), "a")


@pytest.mark.parametrize("act", [edit.update_task, edit.delete_task])
def test_a_task_that_is_not_there_cannot_be_edited(act):
    what = "ghost" if act is edit.delete_task else a_task_request("ghost")
    with pytest.raises(NotFound):
        one(act, a_rollout(), what)


def test_a_request_made_of_a_task_is_what_was_asked_for():
    rollout = a_rollout()
    assert tuple(map(edit.request_of, rollout.deployment.tasks)) == CHAIN


def test_an_edited_deployment_runs_to_its_end():
    rollout, (a, b, c) = waiting()
    change(rollout, a, b, c, a_task_request("d", after=["c"]), a_task_request("e", after=["d"]))
    rollout.wish(people.confirm, "bo")
    rollout.run()

    assert rollout.state == "success"
    assert {it.state for it in rollout.deployment.tasks} == {"success"}
