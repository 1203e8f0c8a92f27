"""What people write as numbers becomes exactly that number, and comes back as it was written."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.workflow import Size, StrategyKind
from boreas.server.bodies import camel_of, utc_text
from boreas.server.log_sources import positions_of, positions_text
from boreas.server.strategy_bodies import StrategyBody, grayscale, strategy_of, strategy_view

RATIOS = st.one_of(
    st.integers(0, 1000).map(lambda n: n / 1000),
    st.integers(0, 100).map(lambda n: f"{n}%"),
    st.sampled_from([0, 1, 0.1, 0.3, "33.3%", "0.25"]),
)
SIZES = st.one_of(st.integers(0, 500), st.integers(0, 100).map(lambda n: f"{n}%"))


@given(
    st.lists(
        st.fixed_dictionaries(
            {"batchSize": SIZES, "canaryRatio": RATIOS, "maxFailures": SIZES},
            optional={
                "autoRollback": st.booleans(),
                "batchInterval": st.integers(0, 86_400),
                "manualApprovalStatus": st.none() | st.booleans(),
            },
        ),
        max_size=5,
    )
)
def test_what_is_shown_reads_back_as_the_same_strategy(steps: list[dict[str, object]]) -> None:
    strategy = strategy_of(StrategyBody.model_validate(steps))

    again = strategy_of(StrategyBody.model_validate(strategy_view(strategy)))

    assert again == strategy


def test_a_tenth_is_a_tenth() -> None:
    strategy = strategy_of(StrategyBody.model_validate([{"canaryRatio": 0.1}]))

    assert strategy.steps[0].canary_ratio == Fraction(1, 10)
    assert grayscale(strategy) == (True, 0.1)


def test_a_percentage_stays_one_until_targets_are_counted() -> None:
    strategy = strategy_of(StrategyBody.model_validate([{"BatchSize": "33.3%"}]))

    assert strategy.steps[0].batch_size == Size(percent=Fraction(333, 10))


def test_an_absent_approval_is_not_an_open_one() -> None:
    steps = [{}, {"manualApprovalStatus": None}, {"manualApprovalStatus": True}]

    found = strategy_of(StrategyBody.model_validate(steps)).steps

    assert [(step.approval, step.answer) for step in found] == [
        (False, None),
        (True, None),
        (True, True),
    ]


def test_blue_green_is_asked_for_by_name() -> None:
    body = StrategyBody.model_validate({"type": "blue_green", "graceSeconds": 60})

    assert strategy_of(body).kind is StrategyKind.BLUE_GREEN
    assert strategy_of(body).grace_seconds == 60


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("BatchSize", "batchSize"),
        ("AppID", "appId"),
        ("ApplicationIDs", "applicationIds"),
        ("ID", "id"),
        ("batchSize", "batchSize"),
        ("", ""),
    ],
)
def test_the_documents_spelling_becomes_ours(theirs: str, ours: str) -> None:
    assert camel_of(theirs) == ours


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 10**12)))
def test_positions_survive_the_trip_through_an_event_id(last: dict[str, int]) -> None:
    text = positions_text(last)

    assert positions_of(text) == last
    assert "\n" not in text


@given(st.datetimes(timezones=st.timezones()))
def test_times_are_utc_with_a_z(moment) -> None:  # type: ignore[no-untyped-def]
    assert utc_text(moment).endswith("Z")
