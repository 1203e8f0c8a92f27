"""The agent's identity: its key, which never leaves the node, and what the server issued for it.

Kept in the agent's data directory, readable by its owner only. The key is written before the first
contact, so that an enrolment whose answer was lost can be repeated with the same key.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from boreas.transport.frames import Prove
from boreas.transport.keys import (
    AGENT_URI,
    der,
    key_from_pem,
    key_to_pem,
    new_key,
    pem,
    spki_sha256,
    write_private,
)
from boreas.transport.proof import words_to_sign


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """Proves to the server which agent this is."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate
    ca: x509.Certificate

    @property
    def agent_id(self) -> str:
        """As the server named it."""
        names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return str(names.value.get_values_for_type(x509.UniformResourceIdentifier)[0]).removeprefix(
            AGENT_URI
        )

    @property
    def ca_pem(self) -> bytes:
        """For TLS to trust this server and no other."""
        return pem(self.ca)

    @property
    def ca_pin(self) -> bytes:
        """The same, as a hash."""
        return spki_sha256(self.ca)

    def prove(self, server_leaf: bytes, nonce: bytes) -> Prove:
        """The answer to a challenge on the connection whose server showed this certificate."""
        agent_nonce = secrets.token_bytes(32)
        words = words_to_sign(server_leaf, nonce, agent_nonce)
        return Prove(
            certificate_der=der(self.certificate),
            signature=self.key.sign(words, ec.ECDSA(hashes.SHA256())),
            agent_nonce=agent_nonce,
        )

    def wants_renewal(self, now: datetime) -> bool:
        """Two thirds of the certificate's life are over."""
        start, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return now >= start + (end - start) * 2 / 3


class AgentVault:
    """Where the identity is kept on disk."""

    def __init__(self, directory: Path) -> None:
        self._key_path = directory / "agent.key"
        self._certificate_path = directory / "agent.crt"
        self._ca_path = directory / "server-ca.crt"

    def identity(self) -> AgentIdentity | None:
        """The identity, or None while the agent is not enrolled."""
        paths = (self._key_path, self._certificate_path, self._ca_path)
        if not all(path.exists() for path in paths):
            return None
        certificate = x509.load_pem_x509_certificate(self._certificate_path.read_bytes())
        key = self.key()
        if certificate.public_key() != key.public_key():
            return None
        return AgentIdentity(
            key=key,
            certificate=certificate,
            ca=x509.load_pem_x509_certificate(self._ca_path.read_bytes()),
        )

    def key(self) -> ec.EllipticCurvePrivateKey:
        """The agent's key, made on first use."""
        if not self._key_path.exists():
            write_private(self._key_path, key_to_pem(new_key()))
        return key_from_pem(self._key_path.read_bytes())

    def csr(self) -> bytes:
        """A request for a certificate, PEM. It names nobody: who this is, the server says."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "boreas agent")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        return request.sign(self.key(), hashes.SHA256()).public_bytes(Encoding.PEM)

    def keep(self, certificate_der: bytes, ca: x509.Certificate) -> AgentIdentity:
        """Store what the server issued. Raises `ValueError` if it is not for our key."""
        certificate = x509.load_der_x509_certificate(certificate_der)
        key = self.key()
        if certificate.public_key() != key.public_key():
            raise ValueError("the server issued a certificate for another key")
        write_private(self._ca_path, pem(ca))
        write_private(self._certificate_path, pem(certificate))
        return AgentIdentity(key=key, certificate=certificate, ca=ca)

    def forget(self) -> None:
        """Drop certificate and key: the next enrolment starts from nothing."""
        for path in (self._certificate_path, self._key_path):
            path.unlink(missing_ok=True)
