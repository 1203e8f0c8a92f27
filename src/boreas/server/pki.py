"""One certificate authority for all servers of a database.

Agents pin the authority, so a server that takes another's agents over must have the same one. The
first server's authority is kept in the database, its key sealed like every secret as soon as there
is a key to seal with; the others take it from there.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from boreas.credentials.vault import Vault, VaultState
from boreas.domain.errors import NotFound
from boreas.domain.secrets import SecretKind, SecretRef
from boreas.store import SqlStore
from boreas.store import SqlTransaction as Transaction
from boreas.transport.authority import CertificateAuthority
from boreas.transport.keys import write_private

_CERTIFICATE: Final = "pki.ca_certificate"
_KEY: Final = "pki.ca_key"
_SEALED_KEY: Final = SecretRef(owner_id="pki", revision=1)
_NOWHERE: Final = (
    "The certificate authority's key is neither in the database nor in this data directory; start "
    "a server that has pki/ca.key once, and it will be shared again."
)


async def shared_authority(
    store: SqlStore, directory: Path, now: datetime, vault: Vault
) -> CertificateAuthority:
    """The authority of this installation. On SQLite it lies in the data directory alone."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not store.is_sqlite:
        await _share(store, directory, now, vault)
    return CertificateAuthority.open(directory, now)


async def _share(store: SqlStore, directory: Path, now: datetime, vault: Vault) -> None:
    async with store.transaction() as tx:
        await tx.meta.take_turn("pki")
        certificate = await tx.meta.get(_CERTIFICATE)
        if certificate is None:
            CertificateAuthority.open(directory, now)
            await tx.meta.put(_CERTIFICATE, (directory / "ca.crt").read_text())
            await _keep_key(tx, vault, (directory / "ca.key").read_text())
            return
        key = await _kept_key(tx, vault, _own_key(directory, certificate))
    write_private(directory / "ca.key", key.encode())
    write_private(directory / "ca.crt", certificate.encode())


def _own_key(directory: Path, certificate: str) -> str | None:
    """This server's copy, if it is of the same authority."""
    mine, key = directory / "ca.crt", directory / "ca.key"
    if mine.exists() and key.exists() and mine.read_text() == certificate:
        return key.read_text()
    return None


async def _kept_key(tx: Transaction, vault: Vault, own: str | None) -> str:
    """The authority's key; `SecretsUnavailable` if it is sealed and this server has no copy."""
    is_open = vault.state is VaultState.OPEN
    if is_open and await tx.secrets.find([_SEALED_KEY]):
        return (await vault.open(tx, _SEALED_KEY)).decode()
    key = await tx.meta.get(_KEY) or own
    if key is None:
        raise vault.trouble or NotFound(_NOWHERE)
    if is_open:
        await _keep_key(tx, vault, key)
    return key


async def _keep_key(tx: Transaction, vault: Vault, key: str) -> None:
    """Sealed if that can be."""
    if vault.state is VaultState.OPEN:
        await vault.put(tx, SecretKind.AUTHORITY, _SEALED_KEY.owner_id, None, key.encode())
        await tx.meta.remove(_KEY)
    else:
        await tx.meta.put(_KEY, key)
