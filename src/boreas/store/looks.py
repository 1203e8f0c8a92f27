"""What was lately seen of people's standing, so that reading the same again costs no query.

Only reading transactions ask here: whoever changes something is looked up anew, in the transaction
that changes it. A change of people on this server empties it at the commit; one made by another
server is seen when an entry has become too old, which is sooner than any open stream looks again.
"""

from typing import Any, Final

from boreas.kit.clock import Clock

GOOD_FOR_SECONDS: Final = 2.0
_MOST: Final = 20_000
Key = tuple[str, ...]


class Looks:
    """Shared by all transactions of a store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[Key, tuple[float, Any]] = {}
        self.generation = 0
        """Grows with every change; who began before it may not add what they read."""

    def recall(self, key: Key) -> Any | None:
        """What was seen, or None."""
        found = self._seen.get(key)
        if found is None or self._clock.monotonic() - found[0] > GOOD_FOR_SECONDS:
            return None
        return found[1]

    def keep(self, key: Key, value: Any, generation: int) -> None:
        """Remember it, if nothing has changed since that generation; None is not remembered."""
        if value is None or generation != self.generation:
            return
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[key] = (self._clock.monotonic(), value)

    def forget(self) -> None:
        """Somebody's standing has changed, or may have."""
        self.generation += 1
        self._seen.clear()
