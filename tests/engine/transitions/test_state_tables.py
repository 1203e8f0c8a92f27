"""One table for each kind of state; terminal states are final; diagrams are drawn from them."""

from pathlib import Path

import pytest

from boreas.domain.deployments import (
    TERMINAL,
    TERMINAL_EXECUTIONS,
    DeploymentState,
    ExecutionState,
    TaskState,
)
from boreas.engine import transitions
from boreas.engine.transitions import (
    NEXT_OF_DEPLOYMENT,
    NEXT_OF_EXECUTION,
    NEXT_OF_TASK,
    IllegalTransition,
    mermaid,
)

TABLES = {
    "deployment": (NEXT_OF_DEPLOYMENT, DeploymentState),
    "task": (NEXT_OF_TASK, TaskState),
    "execution": (NEXT_OF_EXECUTION, ExecutionState),
}
DOCS = Path(__file__).parents[3] / "docs"
PAGE = """# State machines

Drawn from the tables in `boreas.engine.transitions`, which every change of state passes. A state
that leads to the end is final. A task's may still be left: a retry in place reopens it, and going
back takes it back. After a change of a table: `pytest tests/engine/transitions --update-golden`.
"""


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_in_its_table(name):
    table, states = TABLES[name]

    assert set(table) == set(states)
    assert all(it in table for followers in table.values() for it in followers)


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached(name):
    table, states = TABLES[name]
    reached = {next(iter(table))}
    while more := {it for state in reached for it in table[state]} - reached:
        reached |= more

    assert reached == set(states)


@pytest.mark.parametrize("name", TABLES)
def test_no_state_follows_itself(name):
    table, _ = TABLES[name]

    assert all(state not in followers for state, followers in table.items())


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_final_state_of_a_deployment_is_never_left(state):
    assert NEXT_OF_DEPLOYMENT[state] == frozenset()


@pytest.mark.parametrize("state", sorted(TERMINAL_EXECUTIONS))
def test_a_final_state_of_an_execution_is_never_left(state):
    assert NEXT_OF_EXECUTION[state] == frozenset()


@pytest.mark.parametrize("state", sorted(set(DeploymentState) - TERMINAL))
def test_every_other_state_has_a_way_to_failed_and_cancelled(state):
    assert {DeploymentState.FAILED, DeploymentState.CANCELLED} <= NEXT_OF_DEPLOYMENT[state]


def test_only_what_ran_can_be_rolled_back():
    sources = {
        state for state, them in NEXT_OF_DEPLOYMENT.items() if DeploymentState.ROLLED_BACK in them
    }

    assert sources == {DeploymentState.RUNNING, DeploymentState.WAITING_CONFIRM}


def test_nothing_goes_from_sent_back_to_planned():
    assert all(ExecutionState.PENDING not in them for them in NEXT_OF_EXECUTION.values())


def test_staying_is_always_allowed():
    transitions.require_deployment(DeploymentState.SUCCESS, DeploymentState.SUCCESS)
    transitions.require_task(TaskState.RUNNING, TaskState.RUNNING)
    transitions.require_execution(ExecutionState.LOST, ExecutionState.LOST)


@pytest.mark.parametrize(
    ("require", "old", "new"),
    [
        (transitions.require_deployment, DeploymentState.SUCCESS, DeploymentState.RUNNING),
        (transitions.require_deployment, DeploymentState.PENDING, DeploymentState.SUCCESS),
        (transitions.require_task, TaskState.ROLLED_BACK, TaskState.RUNNING),
        (transitions.require_task, TaskState.RUNNING, TaskState.PENDING),
        (transitions.require_execution, ExecutionState.SUCCESS, ExecutionState.FAILED),
        (transitions.require_execution, ExecutionState.PENDING, ExecutionState.SUCCESS),
    ],
)
def test_a_way_that_the_table_does_not_have_is_a_bug(require, old, new):
    with pytest.raises(IllegalTransition, match=f"{old} -> {new}"):
        require(old, new)


@pytest.mark.parametrize("name", TABLES)
def test_the_diagram_shows_every_transition(name):
    table, _ = TABLES[name]
    text = mermaid(table)

    assert text.count("-->") == 1 + sum(len(them) or 1 for them in table.values())


def test_the_docs_show_the_tables_as_they_are(golden):
    parts = [
        f"\n## {name.capitalize()}\n\n```mermaid\n{mermaid(table)}```\n"
        for name, (table, _) in TABLES.items()
    ]

    golden("state-machines.md", PAGE + "".join(parts), folder=DOCS)
