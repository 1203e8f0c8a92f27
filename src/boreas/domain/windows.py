"""Allowed and freeze windows of an environment: when deployments may begin, in local time.

The rules are those of Argo CD's sync windows: without windows everything is allowed; with allowing
ones only what lies inside one of them; an active freeze always wins. Windows are evaluated in their
own time zone, so that 09:00 stays 09:00 when the clocks change: a time that does not exist is taken
as the moment the clocks had moved, of one that exists twice the first counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from enum import StrEnum
from zoneinfo import ZoneInfo

_A_WEEK_AND_A_DAY = 9
"""Days to look ahead: a weekly window comes again within a week, one over midnight a day later."""


class WindowKind(StrEnum):
    """What a window does while it is open."""

    ALLOW = "allow"
    FREEZE = "freeze"


class Weekday(StrEnum):
    """Days as people write them."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Weekday)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time span, once (`starts_at` to `ends_at`) or every week (`days`, `begin` to `end`).

    `begin` and `end` are local times as "HH:MM"; an `end` at or before `begin` is on the next day.
    `overrun`: what is under way when it becomes forbidden may finish. `skippable`: a person may
    pass it for one deployment, with a reason.
    """

    name: str
    kind: WindowKind
    time_zone: str = "UTC"
    days: tuple[Weekday, ...] = ()
    begin: str = ""
    end: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    overrun: bool = True
    skippable: bool = True

    def spans(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Its spans that end after `now`, soonest first; those of about a week."""
        if self.starts_at is not None and self.ends_at is not None:
            if self.ends_at > now:
                yield self.starts_at, self.ends_at
            return
        zone = ZoneInfo(self.time_zone)
        today = now.astimezone(zone).date()
        for offset in range(-1, _A_WEEK_AND_A_DAY):
            day = today + timedelta(days=offset)
            if WEEK[day.weekday()] not in self.days:
                continue
            span = self._span_on(day, zone)
            if span[1] > now:
                yield span

    def _span_on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        begin, end = clock_time.fromisoformat(self.begin), clock_time.fromisoformat(self.end)
        last = day if end > begin else day + timedelta(days=1)
        return _moment(day, begin, zone), _moment(last, end, zone)

    def open_until(self, now: datetime) -> datetime | None:
        """When the span that contains `now` ends; None outside of it."""
        return next((end for begin, end in self.spans(now) if begin <= now), None)

    def next_begin(self, now: datetime) -> datetime | None:
        """When it opens next; None if never again."""
        return next((begin for begin, _ in self.spans(now) if begin > now), None)

    def local(self, moment: datetime) -> str:
        """A moment in the window's own time zone, in words."""
        return f"{moment.astimezone(ZoneInfo(self.time_zone)):%Y-%m-%d %H:%M} {self.time_zone}"


def _moment(day: date, at: clock_time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStanding:
    """What the windows say at one moment.

    `changes_at`: when to look again, None if nothing will change; `overrun` and `skippable` hold
    for a closed moment, and only if every window concerned agrees.
    """

    is_open: bool
    text: str = ""
    changes_at: datetime | None = None
    overrun: bool = True
    skippable: bool = True


def standing_at(windows: Sequence[Window], now: datetime) -> WindowStanding:
    """Whether deployments may begin now, why not, and when that changes."""
    freezes = [it for it in windows if it.kind is WindowKind.FREEZE and it.open_until(now)]
    if freezes:
        return _frozen(freezes, now)
    allowing = [it for it in windows if it.kind is WindowKind.ALLOW]
    if allowing and not any(it.open_until(now) for it in allowing):
        return _outside(allowing, now)
    ends = [it.open_until(now) for it in allowing]
    begins = [it.next_begin(now) for it in windows if it.kind is WindowKind.FREEZE]
    return WindowStanding(is_open=True, changes_at=_soonest([*ends, *begins]))


def _frozen(freezes: Sequence[Window], now: datetime) -> WindowStanding:
    last = max(freezes, key=lambda it: it.open_until(now) or now)
    until = last.open_until(now)
    assert until is not None
    return WindowStanding(
        is_open=False,
        text=f"frozen by {last.name} until {last.local(until)}",
        changes_at=until,
        overrun=all(it.overrun for it in freezes),
        skippable=all(it.skippable for it in freezes),
    )


def _outside(allowing: Sequence[Window], now: datetime) -> WindowStanding:
    coming = [(begin, it) for it in allowing if (begin := it.next_begin(now)) is not None]
    begin, soonest = min(coming, key=lambda it: it[0], default=(None, None))
    if begin is None or soonest is None:
        text = f"outside of every allowed window ({', '.join(it.name for it in allowing)})"
    else:
        text = f"outside of the allowed windows; {soonest.name} opens {soonest.local(begin)}"
    return WindowStanding(
        is_open=False,
        text=text,
        changes_at=begin,
        overrun=all(it.overrun for it in allowing),
        skippable=all(it.skippable for it in allowing),
    )


def _soonest(moments: Sequence[datetime | None]) -> datetime | None:
    return min((it for it in moments if it is not None), default=None)
