"""What a deployment looks like: the tree, the grid, the waits. Drawn from values, no terminal."""

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from boreas.cli.watching.edges import children, predecessors
from boreas.cli.watching.model import DeploymentView
from boreas.cli.watching.screen import draw

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def task(name: str, kind: str, app: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": name, "name": name, "type": kind, "status": "blocked", "appId": app, **fields}


def view(**fields: Any) -> DeploymentView:
    return DeploymentView.of(
        {
            "id": "dep_1",
            "number": 4,
            "status": "running",
            "version": "v2",
            "applications": ["web"],
            "environments": ["prod"],
            "progress": 50,
            "startedAt": "2026-01-01T00:00:00Z",
            **fields,
        }
    )


def drawn(found: DeploymentView, *log: str) -> str:
    screen = io.StringIO()
    Console(file=screen, width=100).print(draw(found, log, NOW))
    return screen.getvalue()


def test_tasks_of_one_application_hang_under_each_other_by_type() -> None:
    found = view(tasks=[task("check", "health_check", "a"), task("put", "deploy", "a")])

    assert predecessors(found) == {"check": ("put",), "put": ()}


def test_the_next_application_hangs_under_the_last_task_of_the_one_before() -> None:
    found = view(
        mustInOrder=["a", "b"],
        tasks=[
            task("a-put", "deploy", "a"),
            task("a-check", "health_check", "a"),
            task("b-put", "deploy", "b"),
            task("b-build", "build", "b"),
        ],
    )

    tree = {parent: [each.id for each in below] for parent, below in children(found).items()}

    assert tree == {None: ["a-put", "b-build"], "a-put": ["a-check"], "a-check": ["b-put"]}


def test_asked_for_edges_count_and_unknown_ones_do_not() -> None:
    found = view(tasks=[task("x", "custom"), task("y", "custom", blockBy="x, gone")])

    assert predecessors(found)["y"] == ("x",)


def test_a_cycle_in_a_broken_answer_is_drawn_anyway() -> None:
    found = view(tasks=[task("x", "custom", blockBy="y"), task("y", "custom", blockBy="x")])

    assert "#4" in drawn(found)


def test_the_screen_tells_state_batches_waits_and_time_left() -> None:
    executions = [
        {"id": "1", "target": "one", "state": "success", "batch": 1},
        {"id": "2", "target": "two", "state": "running", "batch": 2, "attempt": 2},
    ]
    found = view(
        waitingFor=["two must be healthy for 5 s"],
        tasks=[task("web-deploy", "deploy", "a", executions=executions)],
    )

    text = drawn(found, "one | hello")

    assert "#4 v2 of web → prod  ● running  50 %  1:00, about 1:00 left" in text
    assert "batch 1   ✔ one" in text
    assert "batch 2   ● two×2" in text
    assert "why: two must be healthy for 5 s" in text
    assert "one | hello" in text


def test_an_approval_shows_the_command_that_answers_it() -> None:
    text = drawn(view(status="waiting_confirm"))

    assert "boreas confirm dep_1" in text
    assert "left" not in text


def test_going_back_is_a_row_of_its_own() -> None:
    executions = [
        {"id": "1", "target": "one", "state": "failed", "batch": 1, "phase": "forward"},
        {"id": "2", "target": "one", "state": "success", "batch": 1, "phase": "rollback"},
    ]
    text = drawn(view(phase="rollback", tasks=[task("t", "deploy", "a", executions=executions)]))

    assert "going back" in text
    assert "↩ one" in text


def test_a_thousand_targets_are_counted() -> None:
    executions = [
        {"id": str(n), "target": f"t{n}", "state": "success" if n % 2 else "pending"}
        for n in range(1000)
    ]

    text = drawn(view(tasks=[task("t", "deploy", "a", executions=executions)]))

    assert "✔ 500 success" in text
    assert "t999" not in text


def test_escape_sequences_in_names_and_lines_are_dropped() -> None:
    text = drawn(view(tasks=[task("evil\x1b[2J", "deploy")]), "\x1b]0;title\x07line")

    assert "\x1b[2J" not in text
    assert "\x1b]0" not in text
