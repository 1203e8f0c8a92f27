"""What a check found. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How it is."""

    GOOD = "good"
    BAD = "bad"
    NOTE = "note"
    """Worth knowing; nothing is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    about: str
    verdict: Verdict
    said: str
    mend: str = ""

    def document(self) -> dict[str, Any]:
        """The finding for programs."""
        return {
            "about": self.about,
            "verdict": self.verdict.value,
            "said": self.said,
            "mend": self.mend,
        }


def good(about: str, said: str) -> Finding:
    """As it should be."""
    return Finding(about=about, verdict=Verdict.GOOD, said=said)


def bad(about: str, said: str, mend: str) -> Finding:
    """Broken, and how to mend it."""
    return Finding(about=about, verdict=Verdict.BAD, said=said, mend=mend)


def note(about: str, said: str, mend: str = "") -> Finding:
    """Worth knowing."""
    return Finding(about=about, verdict=Verdict.NOTE, said=said, mend=mend)
