"""Which troubles a run may meet. Each seed draws its own mix, so that calm runs exist too."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace

from boreas.testing.simulate.dice import Dice


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Probabilities and weights of what may go wrong; 0 switches a trouble off."""

    failing: float = 0.0
    """A verb fails."""
    hanging: float = 0.0
    """A verb never ends by itself."""
    deafness: float = 0.0
    """A hung agent does not even obey a stop request."""
    cuts: float = 0.0
    """Links break; what was on the wire is gone."""
    crashes: float = 0.0
    """Agents are killed and come back; their commands live on."""
    reboots: float = 0.0
    """Nodes restart: what ran is lost and reported so."""
    wipes: float = 0.0
    """An agent's disk is replaced: it remembers nothing."""
    disorder: float = 0.0
    """Reports come twice or out of order."""
    kills: float = 0.0
    """The server is killed between two writes, or after the commit."""
    revocations: float = 0.0
    people: float = 0.0
    """How busy people are."""
    mischief: float = 0.0
    """How often people do something other than agree."""
    edits: float = 0.0
    """How often the graph is edited."""


CALM = Weather(people=1.0)
TROUBLES = tuple(it.name for it in fields(Weather))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a run lasts, and what shrinking has switched off."""

    steps: int = 140
    without: Collection[str] = field(default_factory=tuple)


def weather_of(dice: Dice, without: Collection[str]) -> Weather:
    """This seed's weather; always drawn in full, so that switching one off moves no other."""

    def some(often: float, low: float, high: float) -> float:
        strength = dice.between(low, high)
        return strength if dice.chance(often) else 0.0

    drawn = Weather(
        failing=some(0.75, 0.02, 0.3),
        hanging=some(0.4, 0.01, 0.1),
        deafness=some(0.3, 0.1, 0.5),
        cuts=some(0.5, 0.05, 0.6),
        crashes=some(0.4, 0.05, 0.4),
        reboots=some(0.3, 0.02, 0.2),
        wipes=some(0.25, 0.02, 0.15),
        disorder=some(0.5, 0.1, 0.5),
        kills=some(0.5, 0.02, 0.3),
        revocations=some(0.1, 0.01, 0.05),
        people=some(0.97, 0.3, 1.5),
        mischief=some(0.7, 0.05, 0.9),
        edits=some(0.4, 0.2, 1.0),
    )
    return replace(drawn, **dict.fromkeys(without, 0.0))
