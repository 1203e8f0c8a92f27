"""Windows and approval policies of an environment, as callers send and see them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from datetime import time as clock_time
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from boreas.domain.deployments import ApprovalPolicy, ExpiryOutcome
from boreas.domain.permissions import Role
from boreas.domain.windows import Weekday, Window, WindowKind
from boreas.server.bodies import Body, Flag, Moment, Name, View, Whole


def _a_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        mend = "write a name of the IANA list, such as Europe/Berlin"
        raise ValueError(f"is no known time zone; {mend}") from None
    return text


def _a_clock_time(text: str) -> str:
    try:
        # Only this form: `fromisoformat` knows many more, which would be stored as they came.
        if len(text) == len("09:00"):
            return f"{clock_time.fromisoformat(text):%H:%M}"
    except ValueError:
        pass
    raise ValueError("is no time of day; write HH:MM, such as 09:00")


def _spelled_out(value: object) -> object:
    # Or "0" and 1e9 would be moments of 1970 and 2001, which nobody meant.
    if not isinstance(value, datetime) and not (isinstance(value, str) and _ISO.match(value)):
        raise ValueError("is no moment; write it like 2026-12-01T22:00:00+01:00")
    return value


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is no moment that UTC can say; write a year from 1 to 9999") from None


_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T")


TimeZone = Annotated[str, AfterValidator(_a_zone)]
ClockTime = Annotated[str, AfterValidator(_a_clock_time)]
UtcMoment = Annotated[
    AwareDatetime,
    BeforeValidator(_spelled_out, json_schema_input_type=AwareDatetime),
    AfterValidator(_utc),
]
"""A moment that a caller names, with its offset."""


class WindowBody(Body):
    """A span of time: every week (`days`, `begin`, `end`) or once (`starts_at`, `ends_at`)."""

    name: Name
    kind: WindowKind
    time_zone: TimeZone = "UTC"
    days: list[Weekday] = Field(default_factory=list, max_length=7)
    begin: ClockTime | None = None
    end: ClockTime | None = None
    starts_at: UtcMoment | None = None
    ends_at: UtcMoment | None = None
    overrun: Flag = True
    skippable: Flag = True

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        weekly = (bool(self.days), self.begin is not None, self.end is not None)
        once = (self.starts_at is not None, self.ends_at is not None)
        if any(weekly) == any(once):
            raise ValueError("needs either days, begin and end, or starts_at and ends_at")
        if any(weekly) and not all(weekly):
            raise ValueError("is every week, so it needs all of days, begin and end")
        if any(once) and not all(once):
            raise ValueError("is once, so it needs both starts_at and ends_at")
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValueError("ends before it starts; write a later ends_at")
        return self


def _unlike_each_other(windows: list[WindowBody]) -> list[WindowBody]:
    names = [it.name for it in windows]
    twice = next((it for it in names if names.count(it) > 1), None)
    if twice is not None:
        raise ValueError(f"has two windows named {twice}; give each its own name")
    return windows


WindowBodies = Annotated[
    list[WindowBody], Field(max_length=100), AfterValidator(_unlike_each_other)
]


class WindowView(View):
    """A window of an environment."""

    name: str
    kind: WindowKind
    time_zone: str
    days: list[Weekday]
    begin: str | None
    end: str | None
    starts_at: Moment | None
    ends_at: Moment | None
    overrun: bool
    skippable: bool


class ApprovalPolicyBody(Body):
    """Who must agree, and how long is waited; `roles` and `users` empty: all who may deploy."""

    required: Whole = Field(default=1, ge=1, le=20)
    forbid_requester: Flag = False
    roles: list[Role] = Field(default_factory=list, max_length=len(Role))
    users: list[Name] = Field(default_factory=list, max_length=100)
    expires_after: float = Field(default=86_400.0, ge=1, le=366 * 86_400)
    on_expiry: ExpiryOutcome = ExpiryOutcome.FAIL


class ApprovalPolicyView(View):
    """Who must agree, and how long is waited."""

    required: int
    forbid_requester: bool
    roles: list[str]
    users: list[str]
    expires_after: float
    on_expiry: ExpiryOutcome


def windows_of(bodies: Sequence[WindowBody]) -> tuple[Window, ...]:
    """As the engine reads them."""
    return tuple(
        Window(
            name=it.name,
            kind=it.kind,
            time_zone=it.time_zone,
            days=tuple(day for day in Weekday if day in it.days),
            begin=it.begin or "",
            end=it.end or "",
            starts_at=it.starts_at,
            ends_at=it.ends_at,
            overrun=it.overrun,
            skippable=it.skippable,
        )
        for it in bodies
    )


def policy_of(body: ApprovalPolicyBody) -> ApprovalPolicy:
    """As the engine reads it."""
    return ApprovalPolicy(
        required=body.required,
        forbid_requester=body.forbid_requester,
        roles=tuple(role.value for role in Role if role in body.roles),
        users=tuple(body.users),
        expires_after=body.expires_after,
        on_expiry=body.on_expiry,
    )
