"""The ways in which a secret shows up in a log: as it is, and as tools write it down.

Pure. `masking.py` looks for all of these at once. A form that is not here gets through: this is a
net for accidents, not a wall against somebody who wants to tell (docs/howto on what it promises).

Imports little: it is loaded into the keeper of a command that got secrets.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from json import dumps
from typing import Final
from urllib.parse import quote, quote_plus

LEAST_LENGTH: Final = 6
"""Shorter ones would stand in every other line by chance."""

_TRIVIAL: Final = frozenset(
    (
        *("default", "development", "disabled", "enabled", "localhost", "password", "production"),
        *("secret", "staging", "testing", "username", "123456"),
    )
)
# A piece of base64 that stands for less than this could be a word of some other text.
_LEAST_BASE64: Final = 5
_LEAST_BASE64_LINE: Final = 20
# What `base64` and PEM files put on one line.
_BASE64_LINES: Final = (76, 64)
_URL_SAFE: Final = ("", "/", "!'()*", "/!'()*", ";,/?:@&=+$-_.!~*'()#")


def is_maskable(secret: str) -> bool:
    """Can it be masked without masking half of every log?"""
    text = secret.strip()
    return len(text) >= LEAST_LENGTH and text.lower() not in _TRIVIAL and len(set(text)) > 2


def forms_of(secrets: Iterable[str]) -> frozenset[bytes]:
    """Every byte string that must not appear in a log, for all of these secrets."""
    texts = {text for secret in secrets for text in _texts_of(secret) if is_maskable(text)}
    return frozenset(form for text in texts for form in _forms_of_text(text))


def _texts_of(secret: str) -> Iterator[str]:
    """The whole, what a shell or YAML leaves of it, and each of its lines."""
    yield secret.strip()
    yield secret.strip().strip('"')
    if "\n" in secret or "\r" in secret:
        yield from (line.strip() for line in secret.splitlines())


def _forms_of_text(text: str) -> set[bytes]:
    written = {
        text,
        *_as_url(text),
        *_as_json(text),
        *_as_markup(text),
        *_as_shell(text),
        *_as_powershell_sections(text),
    }
    raw = _bytes(text)
    return {
        *(_bytes(form) for form in written if form),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        *_as_base64(raw),
    }


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _as_url(text: str) -> Iterator[str]:
    raw = _bytes(text)
    for form in (*(quote(raw, safe=safe) for safe in _URL_SAFE), quote_plus(raw)):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form)


def _as_json(text: str) -> Iterator[str]:
    for is_ascii in (True, False):
        once = dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield once
        yield dumps(once, ensure_ascii=is_ascii)[1:-1]
        yield once.replace("/", "\\/")
        # As Go and .NET write it, so that it may stand in a page.
        for upper in (False, True):
            yield _with_html_escaped(once, upper=upper)


def _with_html_escaped(text: str, *, upper: bool) -> str:
    def code(found: re.Match[str]) -> str:
        number = f"{ord(found[0]):04x}"
        return "\\u" + (number.upper() if upper else number)

    return re.sub("[<>&'+]" if upper else "[<>&]", code, text)


def _as_markup(text: str) -> Iterator[str]:
    yield escape(text, quote=False)
    yield escape(text)
    once = escape(text, quote=False)
    for double, single in (("&quot;", "&apos;"), ("&quot;", "&#39;"), ("&#34;", "&#39;")):
        yield once.replace('"', double).replace("'", single)


def _as_shell(text: str) -> Iterator[str]:
    """What `set -x`, `printf %q`, `declare -p` and `repr` print, without the quotes around it."""
    yield text.replace("'", "'\\''")
    yield text.replace("'", "'\"'\"'")
    yield text.replace("'", "''")
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", text)
    yield re.sub(r'([\\"$`])', r"\\\1", text)
    yield re.sub(r'([\\"$`!])', r"\\\1", text)
    yield repr(text)[1:-1]
    for plain in (True, False):
        yield "".join(_in_dollar_quotes(character, plain=plain) for character in text)


_DOLLAR_QUOTED: Final = {
    "\a": "\\a", "\b": "\\b", "\x1b": "\\E", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
    "\v": "\\v", "\\": "\\\\", "'": "\\'",
}  # fmt: skip


def _in_dollar_quotes(character: str, *, plain: bool) -> str:
    if character in _DOLLAR_QUOTED:
        return _DOLLAR_QUOTED[character]
    if character < " " or character == "\x7f" or (character > "\x7f" and not plain):
        return "".join(f"\\{byte:03o}" for byte in _bytes(character))
    return character


def _as_powershell_sections(text: str) -> Iterator[str]:
    """An error message colours the piece after `&`, which cuts the secret in two."""
    cut = text.find("&+")
    if cut >= 0:
        sections = (text[: cut + 2], text[cut + 3 :])
    else:
        cut = text.rfind("&")
        sections = (text[: cut + 1], text[cut + 1 :])
    if cut >= 0:
        yield from (section for section in sections if len(section) >= LEAST_LENGTH)


def _as_base64(raw: bytes) -> Iterator[bytes]:
    """Alone, and after one or two bytes of something else, whatever follows.

    A piece that shares a character with its neighbours is left out: it tells two bytes at most.
    """
    for own in (raw, raw + b"\n", raw[1:], raw[2:], raw[1:] + b"\n", raw[2:] + b"\n"):
        encoded = b64encode(own)
        stem = encoded[: len(own) * 8 // 6]
        if len(stem) >= _LEAST_BASE64:
            yield from _both_alphabets(encoded)
            yield from _both_alphabets(stem)
    for whole in (b64encode(raw), b64encode(raw + b"\n")):
        for width in _BASE64_LINES:
            lines = (whole[at : at + width] for at in range(0, len(whole), width))
            yield from (line for line in lines if len(line) >= _LEAST_BASE64_LINE)


def _both_alphabets(encoded: bytes) -> Iterator[bytes]:
    yield encoded
    yield encoded.translate(bytes.maketrans(b"+/", b"-_"))
