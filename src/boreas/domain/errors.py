"""What can go wrong, in the words of the domain.

The core raises meaning; each edge chooses its own way to say it (HTTP status, exit code, frame).
A class's docstring is its default message; `fields` point at the part of the input to mend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """Stable names for clients."""

    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    UNAUTHENTICATED = "unauthenticated"
    TOO_MANY = "too_many_requests"
    UNAVAILABLE = "unavailable"
    NO_SPACE = "no_space"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """Which part of the input is wrong, why, and what would be right."""

    field: str
    problem: str
    mend: str = ""


class BoreasError(Exception):
    """Something went wrong."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: tuple[FieldError, ...] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.fields = fields
        self.parameters = dict(parameters or {})
        super().__init__(self.message)


class NotFound(BoreasError):
    """There is nothing with this id, or the caller may not see it."""

    code = ErrorCode.NOT_FOUND


class Conflict(BoreasError):
    """Somebody else was faster, or the present state does not allow this."""

    code = ErrorCode.CONFLICT


class InvalidInput(BoreasError):
    """The input cannot be used as it is."""

    code = ErrorCode.INVALID


class Forbidden(BoreasError):
    """The caller is known but may not do this."""

    code = ErrorCode.FORBIDDEN


class Unauthenticated(BoreasError):
    """Nobody is signed in, or the session or token is no longer good."""

    code = ErrorCode.UNAUTHENTICATED


class TooMany(BoreasError):
    """Too many tries; wait before the next one."""

    code = ErrorCode.TOO_MANY


class Unavailable(BoreasError):
    """A part that is needed does not answer at the moment."""

    code = ErrorCode.UNAVAILABLE


class NoSpace(BoreasError):
    """The disk is full."""

    code = ErrorCode.NO_SPACE


class CommandLost(BoreasError):
    """A command was started before, and what became of it cannot be known."""

    code = ErrorCode.CONFLICT


def invalid(field: str, problem: str, mend: str = "") -> InvalidInput:
    """One wrong field."""
    return InvalidInput(
        f"{field}: {problem}" + (f"; {mend}" if mend else ""),
        fields=(FieldError(field=field, problem=problem, mend=mend),),
    )
