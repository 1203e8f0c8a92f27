"""Some hundred lives in `make test`; `make simulate SEEDS=10000` plays many more."""

import json
import subprocess
import sys

import pytest

from boreas.testing.simulate.__main__ import main
from boreas.testing.simulate.campaign import campaign
from boreas.testing.simulate.simulation import ALL_LAWS, Simulation
from boreas.testing.simulate.weather import TROUBLES, Limits

SEEDS = 200


@pytest.mark.parametrize("first", range(1, SEEDS + 1, 50))
def test_no_law_is_broken(first: int) -> None:
    tally = campaign(range(first, first + 50), Limits())

    found = [(it.seed, it.breach) for it in tally.breaches]
    assert found == []
    assert tally.steps > 50 * 100


def test_lives_end_in_every_way() -> None:
    tally = campaign(range(1, 120), Limits())

    assert set(tally.ends) == {"success", "failed", "cancelled", "rolled_back"}


def test_a_seed_replays_exactly() -> None:
    first, second = Simulation(7).play(), Simulation(7).play()

    assert first == second


def test_another_seed_is_another_life() -> None:
    assert Simulation(7).play().fingerprint != Simulation(8).play().fingerprint


def test_a_seed_replays_in_another_process_whatever_the_order_of_its_sets() -> None:
    script = (
        "from boreas.testing.simulate.simulation import Simulation;"
        "print([Simulation(seed).play().fingerprint for seed in range(1, 30)])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(told) == 1


def test_one_line_tells_what_was_played(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--seeds", "3"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert len(lines) == 1
    told = json.loads(lines[0])
    assert (told["seeds"], told["violations"]) == (3, 0)
    assert told["steps"] > 100


def test_a_run_can_be_watched_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seed", "7", "-v"])

    assert "connects" in capsys.readouterr().err


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_trouble_can_be_switched_off(trouble: str) -> None:
    calm = Simulation(7, Limits(without=(trouble,)))

    assert getattr(calm.weather, trouble) == 0
    assert calm.play().breach is None


def test_every_law_says_what_it_promises() -> None:
    assert all(law.__doc__ for law in ALL_LAWS)
