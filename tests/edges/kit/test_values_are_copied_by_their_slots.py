"""`boreas.kit.values.replace` does what `dataclasses.replace` does."""

import dataclasses

import pytest

from boreas.kit.values import replace
from boreas.testing.builders import NOON, a_deployment, a_task_request


@pytest.mark.parametrize("value", [a_deployment(), a_task_request(), a_deployment().executions[0]])
def test_a_copy_is_equal_and_another_object(value):
    copy = replace(value)

    assert copy == value
    assert copy is not value


def test_only_the_named_fields_differ():
    task = a_deployment().tasks[0]

    changed = replace(task, reason="waits", updated_at=NOON)

    assert changed == dataclasses.replace(task, reason="waits", updated_at=NOON)
    assert task.reason is None


def test_a_field_that_is_not_there_is_refused():
    with pytest.raises(KeyError):
        replace(a_task_request(), colour="red")
