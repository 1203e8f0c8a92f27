"""From a template to tasks: matrix, needs, stages, and what is said where it cannot be."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boreas.domain.errors import InvalidInput
from boreas.domain.workflows.reading import read_template
from boreas.engine.compiling import Named, compile_template
from boreas.engine.graph import graph_of
from boreas.engine.passing import ABOUT_THE_FLEET

WEB, API = Named(id="app-1", name="web"), Named(id="app-2", name="api")


def all_before(graph, task_id):
    """Everything that is over when this task's turn comes."""
    seen, open_ = set(), [task_id]
    while open_:
        new = set(graph.before(open_.pop())) - seen
        seen |= new
        open_ += new
    return seen


def compiled(text, *applications, **more):
    return compile_template(read_template(text), applications or (WEB, API), **more)


def by_id(found):
    return {it.id: it for it in found.tasks}


def problem(text, *applications, **more):
    with pytest.raises(InvalidInput) as refused:
        compiled(text, *applications, **more)
    return refused.value.parameters["problems"][0]


def test_a_matrix_makes_one_task_for_each_application():
    found = compiled(
        "tasks: [{id: deploy, name: 'Put out {application}', type: deploy, "
        "matrix: {applications: all}}]"
    )

    assert [(it.id, it.name, it.application_id) for it in found.tasks] == [
        ("deploy-web", "Put out web", "app-1"),
        ("deploy-api", "Put out api", "app-2"),
    ]


def test_a_name_without_the_application_gets_it():
    found = compiled("tasks: [{id: t, name: Test, command: x, matrix: {applications: [api]}}]")

    assert [it.name for it in found.tasks] == ["Test (api)"]


def test_one_matrix_behind_another_goes_application_by_application():
    found = compiled(
        "tasks:\n- {id: build, command: x, matrix: {applications: all}}\n"
        "- {id: deploy, type: deploy, matrix: {applications: all}, needs: build}\n"
        "- {id: tell, command: x, needs: [deploy]}"
    )

    assert by_id(found)["deploy-api"].block_by == ("build-api",)
    assert by_id(found)["tell"].block_by == ("deploy-web", "deploy-api")


def test_a_task_of_an_application_that_is_not_deployed_is_left_out_and_bridged():
    found = compiled(
        "tasks:\n- {id: a, command: x}\n- {id: b, command: x, application: api, needs: a}\n"
        "- {id: c, command: x, needs: b}",
        WEB,
        known=("api",),
    )

    assert by_id(found)["c"].block_by == ("a",)
    assert found.notes == ("b is left out: api is not deployed",)


def test_variables_are_given_to_every_task_and_the_nearest_wins():
    found = compiled(
        "variables: {A: template, B: template, C: template}\n"
        "tasks: [{id: t, command: x, variables: {C: task}}]",
        variables={"B": "given", "C": "given"},
    )

    assert found.tasks[0].payload["variables"] == {"A": "template", "B": "given", "C": "task"}


def test_everything_that_a_task_may_say_arrives():
    found = compiled(
        """
tasks:
  - id: t
    type: test
    application: web
    command: make test
    scope: each_target
    files: [a.tar]
    confirm: true
    timeout: 1.5h
    retry: {count: 2, delay: 10s}
  - id: u
    command: x
    needs: t
    continue_on: [failure, cancelled]
    retry: 1
    payload: {own: [1, {two: 2}]}
"""
    )
    one, two = found.tasks

    assert one.payload == {"command": "make test", "scope": "each_target", "files": ["a.tar"]}
    assert (one.require_confirm, one.timeout_seconds) == (True, 5400.0)
    assert (one.retry.count, one.retry.delay) == (2, 10.0)
    assert two.continue_on == ("failure", "cancelled")
    assert (two.retry.count, two.retry.delay) == (1, 0.0)
    assert two.payload["own"] == [1, {"two": 2}]


def test_what_a_stage_says_holds_for_its_tasks():
    found = compiled(
        """
stages:
  - {name: A, tasks: [{id: a, command: x}]}
  - name: B
    approval: true
    when: environment.kind == "prod"
    continue_on: failure
    tasks:
      - {id: b, command: x, when: tasks.a.exit_code == 0}
      - {id: c, command: x, continue_on: cancelled}
"""
    )
    tasks = by_id(found)

    assert [(it.name, it.approval, it.continue_on) for it in found.stages] == [
        ("A", False, ()),
        ("B", True, ("failure",)),
    ]
    assert tasks["b"].when.text == '(environment.kind == "prod") && (tasks.a.exit_code == 0)'
    assert tasks["b"].when.results == {"a": ("a",)}
    assert tasks["b"].continue_on == ()
    assert tasks["c"].continue_on == ("cancelled",)
    assert tasks["c"].stage == 1


def test_a_matrix_task_asks_for_the_result_of_its_own_application():
    found = compiled(
        "tasks:\n- {id: build, command: x, matrix: {applications: all}}\n"
        "- {id: push, command: x, matrix: {applications: all}, needs: build, "
        "when: tasks.build.exit_code == 0}\n"
        "- {id: all, command: x, needs: build, when: tasks.build.exit_code == 0}"
    )

    assert by_id(found)["push-api"].when.results == {"build": ("build-api",)}
    assert by_id(found)["all"].when.results == {"build": ("build-web", "build-api")}


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (
            "tasks:\n- id: a\n  command: x\n  when: enviroment.kind == 'prod'",
            (4, 19),
            "undeclared reference",
        ),
        ('tasks:\n- {id: a, command: x, when: "1 +"}', (2, 33), "Syntax error"),
        (
            "tasks:\n- id: a\n  command: x\n  when: |\n    true\n    && 1",
            (6, 1),
            "no matching overload",
        ),
        (
            "tasks:\n- {id: a, command: x}\n- {id: b, command: x, when: tasks.a.exit_code == 0}",
            (3, 29),
            "asks for the result of a, which may not be over by then",
        ),
        (
            "tasks:\n- {id: a, command: x, when: tasks.z.exit_code == 0}",
            (2, 29),
            "asks for the result of 'z', which is not there",
        ),
        ("tasks:\n- {id: a, type: deploy, application: shop}", (2, 38), "no application here"),
        (
            "tasks:\n- {id: a, type: deploy, application: web}\n"
            "- {id: b, type: build, command: x, application: web, needs: a}",
            (2, 3),
            "is part of a cycle",
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_place(text, place, said):
    found = problem(text)

    assert said in found["problem"]
    assert (found["line"], found["column"]) == place
    assert found["mend"]


def test_a_continue_on_that_does_nothing_is_noted():
    found = compiled(
        "tasks:\n- {id: d, type: deploy, application: web}\n"
        "- {id: t, command: x, needs: d, continue_on: failure}"
    )

    assert found.notes == (
        "continue_on of t has no effect: a failed deploy or health check always stops",
    )


def test_five_thousand_tasks_are_accepted_quickly():
    lines = ["stages:"]
    for stage in range(10):
        lines += [f"- name: S{stage}", "  tasks:"]
        lines += [
            f"  - {{id: t{stage}-{n}, command: 'echo {n}', when: 'environment.kind != \"{n}\"'}}"
            for n in range(500)
        ]
    text = "\n".join(lines)
    begun = time.process_time()

    found = compiled(text)

    assert len(found.tasks) == 5000
    assert time.process_time() - begun < 5.0


@st.composite
def templates(draw):
    """A valid template: stages or none, needs that point backwards, a matrix here and there."""
    count = draw(st.integers(1, 12))
    stages = draw(st.integers(0, 4))
    stage_of = sorted(draw(st.integers(0, stages - 1)) for _ in range(count)) if stages else []
    tasks = []
    for n in range(count):
        task = {"id": f"t{n}", "command": "x"}
        kind = draw(st.sampled_from(["custom", "custom", "deploy", "test"]))
        task["type"] = kind
        if kind == "deploy" or draw(st.booleans()):
            task |= draw(
                st.sampled_from(
                    [
                        {"application": "web"},
                        {"matrix": {"applications": "all"}},
                        {"matrix": {"applications": ["api"]}},
                    ]
                )
            )
        # Inside one stage the types of an application have an order of their own.
        earlier = [
            m for m in range(n) if not stages or stage_of[m] < stage_of[n] or kind == "custom"
        ]
        if not stages and kind != "custom":
            earlier = [m for m in earlier if tasks[m]["type"] == "custom"]
        if earlier:
            chosen = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True))
            task["needs"] = [f"t{m}" for m in chosen]
        tasks.append(task)
    if not stages:
        return {"tasks": tasks}
    used = sorted(set(stage_of))
    return {
        "stages": [
            {
                "name": f"s{s}",
                "tasks": [t for t, its in zip(tasks, stage_of, strict=True) if its == s],
            }
            for s in used
        ]
    }


@given(document=templates())
@settings(max_examples=200, deadline=None)
def test_a_valid_template_has_no_cycle_and_its_stages_keep_their_order(document):
    import json

    try:
        found = compiled(json.dumps(document))
    except InvalidInput as refused:
        # Types of one application inside one stage may contradict what `needs` says.
        assert "is part of a cycle" in refused.message  # noqa: PT017
        return

    graph = graph_of(found.tasks)
    assert len(graph.order) == len(found.tasks)
    for task in found.tasks:
        before = all_before(graph, task.id)
        assert set(task.block_by) <= before
        for other in found.tasks:
            if task.stage is not None and other.stage is not None and other.stage < task.stage:
                assert other.id in before


def test_what_is_about_the_fleet_is_deploying_and_checking():
    assert {it.value for it in ABOUT_THE_FLEET} == {"deploy", "health_check"}
