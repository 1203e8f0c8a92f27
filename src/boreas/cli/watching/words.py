"""Signs, colours and short words of the states. Pure."""

from typing import Final

SIGNS: Final = {
    "blocked": ("·", "dim"),
    "pending": ("·", "dim"),
    "ordered": ("○", "cyan"),
    "waiting_confirm": ("?", "bold yellow"),
    "running": ("●", "bold cyan"),
    "success": ("✔", "green"),
    "failed": ("✘", "bold red"),
    "cancelled": ("⊘", "yellow"),
    "lost": ("!", "bold magenta"),
    "skipped": ("-", "dim"),
    "rolled_back": ("↩", "magenta"),
}


def sign(state: str) -> str:
    """One character for a state."""
    return SIGNS.get(state, ("?", ""))[0]


def style(state: str) -> str:
    """The colour of a state."""
    return SIGNS.get(state, ("?", ""))[1]


def said(state: str) -> str:
    """A state as people say it."""
    return state.replace("_", " ")


def span(seconds: float) -> str:
    """A time span: `7 s`, `2:05`, `1:02:05`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
