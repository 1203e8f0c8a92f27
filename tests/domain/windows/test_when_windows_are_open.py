"""Allowed and freeze windows: precedence, local time, days, what changes when."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.windows import WEEK, Weekday, Window, WindowKind, standing_at

WORKDAYS = WEEK[:5]
MONDAY_NOON = datetime(2030, 1, 7, 12, tzinfo=UTC)


def office_hours(**changes):
    given_ = {
        "name": "office hours",
        "kind": WindowKind.ALLOW,
        "days": WORKDAYS,
        "begin": "09:00",
        "end": "17:00",
    }
    return Window(**(given_ | changes))


def freeze(starts_at, ends_at, **changes):
    return Window(
        name="fair", kind=WindowKind.FREEZE, starts_at=starts_at, ends_at=ends_at, **changes
    )


def test_without_windows_everything_is_allowed_for_ever():
    standing = standing_at((), MONDAY_NOON)

    assert standing.is_open
    assert standing.changes_at is None


def test_inside_an_allowed_window_it_is_open_until_its_end():
    standing = standing_at((office_hours(),), MONDAY_NOON)

    assert standing.is_open
    assert standing.changes_at == MONDAY_NOON.replace(hour=17)


def test_the_end_of_a_window_is_outside_and_its_begin_inside():
    nine, five = MONDAY_NOON.replace(hour=9), MONDAY_NOON.replace(hour=17)

    assert standing_at((office_hours(),), nine).is_open
    assert not standing_at((office_hours(),), five).is_open


def test_outside_it_names_the_window_that_opens_next():
    standing = standing_at((office_hours(),), datetime(2030, 1, 4, 20, tzinfo=UTC))  # a Friday

    assert not standing.is_open
    assert standing.changes_at == datetime(2030, 1, 7, 9, tzinfo=UTC)
    assert standing.text == (
        "outside of the allowed windows; office hours opens 2030-01-07 09:00 UTC"
    )


def test_an_active_freeze_wins_over_an_allowed_window():
    fair = freeze(MONDAY_NOON - timedelta(hours=1), MONDAY_NOON + timedelta(days=2))
    standing = standing_at((office_hours(), fair), MONDAY_NOON)

    assert not standing.is_open
    assert standing.text == "frozen by fair until 2030-01-09 12:00 UTC"
    assert standing.changes_at == MONDAY_NOON + timedelta(days=2)


def test_a_freeze_to_come_is_the_next_change():
    fair = freeze(MONDAY_NOON + timedelta(hours=1), MONDAY_NOON + timedelta(hours=2))

    assert standing_at((fair,), MONDAY_NOON).changes_at == MONDAY_NOON + timedelta(hours=1)


def test_a_window_may_last_over_midnight():
    night = office_hours(name="night", days=(Weekday.FRI,), begin="22:00", end="04:00")

    assert standing_at((night,), datetime(2030, 1, 5, 3, 59, tzinfo=UTC)).is_open
    assert not standing_at((night,), datetime(2030, 1, 5, 4, tzinfo=UTC)).is_open
    assert not standing_at((night,), datetime(2030, 1, 4, 3, tzinfo=UTC)).is_open


def test_nine_o_clock_stays_nine_o_clock_when_the_clocks_change():
    berlin = office_hours(days=WEEK, time_zone="Europe/Berlin")

    winter, summer = (
        datetime(2030, 3, 30, 7, 30, tzinfo=UTC),
        datetime(2030, 3, 31, 7, 30, tzinfo=UTC),
    )
    assert not standing_at((berlin,), winter).is_open
    assert standing_at((berlin,), summer).is_open


def test_a_time_that_does_not_exist_is_the_moment_the_clocks_had_moved():
    gap = office_hours(days=WEEK, begin="02:30", end="05:00", time_zone="Europe/Berlin")

    # On 31 March 2030 clocks go from 02:00 to 03:00: 02:30 is 03:30 of summer time, 01:30 UTC.
    assert not standing_at((gap,), datetime(2030, 3, 31, 1, 29, tzinfo=UTC)).is_open
    assert standing_at((gap,), datetime(2030, 3, 31, 1, 30, tzinfo=UTC)).is_open


def test_only_if_every_window_concerned_agrees_may_it_overrun_or_be_passed():
    begin, end = MONDAY_NOON - timedelta(hours=1), MONDAY_NOON + timedelta(hours=1)
    lax, strict = freeze(begin, end), freeze(begin, end, overrun=False, skippable=False)

    both = standing_at((lax, strict), MONDAY_NOON)
    assert not both.overrun
    assert not both.skippable
    assert standing_at((lax,), MONDAY_NOON).overrun


def test_an_allowed_window_that_is_over_for_good_says_so():
    past = Window(
        name="launch",
        kind=WindowKind.ALLOW,
        starts_at=MONDAY_NOON - timedelta(days=2),
        ends_at=MONDAY_NOON - timedelta(days=1),
    )
    standing = standing_at((past,), MONDAY_NOON)

    assert standing.text == "outside of every allowed window (launch)"
    assert standing.changes_at is None


CLOCK_TIMES = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59))
WINDOWS = st.builds(
    lambda kind, days, begin, end, zone: Window(
        name="w", kind=kind, days=tuple(days), begin=begin, end=end, time_zone=zone
    ),
    st.sampled_from(WindowKind),
    st.sets(st.sampled_from(WEEK), min_size=1),
    CLOCK_TIMES,
    CLOCK_TIMES,
    st.sampled_from(("UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York", "Asia/Kolkata")),
)
MOMENTS = st.datetimes(datetime(2029, 1, 1), datetime(2031, 1, 1)).map(  # noqa: DTZ001
    lambda it: it.replace(tzinfo=UTC)
)


@given(st.lists(WINDOWS, max_size=4), MOMENTS)
def test_nothing_changes_before_it_is_said_to_change(windows, now):
    standing = standing_at(windows, now)
    if standing.changes_at is None:
        return

    assert standing.changes_at > now
    between = now + (standing.changes_at - now) / 2
    just_before = standing.changes_at - timedelta(microseconds=1)
    # While it is open an end may be that of one of several windows; while closed nothing opens.
    assert standing.is_open or not standing_at(windows, between).is_open
    assert standing.is_open or not standing_at(windows, just_before).is_open


@given(st.lists(WINDOWS, max_size=4), MOMENTS)
def test_a_freeze_never_opens_what_is_closed(windows, now):
    without = [it for it in windows if it.kind is WindowKind.ALLOW]

    assert standing_at(without, now).is_open or not standing_at(windows, now).is_open
