"""Conditions: a task whose condition is not met is skipped, and says why."""

import pytest

from boreas.domain.errors import InvalidInput
from boreas.domain.workflow import Stage
from boreas.engine import conditions, people_targets
from boreas.engine.edit import add_task, update_task
from boreas.engine.preview import plan_preview
from boreas.testing.builders import a_ground, a_task_request, agents_of, an_application
from boreas.testing.rollout import Rollout

FACTS = {
    "version.name": "v2",
    "version.git.ref": "main",
    "environment.name": "prod-eu",
    "environment.kind": "prod",
    "variables": {"RUN_TESTS": "yes"},
    "applications": {"web": {"application.name": "web", "application.driver": "script"}},
}


def a_site(**facts):
    web = an_application(hosts=2)
    ground = a_ground(web)
    return type(ground)(
        applications=ground.applications, targets=ground.targets, facts={**FACTS, **facts}
    )


def a_rollout(*tasks, **request):
    return Rollout(a_site(), tasks=tasks, **request)


def a_task(id, when, **more):
    return a_task_request(id, when=conditions.bound(when), **more)


def test_a_task_whose_condition_holds_is_done():
    rollout = a_rollout(a_task("migrate", 'environment.kind == "prod"'))

    assert rollout.busy() == ["n1"]


def test_a_task_whose_condition_does_not_hold_is_skipped_with_the_facts_it_asked_for():
    rollout = a_rollout(
        a_task("seed", 'environment.kind in ["dev", "test"]'), a_task_request("other")
    )

    seed = rollout.task("seed")
    assert (seed.state, seed.skipped) == ("success", True)
    assert seed.reason == (
        'skipped: the condition `environment.kind in ["dev", "test"]` is not met '
        '(environment.kind is "prod")'
    )
    assert rollout.states("seed") == ["skipped"]


def test_what_waits_for_a_skipped_task_goes_on():
    rollout = a_rollout(
        a_task("seed", 'environment.kind == "dev"'), a_task_request("use", after=["seed"])
    )
    rollout.run()

    assert rollout.state == "success"
    assert rollout.states("use") == ["success"]


def test_that_it_will_be_skipped_is_said_before_it_begins():
    rollout = a_rollout(a_task("seed", 'variables.RUN_TESTS == "no"'), started=False)

    seed = rollout.task("seed")
    assert seed.state == "blocked"
    assert seed.reason.startswith("will be skipped: ")
    assert '(variables.RUN_TESTS is "yes")' in seed.reason


def test_results_of_earlier_tasks_are_asked_for_when_they_are_there():
    rollout = a_rollout(
        a_task_request("test"),
        a_task("report", "tasks.test.exit_code == 0", after=["test"]),
    )
    assert rollout.task("report").reason is None

    rollout.finish(exit_code=0)

    assert [it.task_id for it in rollout.in_flight()] == ["report"]


def test_what_a_command_handed_on_can_be_asked_for():
    when = 'tasks["unit-test"].outputs.COVERAGE == "81"'
    rollout = a_rollout(a_task_request("unit-test"), a_task("ship", when, after=["unit-test"]))

    rollout.finish(exit_code=0, result={"outputs": {"COVERAGE": "80"}})

    assert rollout.task("ship").skipped
    assert 'outputs.COVERAGE is "80"' in rollout.task("ship").reason


def test_the_result_of_a_skipped_task_is_skipped():
    rollout = a_rollout(
        a_task("a", "false"), a_task("b", 'tasks.a.status == "skipped"', after=["a"])
    )

    assert [it.task_id for it in rollout.in_flight()] == ["b"]


def test_a_name_may_stand_for_several_tasks_and_means_the_worst_of_them():
    when = conditions.bound('tasks.build.status == "success"', {"build": ("b1", "b2")})
    rollout = a_rollout(
        a_task_request("b1"),
        a_task("b2", "false"),
        a_task_request("next", when=when, after=["b1", "b2"]),
    )
    rollout.finish(exit_code=0)

    assert [it.task_id for it in rollout.in_flight()] == ["next"]


def test_conditions_of_an_application_s_task_see_the_application():
    rollout = a_rollout(a_task("build", 'application.driver == "script"', app="web"))

    assert rollout.busy() == ["n1"]


def test_a_condition_that_cannot_be_answered_at_creation_is_refused():
    with pytest.raises(InvalidInput) as refused:
        a_rollout(a_task("seed", 'variables.SEED == "yes"'))

    assert refused.value.fields[0].field == "tasks[0].when"
    assert "there is no `SEED`" in refused.value.message


def test_a_condition_that_cannot_be_answered_at_run_time_stops_the_deployment_and_says_so():
    when = 'tasks.test.outputs.COVER == "81"'
    rollout = a_rollout(a_task_request("test"), a_task("ship", when, after=["test"]))
    rollout.finish(exit_code=0)

    assert rollout.state == "failed"
    assert rollout.task("ship").state == "failed"
    assert "there is no `COVER`" in rollout.deployment.error_message


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("environment.kind = 'x'", "is no CEL condition"),
        ("enviroment.kind == 'x'", "undeclared reference to 'enviroment.kind'"),
        ("environment.kind == 1", "no matching overload"),
        ("environment.kind", "answers with a text"),
        ("tasks.all(t, true)", "asks for `tasks` as a whole"),
        ("application.name == 'web'", "undeclared reference"),
        ("true || " * 300 + "true", "at most 2000"),
        ("(" * 200 + "true" + ")" * 200, "recursion limit"),
        ("tasks.nobody.status == ''", "which is not before 'late'"),
    ],
)
def test_a_text_that_is_no_condition_is_refused(when, said):
    with pytest.raises(InvalidInput) as refused:
        a_rollout(a_task_request("early"), a_task("late", when, after=["early"]))

    assert said in refused.value.fields[0].problem


def test_the_result_of_a_task_that_may_still_run_cannot_be_asked_for():
    with pytest.raises(InvalidInput, match="asks for the result of 'a', which is not before 'b'"):
        a_rollout(a_task_request("a"), a_task("b", 'tasks.a.status == "success"'))


def test_an_evaluation_that_takes_too_long_is_given_up():
    many = "[" + ",".join("1" for _ in range(60)) + "]"
    nested = f"{many}.all(a, {many}.all(b, {many}.all(c, a + b + c > 0)))"
    with pytest.raises(InvalidInput, match="budget"):
        a_rollout(a_task("slow", nested))


def test_strings_and_comments_ask_for_nothing():
    when = conditions.bound('"tasks.a" != \'tasks["b"]\' // tasks.c')

    assert when.results == {}


def test_a_task_in_a_stage_with_approval_is_skipped_without_asking():
    rollout = a_rollout(
        a_task_request("first", stage=0),
        a_task("second", "false", stage=1),
        stages=(Stage(name="a"), Stage(name="b", approval=True)),
    )
    rollout.run()

    assert rollout.state == "success"
    assert rollout.deployment.gates == ()


def test_an_added_condition_finds_the_facts_of_now():
    rollout = a_rollout(a_task_request("a"), started=False)
    rollout.wish(
        add_task,
        a_task("b", 'environment.kind == "dev"'),
        "bo",
        ground=rollout.ground,
        expected=1,
    )

    assert rollout.task("b").reason.startswith("will be skipped")


def test_an_edited_condition_is_asked_anew():
    rollout = a_rollout(a_task("a", 'environment.kind == "dev"'), started=False)
    rollout.wish(
        update_task,
        a_task("a", 'trigger.by == "alice"'),
        "bo",
        ground=rollout.ground,
        expected=1,
    )

    assert rollout.task("a").reason is None


def test_a_person_s_skip_is_a_skip_for_later_conditions():
    rollout = a_rollout(
        a_task_request("a"),
        a_task_request("b", after=["a"]),
        a_task("c", 'tasks.b.status == "skipped"', after=["b"]),
    )
    rollout.wish(people_targets.skip_task, "b", "bo")
    rollout.finish()

    assert [it.task_id for it in rollout.in_flight()] == ["c"]


def test_a_plan_lists_no_change_and_no_approval_of_what_will_be_skipped():
    rollout = a_rollout(
        a_task_request("a", stage=0),
        a_task("deploy", 'environment.kind == "dev"', type="deploy", app="web", stage=1),
        stages=(Stage(name="A"), Stage(name="B", approval=True)),
        started=False,
    )
    plan = plan_preview(rollout.deployment, rollout.ground, agents_of(rollout.ground))

    assert plan.changes == ()
    assert plan.approvals == ()


def test_a_condition_sees_the_variables_that_its_command_finds():
    rollout = a_rollout(
        a_task("b", 'variables.RUN_TESTS == "no"', payload={"variables": {"RUN_TESTS": "no"}})
    )

    assert [it.task_id for it in rollout.in_flight()] == ["b"]
