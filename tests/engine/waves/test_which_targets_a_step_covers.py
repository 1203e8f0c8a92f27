"""CanaryRatio r > 0 covers targets up to ceil(r*N) from the first; r = 0 covers all the rest."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.engine.waves import covered_by, cut_into_batches, step_at, tolerated
from boreas.testing.builders import a_size, a_step, a_strategy


def cut(total: int, *steps, **more) -> list[list[int]]:
    batches = cut_into_batches(a_strategy(*steps), list(range(1, total + 1)), **more)
    return [list(it.target_ids) for it in batches]


@pytest.mark.parametrize(
    ("ratio", "total", "covered"),
    [
        ("0.1", 5, 1),
        ("0.1", 10, 1),
        ("0.1", 11, 2),
        ("0.1", 1, 1),
        ("0.5", 3, 2),
        ("1/3", 3, 1),
        ("1/3", 6, 2),
        ("0.3", 10, 3),
        ("0.7", 10, 7),
        ("0.29", 100, 29),
        ("1", 7, 7),
        ("2", 7, 7),
        ("0.0001", 9, 1),
        ("0", 9, 9),
    ],
)
def test_a_ratio_rounds_up_and_is_exact(ratio, total, covered):
    assert covered_by(a_step(canary=ratio), total, 0) == covered


def test_a_later_step_never_covers_fewer():
    assert covered_by(a_step(canary="0.1"), 10, before=5) == 5


def test_no_targets_make_no_batches():
    assert cut(0, a_step(1)) == []


def test_batch_size_cuts_what_the_step_newly_covers():
    assert cut(7, a_step(3)) == [[1, 2, 3], [4, 5, 6], [7]]


def test_batch_size_zero_is_all_at_once():
    assert cut(4, a_step(0)) == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("size", "total", "first"),
    [("20%", 10, 2), ("20%", 11, 3), ("1%", 10, 1), ("100%", 4, 4), ("50%", 3, 2), ("33%", 3, 1)],
)
def test_a_percentage_is_of_all_targets_rounded_up_and_at_least_one(size, total, first):
    assert len(cut(total, a_step(size))[0]) == first


def test_a_percentage_counts_all_targets_not_only_the_steps():
    assert cut(10, a_step(1, canary="0.5"), a_step("20%"))[5] == [6, 7]


def test_a_canary_is_followed_by_the_rest():
    assert cut(10, a_step(1, canary="0.1"), a_step(0, canary=1)) == [[1], list(range(2, 11))]


def test_targets_left_over_get_an_implicit_final_step():
    batches = cut_into_batches(a_strategy(a_step(1, canary="0.5")), ["a", "b", "c", "d"])

    assert [it.step for it in batches] == [0, 0, 1, 1]


def test_the_implicit_step_is_as_careful_as_the_last_but_asks_nobody():
    strategy = a_strategy(a_step(2, canary="0.5", back=True, approval=True, interval=9))

    implicit = step_at(strategy, 1)

    assert (implicit.batch_size, implicit.batch_interval) == (a_size(2), 9)
    assert implicit.auto_rollback
    assert not implicit.approval
    assert implicit.canary_ratio == 0


def test_without_steps_all_targets_go_at_once_and_nothing_goes_back():
    assert cut(5) == [[1, 2, 3, 4, 5]]
    assert not step_at(a_strategy(), 0).auto_rollback


def test_a_step_that_covers_nothing_new_has_no_batch():
    assert cut(4, a_step(0, canary="0.5"), a_step(0, canary="0.25"), a_step()) == [[1, 2], [3, 4]]


def test_a_first_deployment_skips_the_canary():
    steps = (a_step(1, canary="0.1", approval=True), a_step(5, canary=1))

    assert cut(10, *steps, first_deployment=True) == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


def test_a_first_deployment_with_nothing_but_canaries_takes_all_at_once():
    assert cut(4, a_step(1, canary="0.1", interval=300), first_deployment=True) == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("size", "total", "allowed"),
    [(0, 10, 0), (2, 10, 2), ("10%", 50, 5), ("10%", 9, 0), ("50%", 3, 1), ("100%", 3, 3)],
)
def test_tolerance_is_a_number_or_a_percentage_rounded_down(size, total, allowed):
    assert tolerated(a_size(size), total) == allowed


sizes = st.one_of(st.integers(0, 9), st.integers(1, 100).map(lambda it: f"{it}%"))
ratios = st.fractions(0, 1)
steps = st.builds(
    lambda size, ratio: a_step(size, canary=ratio),
    sizes,
    ratios,
)


@given(st.integers(0, 40), st.lists(steps, max_size=4), st.booleans())
def test_every_target_is_in_exactly_one_batch_in_stored_order(total, some, first):
    batches = cut(total, *some, first_deployment=first)

    assert [it for batch in batches for it in batch] == list(range(1, total + 1))


@given(st.integers(1, 40), st.lists(steps, max_size=4))
def test_no_batch_is_empty_or_above_its_size(total, some):
    strategy = a_strategy(*some)
    for batch in cut_into_batches(strategy, list(range(total))):
        size = step_at(strategy, batch.step).batch_size
        assert batch.target_ids
        if size.count:
            assert len(batch.target_ids) <= size.count
        if size.percent is not None:
            assert len(batch.target_ids) <= max(1, -(-size.percent * total // 100))


@given(st.integers(1, 40), st.lists(steps, max_size=4))
def test_batches_are_numbered_and_their_steps_never_go_back(total, some):
    batches = cut_into_batches(a_strategy(*some), list(range(total)))

    assert [it.number for it in batches] == list(range(1, len(batches) + 1))
    assert [it.step for it in batches] == sorted(it.step for it in batches)


@given(st.integers(1, 200), st.fractions(Fraction(1, 1000), 1))
def test_a_canary_is_never_nobody_and_never_more_than_asked(total, ratio):
    covered = covered_by(a_step(canary=ratio), total, 0)

    assert 1 <= covered <= total
    assert covered - 1 < ratio * total or covered == 1
    assert covered >= ratio * total
