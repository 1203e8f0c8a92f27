"""What is secret in the orders of agents: opened as they go out, masked in whatever comes back.

The agent masks first. This is the second net, for an agent that is old or lies, and it also knows
what an agent cannot: the values that replaced those of a running order.
"""

from collections.abc import Callable, Sequence

import structlog

from boreas.domain.delivery import NO_SECRETS, OpenedSecrets
from boreas.domain.errors import BoreasError, Unavailable
from boreas.domain.outbox import Place
from boreas.domain.secrets import SecretRef, SecretsUnavailable
from boreas.kit.clock import Clock
from boreas.logs.chunk_masking import ChunkMasker
from boreas.logs.masking import SecretForms, TextMasker, forms_in
from boreas.server.gateway.ports import Secrets

log = structlog.get_logger(__name__)

# A value that is replaced while an order runs is masked in its log from then on; should nobody hear
# of it, after this long at the latest.
LOOK_AGAIN_SECONDS = 2.0
_OUTAGE_REST_SECONDS = 1.0

Stamp = Sequence[SecretRef]
Masked = Callable[[str], str]


class NoVault:
    """Fits `Secrets` where no vault is: nothing can be opened."""

    async def opened_for(self, place: Place) -> OpenedSecrets:
        """Never."""
        raise SecretsUnavailable("this server has no vault to open the order's secrets with")

    async def revisions(self, place: Place) -> Stamp:
        """None are known."""
        return ()

    async def values(self, place: Place, revisions: Stamp) -> Sequence[str]:
        """None are known."""
        return ()


class Secrecy:
    """Opens and masks, with patience while the database is away."""

    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock
        self.changes = 0
        """How often something was said to have changed."""

    def look_again(self) -> None:
        """A secret has a new value: logs under way must not show it."""
        self.changes += 1

    async def opened_for(self, place: Place) -> tuple[OpenedSecrets, str]:
        """What goes out with an order, or nothing and the reason in words."""
        while True:
            try:
                return await self._secrets.opened_for(place), ""
            except Unavailable:
                await self._clock.sleep(_OUTAGE_REST_SECONDS)
            except BoreasError as trouble:
                told = f"the server could not open the secrets of this order: {trouble.message}"
                log.warning(told, action="secrets_not_opened", execution=place.execution_id)
                return NO_SECRETS, told

    async def text_mask(self, place: Place) -> Masked:
        """Takes this order's secrets out of a text."""
        if not place.has_secrets:
            return str
        forms = await self.forms(place, await self.revisions(place))
        return TextMasker(forms) if forms is not None else str

    async def revisions(self, place: Place) -> Stamp:
        """Of every secret of the order, all that are kept: the old ones and the newest."""
        while True:
            try:
                return await self._secrets.revisions(place)
            except Unavailable:
                await self._clock.sleep(_OUTAGE_REST_SECONDS)

    async def forms(self, place: Place, revisions: Stamp) -> SecretForms | None:
        """What to look for; None when nothing can be opened, and the agent's mask must do."""
        while True:
            try:
                return forms_in(await self._secrets.values(place, revisions))
            except Unavailable:
                await self._clock.sleep(_OUTAGE_REST_SECONDS)
            except BoreasError as trouble:
                log.warning(
                    "a log is not masked a second time",
                    action="log_not_masked",
                    execution=place.execution_id,
                    reason=trouble.message,
                )
                return None

    async def log_mask(self, place: Place) -> "LogMask | None":
        """For one stream of the order's log; None when it has no secrets."""
        if not place.has_secrets:
            return None
        mask = LogMask(self, place, self._clock)
        await mask.look()
        return mask


class LogMask:
    """One log stream: what came is given out masked, in whole chunks of unchanged length."""

    def __init__(self, secrecy: Secrecy, place: Place, clock: Clock) -> None:
        self._secrecy = secrecy
        self._place = place
        self._clock = clock
        self._known: Stamp = ()
        self._masker: ChunkMasker | None = None
        self._looked_at = 0.0
        self._changes = -1

    async def look(self) -> bytes:
        """Learn what was replaced; answers what the old masker held back."""
        self._looked_at = self._clock.monotonic()
        self._changes = self._secrecy.changes
        revisions = await self._secrecy.revisions(self._place)
        if revisions == self._known:
            return b""
        self._known = revisions
        forms = await self._secrecy.forms(self._place, revisions)
        if forms is None:
            return self._replaced_by(None)
        return self._replaced_by(ChunkMasker(forms))

    def _replaced_by(self, masker: ChunkMasker | None) -> bytes:
        rest = self._masker.end() if self._masker is not None else b""
        self._masker = masker
        return rest

    async def feed(self, block: bytes) -> bytes:
        """What is ready to be stored. Raises `BadChunk`."""
        rest = b""
        is_old = self._clock.monotonic() - self._looked_at >= LOOK_AGAIN_SECONDS
        if is_old or self._changes != self._secrecy.changes:
            rest = await self.look()
        return rest + (block if self._masker is None else self._masker.feed(block))

    def end(self) -> bytes:
        """What was held back."""
        return self._masker.end() if self._masker is not None else b""
