"""A bulkhead keeps a fault inside, tells the log why, and lets cancelling through."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from boreas.kit.bulkhead import Bulkhead
from boreas.kit.tasks import first_error

log = structlog.get_logger(__name__)


def test_a_fault_inside_is_told_with_its_cause() -> None:
    with capture_logs() as entries, Bulkhead(log, "part failed", part=7) as hull:
        raise ZeroDivisionError

    assert isinstance(hull.fault, ZeroDivisionError)
    assert [(it["event"], it["part"], it["log_level"]) for it in entries] == [
        ("part failed", 7, "error")
    ]
    assert entries[0]["exc_info"] is hull.fault


def test_without_a_fault_nothing_is_said() -> None:
    with capture_logs() as entries, Bulkhead(log, "part failed") as hull:
        pass

    assert hull.fault is None
    assert entries == []


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_who_wants_to_end_everything_is_let_through(kind: type[BaseException]) -> None:
    with pytest.raises(kind), Bulkhead(log, "part failed"):
        raise kind


def test_the_first_cause_is_found_however_deep_it_lies() -> None:
    cause = OSError("port taken")
    group = BaseExceptionGroup("outer", [ExceptionGroup("inner", [cause, ValueError()])])

    assert first_error(group) is cause
