"""What an agent has learnt about the way to its server. Pure: times come in, a mode comes out.

Some networks pass the first QUIC packets and drop the rest. An agent there would lose its link
again and again, so QUIC that died twice of silence is left alone for a while, longer each time.
Kept per network by the agent (`dataclasses.asdict` is all that a file needs).
"""

from dataclasses import dataclass, replace

from boreas.transport.dial import TransportMode
from boreas.transport.links import CloseKind

DEATHS_WITHIN = 600.0
DEATHS_TO_AVOID = 2
FIRST_PENALTY = 600.0
LONGEST_PENALTY = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMemory:
    """Times are seconds of the wall clock, since the memory outlives the process."""

    deaths: tuple[float, ...] = ()
    avoid_quic_until: float = 0.0
    next_penalty: float = FIRST_PENALTY

    def mode(self, configured: TransportMode, now: float) -> TransportMode:
        """How to dial now."""
        if configured is TransportMode.AUTO and now < self.avoid_quic_until:
            return TransportMode.TCP
        return configured

    def after_end(self, transport: str, kind: CloseKind, now: float) -> "PathMemory":
        """A link over `transport` has ended like this."""
        if transport != "quic" or kind is not CloseKind.IDLE:
            return self
        deaths = (*(death for death in self.deaths if now - death < DEATHS_WITHIN), now)
        if len(deaths) < DEATHS_TO_AVOID:
            return replace(self, deaths=deaths)
        return PathMemory(
            avoid_quic_until=now + self.next_penalty,
            next_penalty=min(2 * self.next_penalty, LONGEST_PENALTY),
        )

    def after_proof(self) -> "PathMemory":
        """QUIC carried full packets both ways and three heartbeats: forget the bad times."""
        return PathMemory()

    def should_upgrade(self, transport: str, configured: TransportMode, now: float) -> bool:
        """On TCP, and QUIC may be tried again: dial it beside the link that works, then swap."""
        is_fallback = transport == "tcp" and configured is TransportMode.AUTO
        return is_fallback and now >= self.avoid_quic_until
