"""Which refusals end the agent, and after which it dials on. Used by uplink.py alone.

Whoever ends says why and with a code of its own, so that a person acts; whoever dials on comes back
by itself once the reason is gone.
"""

from typing import Final

from boreas.transport.refusals import Refusal, RefusalCode, ServerNotTrusted

FINAL_REFUSALS: Final = frozenset(
    {
        RefusalCode.TOKEN_UNKNOWN,
        RefusalCode.TOKEN_USED,
        RefusalCode.TOKEN_EXPIRED,
        RefusalCode.CSR_BAD,
        RefusalCode.CERTIFICATE_MALFORMED,
        RefusalCode.CERTIFICATE_FOREIGN,
        RefusalCode.CERTIFICATE_EXPIRED,
        RefusalCode.CERTIFICATE_NOT_AGENT,
        RefusalCode.AGENT_UNKNOWN,
        RefusalCode.AGENT_REVOKED,
        RefusalCode.KEY_UNKNOWN,
    }
)

# A newcomer was just started by a person, who reads the reason and starts it otherwise.
FINAL_FOR_NEWCOMERS: Final = frozenset({RefusalCode.PROTOCOL_VERSION, RefusalCode.NAME_TAKEN})

# A server that speaks another version may be the wrong one of two during an upgrade, or be taken
# back in a minute: a whole fleet that had ended at once would then have to be started by hand.
MISFIT_SECONDS: Final = 600.0


class GivingUp:
    """Remembers for how long no server has spoken our version."""

    def __init__(self) -> None:
        self._misfit_since: float | None = None

    def welcomed(self) -> None:
        """A server let us in."""
        self._misfit_since = None

    def is_due(self, refusal: Refusal | ServerNotTrusted, *, is_newcomer: bool, now: float) -> bool:
        """Whether trying again cannot help; `now` is monotonic.

        A server that is not the one we know may be an impostor between us and it: dial on.
        """
        if isinstance(refusal, ServerNotTrusted):
            return is_newcomer
        if refusal.refusal_code in FINAL_REFUSALS:
            return True
        if is_newcomer:
            return refusal.refusal_code in FINAL_FOR_NEWCOMERS
        return refusal.refusal_code == RefusalCode.PROTOCOL_VERSION and self._is_misfit(now)

    def _is_misfit(self, now: float) -> bool:
        if self._misfit_since is None:
            self._misfit_since = now
        return now - self._misfit_since >= MISFIT_SECONDS
