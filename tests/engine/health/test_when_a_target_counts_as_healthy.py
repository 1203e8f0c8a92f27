"""Health is a row of answers: what they come to, and what they never come to."""

from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.orders import HealthCheck, ProbeKind
from boreas.engine.health import Health, Verdict, begin, judge


def a_check(**times: float) -> HealthCheck:
    return HealthCheck(type=ProbeKind.TCP, port=80, **times)  # type: ignore[arg-type]


def verdicts(check: HealthCheck, answers: list[tuple[float, bool]]) -> list[Verdict]:
    """Feed answers until one of them is final."""
    watch, found = begin(check, 0.0), []
    for at, passed in answers:
        watch, verdict = judge(watch, at=at, passed=passed, detail="refused")
        found.append(verdict)
        if verdict.health is not Health.UNDECIDED:
            break
    return found


def test_one_pass_is_enough_when_nothing_must_hold():
    assert verdicts(a_check(), [(0, True)])[-1].health is Health.HEALTHY


def test_a_pass_must_hold_for_min_healthy_seconds():
    check = a_check(min_healthy_seconds=10)

    found = verdicts(check, [(0, True), (9.9, True), (10, True)])

    assert [one.health for one in found] == [Health.UNDECIDED, Health.UNDECIDED, Health.HEALTHY]


def test_a_single_failure_starts_the_healthy_seconds_anew():
    check = a_check(min_healthy_seconds=10)

    found = verdicts(check, [(0, True), (5, False), (6, True), (12, True), (16, True)])

    assert found[3].health is Health.UNDECIDED
    assert found[4].health is Health.HEALTHY


def test_retries_in_a_row_mean_unhealthy_with_the_last_detail():
    found = verdicts(a_check(retries=3), [(0, False), (1, False), (2, False)])

    assert found[-1] == Verdict(health=Health.UNHEALTHY, reason="failed 3 times in a row: refused")


def test_failures_with_a_pass_between_them_are_not_in_a_row():
    check = a_check(retries=2, min_healthy_seconds=100)

    found = verdicts(check, [(0, False), (1, True), (2, False), (3, True)])

    assert all(one.health is Health.UNDECIDED for one in found)


def test_failures_in_the_start_period_do_not_count():
    check = a_check(retries=1, start_period=30)

    found = verdicts(check, [(0, False), (29.9, False), (30, False)])

    assert [one.health for one in found] == [
        Health.UNDECIDED,
        Health.UNDECIDED,
        Health.UNHEALTHY,
    ]


def test_a_pass_in_the_start_period_counts():
    assert verdicts(a_check(start_period=30), [(1, True)])[-1].health is Health.HEALTHY


def test_the_next_probe_comes_no_later_than_the_moment_that_decides():
    check = a_check(interval=60, min_healthy_seconds=10)

    assert verdicts(check, [(0, True)])[-1].ask_again_at == 10


times = st.floats(0, 1e6, allow_nan=False)
answers = st.lists(st.tuples(times, st.booleans()), max_size=60).map(sorted)
checks = st.builds(
    a_check,
    interval=st.floats(0.05, 100),
    retries=st.integers(1, 6),
    start_period=st.floats(0, 1000),
    min_healthy_seconds=st.floats(0, 1000),
)


@given(checks, answers)
def test_healthy_needs_every_answer_of_the_last_min_healthy_seconds_to_have_passed(check, row):
    found = verdicts(check, row)
    if not found or found[-1].health is not Health.HEALTHY:
        return

    end = row[len(found) - 1][0]
    passes = []
    for at, passed in reversed(row[: len(found)]):
        if not passed:
            break
        passes.append(at)

    assert passes
    assert end >= passes[-1] + check.min_healthy_seconds


@given(checks, answers)
def test_unhealthy_needs_retries_failures_in_a_row_after_the_start_period(check, row):
    found = verdicts(check, row)
    if not found or found[-1].health is not Health.UNHEALTHY:
        return

    last = row[len(found) - check.retries : len(found)]

    assert len(last) == check.retries
    assert all(not passed and at >= check.start_period for at, passed in last)


@given(checks, answers)
def test_an_undecided_verdict_always_names_a_later_time_and_a_reason(check, row):
    for (at, _), verdict in zip(row, verdicts(check, row), strict=False):
        assert verdict.reason
        if verdict.health is Health.UNDECIDED:
            assert verdict.ask_again_at is not None
            assert verdict.ask_again_at > at


@given(checks)
def test_asking_when_told_to_always_comes_to_an_end(check):
    for passed in (True, False):
        watch, at = begin(check, 0.0), 0.0
        for _ in range(40_000):
            watch, verdict = judge(watch, at=at, passed=passed)
            if verdict.ask_again_at is None:
                break
            at = verdict.ask_again_at
        assert verdict.health is (Health.HEALTHY if passed else Health.UNHEALTHY)
