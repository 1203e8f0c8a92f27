"""The state tables: which state may follow which, and nothing else does.

Every change of state in the engine passes `require_*`; the diagrams in the docs are drawn from the
same tables by `mermaid`. Terminal states of a deployment and of an execution have no way out. A
task's terminal states may still be reopened by a retry in place, or end in `rolled_back`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from boreas.domain.deployments import DeploymentState as D
from boreas.domain.deployments import ExecutionState as E
from boreas.domain.deployments import TaskState as T

_S = TypeVar("_S", bound=StrEnum)

NEXT_OF_DEPLOYMENT: Final[Mapping[D, frozenset[D]]] = {
    D.PENDING: frozenset({D.WAITING_CONFIRM, D.RUNNING, D.FAILED, D.CANCELLED}),
    # Back to pending: the approval before the first task was given, the locks are still taken.
    D.WAITING_CONFIRM: frozenset(
        {D.PENDING, D.RUNNING, D.SUCCESS, D.FAILED, D.CANCELLED, D.ROLLED_BACK}
    ),
    D.RUNNING: frozenset({D.WAITING_CONFIRM, D.SUCCESS, D.FAILED, D.CANCELLED, D.ROLLED_BACK}),
    D.SUCCESS: frozenset(),
    D.FAILED: frozenset(),
    D.CANCELLED: frozenset(),
    D.ROLLED_BACK: frozenset(),
}

NEXT_OF_TASK: Final[Mapping[T, frozenset[T]]] = {
    T.BLOCKED: frozenset({T.PENDING, T.WAITING_CONFIRM, T.RUNNING, T.SUCCESS, T.CANCELLED}),
    T.PENDING: frozenset(
        {T.BLOCKED, T.WAITING_CONFIRM, T.RUNNING, T.SUCCESS, T.FAILED, T.CANCELLED}
    ),
    T.WAITING_CONFIRM: frozenset(
        {T.BLOCKED, T.PENDING, T.RUNNING, T.SUCCESS, T.FAILED, T.CANCELLED}
    ),
    T.RUNNING: frozenset({T.SUCCESS, T.FAILED, T.CANCELLED, T.ROLLED_BACK}),
    # Reopened by a retry of single targets, or taken back with the whole deployment.
    T.SUCCESS: frozenset({T.RUNNING, T.ROLLED_BACK}),
    T.FAILED: frozenset({T.BLOCKED, T.PENDING, T.RUNNING, T.ROLLED_BACK}),
    T.CANCELLED: frozenset({T.BLOCKED, T.PENDING, T.RUNNING, T.ROLLED_BACK}),
    T.ROLLED_BACK: frozenset(),
}

NEXT_OF_EXECUTION: Final[Mapping[E, frozenset[E]]] = {
    E.PENDING: frozenset({E.ORDERED, E.FAILED, E.SKIPPED}),
    E.ORDERED: frozenset({E.RUNNING, E.SUCCESS, E.FAILED, E.CANCELLED, E.LOST}),
    E.RUNNING: frozenset({E.SUCCESS, E.FAILED, E.CANCELLED, E.LOST}),
    E.SUCCESS: frozenset(),
    E.FAILED: frozenset(),
    E.CANCELLED: frozenset(),
    E.LOST: frozenset(),
    E.SKIPPED: frozenset(),
}


class IllegalTransition(AssertionError):
    """The engine tried to leave a state by a way that the table does not have: a bug in it."""


def require_deployment(old: D, new: D) -> None:
    """Raise `IllegalTransition` unless the table lets a deployment go from `old` to `new`."""
    _require(NEXT_OF_DEPLOYMENT, old, new)


def require_task(old: T, new: T) -> None:
    """Raise `IllegalTransition` unless the table lets a task go from `old` to `new`."""
    _require(NEXT_OF_TASK, old, new)


def require_execution(old: E, new: E) -> None:
    """Raise `IllegalTransition` unless the table lets an execution go from `old` to `new`."""
    _require(NEXT_OF_EXECUTION, old, new)


def _require(table: Mapping[_S, frozenset[_S]], old: _S, new: _S) -> None:
    if old is not new and new not in table[old]:
        raise IllegalTransition(f"{type(old).__name__}: {old} -> {new}")


def mermaid(table: Mapping[_S, frozenset[_S]]) -> str:
    """The table as a Mermaid state diagram, for the docs; final states point at the end."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state, followers in table.items():
        if not followers:
            lines.append(f"    {state} --> [*]")
        lines += [f"    {state} --> {follower}" for follower in sorted(followers)]
    return "\n".join(lines) + "\n"
