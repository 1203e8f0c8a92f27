"""Every mistake in a template is told with its line, its column and what would be right."""

import pytest

from boreas.domain.errors import InvalidInput
from boreas.domain.workflows.reading import read_template


def problems(text):
    with pytest.raises(InvalidInput) as refused:
        read_template(text)
    return refused.value.parameters["problems"]


def only(text):
    (found,) = problems(text)
    return found


def at(problem):
    return problem["line"], problem["column"]


@pytest.mark.parametrize(
    ("text", "place", "said", "mend"),
    [
        ("", (1, 1), "is empty", "write `stages:` or `tasks:`"),
        ("tasks: []", (1, 8), "is empty", "write at least one task"),
        ("just words", (1, 1), "is a text, not a mapping", "write `key: value` lines"),
        ("description: x", (1, 1), "has neither `stages` nor `tasks`", "write one of them"),
        (
            "tasks:\n  - id: a\n    comand: x\n    command: y",
            (3, 5),
            "is not known",
            "did you mean `command`?",
        ),
        (
            "tasks:\n  - id: a\n    command: x\n  - id: a\n    command: y",
            (4, 9),
            "is 'a' like that of the task in line 2",
            "choose another",
        ),
        (
            "tasks:\n  - {id: a, command: x, needs: [b]}",
            (2, 32),
            "names 'b', which is not there",
            "write the id of a task of this template",
        ),
        (
            "tasks:\n  - {id: a, command: x, needs: a}",
            (2, 32),
            "names the task itself",
            "leave it out",
        ),
        (
            "tasks:\n  - {id: a}",
            (2, 5),
            "is missing in a custom task",
            "write the bash text to run",
        ),
        (
            "tasks:\n  - {id: a, type: deploi, application: w}",
            (2, 19),
            "is 'deploi', which is unknown",
            "did you mean `deploy`?",
        ),
        (
            "tasks:\n  - id: a\n    type: deploy",
            (3, 11),
            "is a deploy task without an application",
            "write `application: NAME`, or `matrix: {applications: all}` for each of them",
        ),
        (
            "tasks:\n  - {id: a, command: x, timeout: 10 minutes}",
            (2, 34),
            "is '10 minutes', not a length of time",
            "write seconds or `90s`, `10m`, `2h`, from 1 s to 365 days",
        ),
        (
            "tasks:\n  - {id: a, command: x, retry: {count: 21}}",
            (2, 40),
            "is '21'",
            "write a whole number from 0 to 20",
        ),
        (
            "tasks:\n  - {id: a, command: x, continue_on: success}",
            (2, 38),
            "is 'success'",
            "write `failure` or `cancelled`",
        ),
        (
            "tasks:\n  - {id: a, command: x, confirm: yes}",
            (2, 34),
            "is a text",
            "write `true` or `false`",
        ),
        (
            "stages:\n- name: A\n  tasks: [{id: a, command: x, needs: [b]}]\n"
            "- name: B\n  tasks: [{id: b, command: x}]",
            (3, 38),
            "names 'b' of a later stage",
            "stages run in their order; put the task into that stage or a later one",
        ),
        (
            "tasks:\n- {id: a, command: x, needs: [b]}\n- {id: b, command: x, needs: [a]}",
            (2, 30),
            "make a cycle: a needs b needs a",
            "leave one of them out",
        ),
        ("tasks:\n\t- id: a", (2, 1), "is not YAML", "move lines in by spaces"),
        ("tasks: [", (2, 1), "is not YAML", "look at quotes"),
        ("tasks: 1\ntasks: 2", (2, 1), "has the key `tasks` twice, first in line 1", "leave one"),
        ("a: 1\n---\nb: 2", (2, 1), "is a second document", "write one document"),
        ("tasks: !!python/object:os.system x", (1, 8), "has the tag", "leave it out"),
        ("tasks: *nothing", (1, 8), "which names nothing", "further up"),
        ("tasks:\n- <<: {id: a}", (2, 3), "merges another mapping", "write its keys out"),
        (
            "variables: {1A: x}\ntasks: [{id: a, command: x}]",
            (1, 17),
            "is no name for a variable",
            "write letters",
        ),
    ],
)
def test_it_names_the_place_and_the_mend(text, place, said, mend):
    found = problems(text)[0]

    assert said in found["problem"]
    assert mend in found["mend"]
    assert at(found) == place


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text():
    text = "tasks:\n- {id: a, command: x, nam: y}\n- {command: x}\n- {id: b, type: x, command: z}"

    assert [it["line"] for it in problems(text)] == [2, 3, 4]


def test_the_path_of_the_key_is_told():
    text = "stages:\n- name: A\n  tasks:\n  - {id: a, command: x, retry: {times: 2}}"

    assert {it["path"] for it in problems(text)} == {
        "stages[0].tasks[0].retry.times",
        "stages[0].tasks[0].retry.count",
    }


def test_no_and_on_are_texts_as_in_yaml_1_2():
    template = read_template("variables: {COUNTRY: no, SWITCH: on}\ntasks: [{id: a, command: x}]")

    assert template.variables == {"COUNTRY": "no", "SWITCH": "on"}


def test_aliases_may_be_used():
    template = read_template(
        "tasks:\n- {id: a, command: x, retry: &r {count: 2, delay: 1m}}\n"
        "- {id: b, command: x, retry: *r}"
    )

    assert template.tasks[0].retry == template.tasks[1].retry


def test_a_bomb_of_aliases_is_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert "has more than 150000 values" in only("\n".join(lines))["problem"]


def test_an_alias_of_itself_is_refused():
    assert "names nothing finished" in only("a: &a [*a]")["problem"]


def test_depth_is_bounded():
    assert "nested deeper than 20" in only("a: " + "[" * 5000 + "]" * 5000)["problem"]


def test_length_is_bounded():
    assert "at most 1000000" in only("x" * 1_000_001)["problem"]


def test_a_flood_of_mistakes_is_not_read_to_its_end():
    assert len(problems("tasks:\n" + "- {id: a}\n" * 9000)) == 50


def test_too_many_tasks_are_refused_before_they_are_read():
    assert "are 10001, at most 10000 are taken" in only("tasks:\n" + "- x\n" * 10_001)["problem"]
