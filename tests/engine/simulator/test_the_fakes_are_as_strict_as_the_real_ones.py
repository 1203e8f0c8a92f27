"""What stands in for agents and the database obeys the promises of the real ones."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from boreas.domain.deployments import DeploymentState
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.testing.simulate.agents import Inventory, Taken
from boreas.testing.simulate.drive import Killed
from boreas.testing.simulate.shadow import ShadowedLedger
from boreas.testing.simulate.simulation import Simulation
from boreas.testing.simulate.weather import Weather

from .conftest import Installation


def an_order(installation: Installation) -> OutboxRow:
    installation.asks(1, "v1")
    installation.server.round()
    row = installation.wire.to_agent.popleft()
    assert isinstance(row, OutboxRow)
    return row


def test_a_repeated_order_is_answered_with_what_was_reported(installation: Installation) -> None:
    row = an_order(installation)
    installation.agent.receive(row)
    reports = installation.agent.work(installation.agent.runnable()[0], Weather())

    again = installation.agent.receive(row)

    assert again == [*reports, Taken(outbox_id=row.id)]
    assert installation.truth.deed(row.order_id).begun == 1


def test_a_lower_fence_is_refused(installation: Installation) -> None:
    row = an_order(installation)
    installation.agent.receive(replace(row, order_id="d0.1#1", fence=row.fence + 1))

    answer = installation.agent.receive(row)

    assert [getattr(it, "outcome", None) for it in answer] == ["refused", None]


def test_a_cancel_may_come_before_its_order(installation: Installation) -> None:
    row = an_order(installation)
    installation.agent.receive(replace(row, kind=OutboxKind.CANCEL))

    answer = installation.agent.receive(row)

    assert getattr(answer[0], "outcome", None) == "cancelled"
    assert installation.agent.runnable() == []


def test_a_replaced_disk_holds_nothing(installation: Installation) -> None:
    installation.agent.receive(an_order(installation))

    installation.agent.lose_disk([], applications_too=False)

    assert installation.agent.greeting() == [Inventory(order_ids=())]


def test_a_restarted_node_reports_what_ran_as_lost(installation: Installation) -> None:
    installation.agent.receive(an_order(installation))
    installation.agent.work(installation.agent.runnable()[0], Weather())

    installation.agent.reboot()

    assert [getattr(it, "outcome", None) for it in installation.agent.greeting()][-1] == "lost"


@pytest.mark.parametrize("writes", range(60))
def test_a_kill_at_any_write_leaves_all_or_nothing(installation: Installation, writes: int) -> None:
    installation.asks(1, "v1")
    installation.server.round()
    installation.works()
    tables = installation.ledger
    before = (dict(tables.deployments), dict(tables.live), dict(tables.locks), dict(tables.outbox))
    installation.ledger.die_after = writes

    try:
        installation.server.round()
        died = False
    except Killed:
        died = True

    after = (dict(tables.deployments), dict(tables.live), dict(tables.locks), dict(tables.outbox))
    whole = next(iter(after[0].values())).state is DeploymentState.SUCCESS
    assert whole or (died and after == before)


@pytest.mark.parametrize("first", [1, 31])
def test_the_tables_answer_as_the_in_memory_store_does(first: int) -> None:
    for seed in range(first, first + 30):
        shadowed = Simulation(seed, ledger_of=ShadowedLedger).play()

        assert shadowed.breach is None
        assert shadowed == Simulation(seed).play()


def test_a_different_answer_would_be_seen() -> None:
    with patch.object(ShadowedLedger, "next_wake", lambda _: None):
        breach = Simulation(2, ledger_of=ShadowedLedger).play().breach

    assert breach is not None
    assert "the next timer" in breach.text
