"""Takes secrets out of a stream of bytes, wherever the stream is cut.

Used in the keeper of a command before its output is written down, by the agent for what Boreas
itself says, and once more by the server for what an agent sends (`chunk_masking.py`).

Held back is only what may be the beginning of a secret, and never more than the longest form of
one; a newline ends that, because each line of a secret is a secret of its own.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from boreas.logs.secret_forms import forms_of

MASK: Final = b"***"

# When nothing comes for a while, so much of a secret's beginning is shown: a prompt that ends in
# the first letters of one must not stay invisible.
SHOWN_WHEN_IDLE: Final = 2
_HEAD: Final = 8
_STARS: Final = bytes(10 if byte == 10 else ord("*") for byte in range(256))

Span = tuple[int, int]


class SecretForms:
    """All forms of some secrets, ready to be looked for; any number of streams may share it."""

    def __init__(self, forms: Iterable[bytes]) -> None:
        # Two megabytes of machine code that a node without secrets need not load.
        from ahocorasick_rs import BytesAhoCorasick, Implementation

        self._sorted = sorted({form for form in forms if form})
        self._heads = {form[:_HEAD] for form in self._sorted if len(form) > _HEAD}
        blocks = [form for form in self._sorted if b"\n" in form]
        self._first_lines = sorted({form.index(b"\n") for form in blocks}, reverse=True)
        self._longest_block = max(map(len, blocks), default=0)
        lines = (len(form) for form in self._sorted if b"\n" not in form)
        self._longest_line = max((*lines, *(length + 1 for length in self._first_lines)), default=0)
        # Not a DFA: that would take forty megabytes for a hundred secrets.
        self._finder = BytesAhoCorasick(self._sorted, implementation=Implementation.ContiguousNFA)

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def __repr__(self) -> str:
        return f"SecretForms({len(self._sorted)})"

    def spans(self, buffer: bytes) -> list[Span]:
        """Where secrets stand, in order; those that overlap are one."""
        found = self._finder.find_matches_as_indexes(buffer, overlapping=True)
        return _united(sorted((start, end) for _, start, end in found)) if found else []

    def may_begin_at(self, buffer: bytes) -> int:
        """The first place from which on everything may be the beginning of a secret."""
        size = len(buffer)
        if (block := self._block_begins_at(buffer)) < size:
            return block
        first = max(size - self._longest_line + 1, buffer.rfind(b"\n") + 1, 0)
        last = size - _HEAD
        for place in range(first, last + 1):
            if buffer[place : place + _HEAD] in self._heads and self._is_beginning(buffer[place:]):
                return place
        rest = range(max(first, last + 1), size)
        return next((place for place in rest if self._is_beginning(buffer[place:])), size)

    def _block_begins_at(self, buffer: bytes) -> int:
        """The same for beginnings that are longer than a line: there is a newline in them."""
        size = len(buffer)
        if not self._first_lines:
            return size
        first = max(size - self._longest_block + 1, 0)
        newline = buffer.find(b"\n", first)
        while newline >= 0:
            for length in self._first_lines:
                if newline - length >= first and self._is_beginning(buffer[newline - length :]):
                    return newline - length
            newline = buffer.find(b"\n", newline + 1)
        return size

    def _is_beginning(self, text: bytes) -> bool:
        """Of a longer form."""
        place = bisect_left(self._sorted, text)
        if place < len(self._sorted) and self._sorted[place] == text:
            place += 1
        return place < len(self._sorted) and self._sorted[place].startswith(text)


def forms_in(secrets: Iterable[str]) -> SecretForms | None:
    """What to look for, or None when none of these can be masked."""
    forms = forms_of(secrets)
    return SecretForms(forms) if forms else None


class Masker:
    """One stream. `feed` what comes, `idle` when nothing does, `end` at the end.

    With `keep_length` each byte of a secret becomes a star (newlines stay), so that offsets in the
    stream keep their meaning; else the whole secret becomes `***`.
    """

    def __init__(
        self, forms: SecretForms, *, mask: bytes = MASK, keep_length: bool = False
    ) -> None:
        self._forms = forms
        self._mask = mask
        self._keep_length = keep_length
        self._held = b""
        self._covered = 0  # so many bytes of what is held belong to a mask that has gone out

    @property
    def holds_back(self) -> bool:
        """Something waits here that may be the beginning of a secret."""
        return bool(self._held)

    def feed(self, read: bytes) -> bytes:
        """What can go on its way now."""
        buffer = self._held + read
        return self._release(buffer, self._forms.may_begin_at(buffer))

    def idle(self) -> bytes:
        """Nothing came for a while: what is surely too short to tell anything."""
        if len(self._held) > SHOWN_WHEN_IDLE:
            return b""
        return self.end()

    def end(self) -> bytes:
        """The rest."""
        return self._release(self._held, len(self._held)) if self._held else b""

    def _release(self, buffer: bytes, until: int) -> bytes:
        parts: list[bytes] = []
        position, covered = 0, 0
        for start, end in self._spans(buffer):
            goes_on = start < self._covered
            if start >= until and not goes_on:
                break
            parts.append(buffer[position:start])
            position = min(end, until)
            parts.append(self._masked(buffer[start:position], goes_on=goes_on))
            covered = end - position
        parts.append(buffer[position:until])
        self._held, self._covered = buffer[until:], covered
        return b"".join(parts)

    def _spans(self, buffer: bytes) -> list[Span]:
        spans = self._forms.spans(buffer)
        return _united([(0, self._covered), *spans]) if self._covered else spans

    def _masked(self, secret: bytes, *, goes_on: bool) -> bytes:
        if self._keep_length:
            return secret.translate(_STARS)
        return b"" if goes_on else self._mask


class TextMasker:
    """For texts that come whole: reasons, lines of Boreas' own, results."""

    def __init__(self, forms: SecretForms) -> None:
        self._forms = forms

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        masker = Masker(self._forms)
        raw = text.encode(errors="surrogateescape")
        return (masker.feed(raw) + masker.end()).decode(errors="surrogateescape")


def _united(spans: list[Span]) -> list[Span]:
    """Overlapping spans as one; neighbours stay apart."""
    united = spans[:1]
    for start, end in spans[1:]:
        before = united[-1]
        if start < before[1]:
            united[-1] = before[0], max(before[1], end)
        else:
            united.append((start, end))
    return united
