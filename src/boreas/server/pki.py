"""One certificate authority for all servers of a database.

Agents pin the authority, so a server that takes another's agents over must have the same one. The
first server's authority is kept in the database; the others take it from there.
"""

from datetime import datetime
from pathlib import Path

from boreas.store import SqlStore
from boreas.transport.authority import CertificateAuthority
from boreas.transport.keys import write_private

_CERTIFICATE = "pki.ca_certificate"
_KEY = "pki.ca_key"


async def shared_authority(store: SqlStore, directory: Path, now: datetime) -> CertificateAuthority:
    """The authority of this installation. On SQLite it lies in the data directory alone."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not store.is_sqlite:
        await _share(store, directory, now)
    return CertificateAuthority.open(directory, now)


async def _share(store: SqlStore, directory: Path, now: datetime) -> None:
    async with store.transaction() as tx:
        await tx.meta.take_turn("pki")
        certificate, key = await tx.meta.get(_CERTIFICATE), await tx.meta.get(_KEY)
        if certificate is None or key is None:
            CertificateAuthority.open(directory, now)
            await tx.meta.put(_CERTIFICATE, (directory / "ca.crt").read_text())
            await tx.meta.put(_KEY, (directory / "ca.key").read_text())
            return
    write_private(directory / "ca.key", key.encode())
    write_private(directory / "ca.crt", certificate.encode())
