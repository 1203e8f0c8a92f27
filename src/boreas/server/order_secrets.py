"""The secrets of an order, out of the vault: when it is sent, and to mask what its agent says.

Fits `server.gateway.ports.Secrets`. Whoever gets a credential for an order is written down, in the
same transaction in which it is opened.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from boreas.credentials.contents import unpacked
from boreas.credentials.vault import Vault
from boreas.domain.credentials import CredentialAction, CredentialEvent
from boreas.domain.delivery import OpenedCredential, OpenedSecrets, refs_in
from boreas.domain.outbox import Place
from boreas.domain.secrets import SecretRef
from boreas.kit.clock import Clock
from boreas.store import SqlStore, SqlTransaction

NEWEST: Final = 10
"""Revisions of a secret that are masked beside an order's own; older ones opened nothing lately."""
MOST_MASK_BYTES: Final = 64 * 1024
"""An order and its secrets travel as one frame of at most 256 KiB."""


class OrderSecrets:
    """Opens what a place's orders need."""

    def __init__(self, store: SqlStore, vault: Vault, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    async def opened_for(self, place: Place) -> OpenedSecrets:
        """All that the order needs; the use of its credentials is noted."""
        opening = self._store.transaction() if place.credentials else self._store.reading()
        async with opening as tx:
            revisions = await tx.secrets.revisions(_owners(place), newest=NEWEST)
            wanted = refs_in(place.secret_variables, place.credentials)
            every = await self._vault.open_all(tx, [*{*wanted, *revisions}])
            if place.credentials:
                await tx.credential_uses.note(*await self._events(tx, place))
        others = {ref: every[ref] for ref in reversed(revisions) if ref not in wanted}
        return OpenedSecrets(
            variables={name: every[ref].decode() for name, ref in place.secret_variables.items()},
            credentials={
                use: OpenedCredential(type=it.type, fields=unpacked(every[it.ref]))
                for use, it in place.credentials.items()
            },
            masks=tuple(_within(_secret_texts(place, others), MOST_MASK_BYTES)),
        )

    async def revisions(self, place: Place) -> Sequence[SecretRef]:
        """All that are kept of the order's secrets."""
        async with self._store.reading() as tx:
            newest = await tx.secrets.revisions(_owners(place), newest=NEWEST)
        own = refs_in(place.secret_variables, place.credentials)
        return sorted({*own, *newest}, key=lambda ref: (ref.owner_id, ref.revision))

    async def values(self, place: Place, revisions: Sequence[SecretRef]) -> Sequence[str]:
        """What must be masked of these."""
        async with self._store.reading() as tx:
            still = await tx.secrets.find(revisions)
            return _secret_texts(place, await self._vault.open_all(tx, list(still)))

    async def _events(self, tx: SqlTransaction, place: Place) -> Sequence[CredentialEvent]:
        deployment = await tx.deployments.get(place.deployment_id)
        return [
            CredentialEvent(
                credential_id=use.credential_id,
                at=self._clock.now(),
                action=CredentialAction.USE,
                revision=use.ref.revision,
                owner=await _owner_of(tx, use.credential_id, deployment.project_id),
                user=deployment.created_by,
                purpose=f"{name} of deployment #{deployment.number} on {place.target}",
                project_id=deployment.project_id,
                deployment_id=place.deployment_id,
                execution_id=place.execution_id,
                agent_id=place.agent_id,
            )
            for name, use in sorted(place.credentials.items())
        ]


async def _owner_of(tx: SqlTransaction, credential_id: str, project_id: str) -> str:
    """Whose it is; one that was removed by force counts as the project's."""
    credential = await tx.credentials.find(credential_id)
    return project_id if credential is None else credential.owner


def _within(texts: Iterable[str], most_bytes: int) -> Iterator[str]:
    """The first of them that fit into so many bytes."""
    left = most_bytes
    for text in texts:
        left -= len(text.encode())
        if left < 0:
            return
        yield text


def _owners(place: Place) -> set[str]:
    return {ref.owner_id for ref in refs_in(place.secret_variables, place.credentials)}


def _secret_texts(place: Place, values: Mapping[SecretRef, bytes]) -> list[str]:
    """What of these values must not be seen: a credential's user name may."""
    types = {use.ref.owner_id: use.type for use in place.credentials.values()}
    found: list[str] = []
    for ref, value in values.items():
        if (type_ := types.get(ref.owner_id)) is None:
            found.append(value.decode())
        else:
            found += OpenedCredential(type=type_, fields=unpacked(value)).secret_values()
    return found
