"""Frozen values to documents and back.

A document is the JSON of the whole value. Fields that a newer version added take their defaults in
old documents; fields that an older version wrote and nobody knows any more are passed over.
"""

from fractions import Fraction
from typing import Any, Generic, TypeVar

import msgspec

V = TypeVar("V")


def _encode_other(value: object) -> object:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise NotImplementedError(f"no stored form for {type(value).__name__}")


def _decode_other(kind: type[Any], stored: object) -> object:
    if kind is Fraction:
        return Fraction(str(stored))
    raise NotImplementedError(f"no value of {kind.__name__} from {stored!r}")


_encoder = msgspec.json.Encoder(enc_hook=_encode_other)


def document_of(value: object) -> str:
    """The stored form of a value."""
    return _encoder.encode(value).decode()


def plain(value: object) -> Any:
    """A value of the domain, or a mapping of such, as what JSON knows; None stays None."""
    return msgspec.to_builtins(value, str_keys=True, order="sorted", enc_hook=_encode_other)


class Form(Generic[V]):
    """Reads documents of one type."""

    def __init__(self, kind: type[V]) -> None:
        self._decoder = msgspec.json.Decoder(kind, dec_hook=_decode_other)

    def value(self, document: str) -> V:
        """The value of a stored form."""
        return self._decoder.decode(document)
