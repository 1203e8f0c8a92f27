"""Where a task's own command runs, as its payload says."""

from collections.abc import Sequence

from boreas.domain.errors import InvalidInput, invalid
from boreas.domain.fleet import Target
from boreas.domain.workflow import Scope, TaskRequest


def command_of(wanted: TaskRequest) -> str | None:
    """The bash text of the task, or None; blank counts as none."""
    command = wanted.payload.get("command")
    return command if isinstance(command, str) and command.strip() else None


def targets_of_command(
    wanted: TaskRequest,
    of_application: Sequence[Target],
    of_environment: Sequence[Target],
    field: str,
) -> tuple[Target, ...]:
    """`once` (default): the named or the first target. `each_target`: all of them.

    A task without an application looks at the whole environment.
    """
    candidates = tuple(of_application or of_environment)
    if not candidates:
        raise InvalidInput("this environment has no targets; add a target first")
    scope = _scope(wanted, field)
    named = wanted.payload.get("target")
    if scope is Scope.EACH_TARGET:
        if named is not None:
            raise invalid(f"{field}.target", "a task on each target cannot name one")
        return candidates
    if named is None:
        return candidates[:1]
    found = next((it for it in of_environment or candidates if named in (it.id, it.name)), None)
    if found is None:
        raise invalid(f"{field}.target", f"no target {named!r} in this environment")
    return (found,)


def _scope(wanted: TaskRequest, field: str) -> Scope:
    value = wanted.payload.get("scope", Scope.ONCE)
    try:
        return Scope(value)
    except ValueError:
        choices = " or ".join(it.value for it in Scope)
        raise invalid(f"{field}.scope", f"{value!r} is unknown", f"use {choices}") from None
