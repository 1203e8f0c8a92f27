"""When an agent beats, and when a server that does not answer counts as gone.

Pure: link.py asks it with the time. A server that was killed and started again never says so to
an agent that was silent meanwhile; unanswered beats are the only sign, so they must follow each
other quickly once one is unanswered.
"""

from boreas.kit.ids import jittered

JITTER = 0.2

# With something under way a dead server must be found out within seconds, so that a restarted one
# has its busy agents back.
BUSY_SILENCE_SECONDS = 5.0
# An idle agent beats every 15 s (18 with jitter): with this it is back half a minute after a kill
# at the latest.
IDLE_SILENCE_SECONDS = 9.0
_PROBE_SECONDS = 3.0


class Pulse:
    """The beats of one link and their answers."""

    def __init__(self, *, idle_seconds: float, busy_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._busy_seconds = busy_seconds
        self._unanswered_since: float | None = None

    def beaten(self, now: float) -> None:
        """A beat was sent."""
        if self._unanswered_since is None:
            self._unanswered_since = now

    def heard(self) -> None:
        """The server said something."""
        self._unanswered_since = None

    @property
    def is_answered(self) -> bool:
        """The server spoke since the last beat."""
        return self._unanswered_since is None

    def is_silent(self, now: float, *, busy: bool) -> bool:
        """The server counts as gone."""
        return self._seconds_left(now, busy=busy) <= 0

    def answer_time(self, now: float, *, busy: bool) -> float:
        """How long to wait for an answer before the next beat."""
        pause = self._busy_seconds if busy else _PROBE_SECONDS
        return max(0.0, min(pause, self._seconds_left(now, busy=busy)))

    def rest(self) -> float:
        """How long an idle agent whose beat was answered rests after the answer time."""
        return max(0.0, jittered(self._idle_seconds, by=JITTER) - _PROBE_SECONDS)

    def _seconds_left(self, now: float, *, busy: bool) -> float:
        limit = BUSY_SILENCE_SECONDS if busy else IDLE_SILENCE_SECONDS
        since = now if self._unanswered_since is None else self._unanswered_since
        return since + limit - now
