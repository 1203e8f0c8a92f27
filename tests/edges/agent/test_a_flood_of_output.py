"""A command that prints faster than the server stores is slowed down; lines are not lost for it."""

import pytest

from boreas.agent import tap
from boreas.agent.spoolfile import SpoolFile
from boreas.agent.tap import PATIENCE_SECONDS, Brake
from boreas.logs.chunks import spoken


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(tap, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def spool(tmp_path):
    spool = SpoolFile(str(tmp_path / "spool"), limit=64 * 1024)
    yield spool
    spool.close()


def fill(spool):
    while not spool.is_full():
        assert spool.append(spoken("x" * 4000, 1))


def test_an_empty_spool_holds_nobody_back(spool, clock):
    assert not Brake(spool).holds()


def test_a_full_spool_holds_its_command_back(spool, clock):
    brake = Brake(spool)
    fill(spool)

    assert brake.holds()
    clock[0] += PATIENCE_SECONDS - 0.1
    assert brake.holds()


def test_a_spool_that_nobody_empties_lets_its_command_go_on(spool, clock):
    brake = Brake(spool)
    fill(spool)
    brake.holds()

    clock[0] += PATIENCE_SECONDS

    assert not brake.holds()


def test_patience_begins_anew_when_the_server_has_taken_something(spool, clock):
    brake = Brake(spool)
    fill(spool)
    brake.holds()

    clock[0] += PATIENCE_SECONDS - 0.1
    spool.set_base(4000)
    assert brake.holds()
    clock[0] += PATIENCE_SECONDS - 0.1

    assert brake.holds()
