"""The two dialects of JSON bodies: snake_case under /api/release, camelCase under /api/v1.

Every body read from a caller refuses keys it does not know, by name. Bodies under /api/v1 also
take the founding documents' PascalCase (`BatchSize`, `AppID`).
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PlainSerializer,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from boreas.domain.configuration import check_config
from boreas.domain.errors import InvalidInput

T = TypeVar("T")


def utc_text(moment: datetime) -> str:
    """UTC, ISO 8601, with `Z`.

    >>> utc_text(datetime(2024, 10, 21, 14, 5, tzinfo=UTC))
    '2024-10-21T14:05:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(utc_text, return_type=str, when_used="json")]


class Body(BaseModel):
    """What a caller sends; an unknown key is refused and the nearest known one is named."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _name_known_keys(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(value)
        except ValidationError as error:
            known = [field.alias or name for name, field in cls.model_fields.items()]
            found = [_with_known_keys(entry, known) for entry in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, found) from None


def _with_known_keys(entry: Any, known: list[str]) -> InitErrorDetails:
    context = dict(entry.get("ctx") or {})
    context.pop("error", None)
    if entry["type"] == "extra_forbidden" and len(entry["loc"]) == 1:
        context = {"known": known}
    # A brace in the message would be read as a place for the context.
    message = entry["msg"].replace("{", "(").replace("}", ")")
    kind = PydanticCustomError(entry["type"], message, context or None)
    return InitErrorDetails(type=kind, loc=entry["loc"], input=entry["input"])


class V1Body(Body):
    """A body under /api/v1: camelCase, PascalCase accepted."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=False)
    also: ClassVar[Mapping[str, str]] = {}
    """Other spellings a body takes: theirs -> ours."""

    @model_validator(mode="before")
    @classmethod
    def _accept_pascal_case(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        taken: dict[str, Any] = {}
        for key, item in value.items():
            spelled = cls.also.get(key) or camel_of(key)
            if spelled in taken:
                raise ValueError(f"{spelled} is given twice; write it once, in camelCase")
            taken[spelled] = item
        return taken


def camel_of(key: str) -> str:
    """`BatchSize` -> `batchSize`, `AppID` -> `appId`, `ID` -> `id`; anything else as it is."""
    if not key[:1].isupper():
        return key
    spelled = _ID.sub("Id", key)
    return spelled[0].lower() + spelled[1:]


_ID = re.compile(r"ID(?=s?$)")


class View(BaseModel):
    """What the server answers under /api/release."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class V1View(BaseModel):
    """What the server answers under /api/v1."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class Page(View, Generic[T]):
    """A part of a list; `next_cursor` gets the next one, null at the end."""

    items: list[T]
    next_cursor: str | None = None


class V1Page(V1View, Generic[T]):
    """A part of a list; `nextCursor` gets the next one, null at the end."""

    items: list[T]
    next_cursor: str | None = None


Flag = Annotated[bool, Strict()]
"""`true` or `false`; "yes" and 1 are neither."""
Whole = Annotated[int, Strict()]
"""A whole number, not a text that looks like one."""


def _a_name(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; write a name")
    if text != text.strip():
        raise ValueError("has spaces around it; leave them out")
    if len(text) > 100:
        raise ValueError("is longer than 100 characters; write a shorter one")
    if any(unicodedata.category(letter) in _NEVER_IN_NAMES for letter in text):
        raise ValueError("has control characters; leave them out")
    return text


# Cc control, Cs surrogate, Zl/Zp line ends; Cf holds the marks that turn text round (bidi).
_NEVER_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp", "Cf"})

Name = Annotated[str, AfterValidator(_a_name)]
"""A short text in one line, for people to read: any script, no control characters."""


def _a_text(text: str) -> str:
    if len(text) > 10_000:
        raise ValueError("is longer than 10000 characters; write less")
    return text


Text = Annotated[str, AfterValidator(_a_text)]
"""Free words, several lines allowed."""


def _a_config(document: dict[str, Any]) -> dict[str, Any]:
    try:
        check_config(document)
    except InvalidInput as error:
        raise ValueError(f"{error.fields[0].problem}; {error.fields[0].mend}") from None
    return document


ConfigDocument = Annotated[dict[str, Any], AfterValidator(_a_config)]
"""Configuration of one level; the levels are merged deeply, the nearest to the target wins."""
