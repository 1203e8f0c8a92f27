"""A simulator that finds nothing proves nothing: each bug planted by hand must be found."""

import json
from pathlib import Path

import pytest

from boreas.testing.simulate.__main__ import main
from boreas.testing.simulate.campaign import shrunk
from boreas.testing.simulate.mutants import Planted, hunt, planted_in
from boreas.testing.simulate.simulation import ALL_LAWS, Simulation
from boreas.testing.simulate.weather import Limits

PLANTED = planted_in(str(Path(__file__).with_name("planted_bugs.py")))
MOST_SEEDS = 400


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_it_is_found(bug: Planted) -> None:
    find = hunt(bug, Limits(), most_seeds=MOST_SEEDS)

    assert find.breach is not None, f"{bug.what}: not found in {MOST_SEEDS} seeds"


def test_a_planted_bug_is_gone_afterwards() -> None:
    with _bug("the graph is forgotten").plant():
        assert Simulation(2).play().breach is not None

    assert Simulation(2).play().breach is None


def test_a_breach_is_told_with_its_seed_and_how_to_replay_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with _bug("the graph is forgotten").plant():
        code = main(["--seeds", "2"])

    told = json.loads(capsys.readouterr().out)
    assert code == 1
    assert told["found"][0]["law"] == "no_task_before_its_predecessors"
    assert "--seed 2" in told["found"][0]["replay"]


def test_a_breach_breaks_the_same_law_at_the_same_step_again() -> None:
    with _bug("the graph is forgotten").plant():
        first, second = Simulation(2).play().breach, Simulation(2).play().breach

    assert first is not None
    assert first == second


def test_a_run_is_made_simpler_as_long_as_it_breaks_the_same_law() -> None:
    with _bug("the graph is forgotten").plant():
        before = Simulation(2).play().breach
        limits, played = shrunk(2, Limits())

    assert before is not None
    assert played.breach is not None
    assert played.breach.law == before.law
    assert limits.steps < Limits().steps
    assert limits.without


def _bug(name: str) -> Planted:
    return next(it for it in PLANTED if it.name == name)


def test_the_docs_name_every_law_and_every_planted_bug() -> None:
    page = Path(__file__).parents[3].joinpath("docs", "simulator.md").read_text()

    assert [law.__name__ for law in ALL_LAWS if f"`{law.__name__}`" not in page] == []
    assert [bug.name for bug in PLANTED if f"| {bug.name} |" not in page] == []
