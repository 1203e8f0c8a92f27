"""The server's certificate authority: who it is to agents, and who agents are to it.

Made on the server's first start and kept in its data directory. Several servers of one database
share the two CA files; each makes its own server certificate. The agent's proof is bound to the
server certificate of the very connection, so sharing a CA lets no server stand in for another.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from boreas.domain.errors import BoreasError
from boreas.transport.keys import (
    AGENT_URI,
    SERVER_NAME,
    der,
    key_from_pem,
    key_to_pem,
    new_key,
    pem,
    spki_sha256,
    write_private,
)

CA_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=365)
AGENT_LIFE = timedelta(days=90)
# Nodes whose clock is a little behind must not find a new certificate "not yet valid".
BACKDATED = timedelta(hours=1)


class BadCsr(ValueError):
    """The certificate request is unreadable, not signed by its key, or of the wrong kind."""


class BrokenAuthority(BoreasError):
    """The authority's files do not fit together; a new one would lock every agent out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """What a listener needs: files for the TLS library, and the leaf for channel binding."""

    certificate_path: Path
    key_path: Path
    leaf_der: bytes
    ca_der: bytes


class CertificateAuthority:
    """Signs server and agent certificates. `repr` shows only the pin, which is public."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    def __repr__(self) -> str:
        return f"CertificateAuthority(pin={self.pin.hex()[:16]}…)"

    @property
    def pin(self) -> bytes:
        """SHA-256 of the CA's public key, as enrol tokens carry it."""
        return spki_sha256(self.certificate)

    @classmethod
    def create(cls, now: datetime) -> "CertificateAuthority":
        """A new authority; its certificate is its own."""
        key = new_key()
        name = _name(f"Boreas CA {x509.random_serial_number():x}"[:40])
        certificate = (
            _builder(name, name, key.public_key(), now, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def open(cls, directory: Path, now: datetime) -> "CertificateAuthority":
        """The authority kept in `directory`, made there if there is none yet."""
        certificate_path, key_path = directory / "ca.crt", directory / "ca.key"
        if key_path.exists() != certificate_path.exists():
            raise BrokenAuthority(
                f"{directory} holds only one of ca.key and ca.crt: restore the other from a backup,"
                " or remove both and enrol every agent again"
            )
        if key_path.exists():
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
            return cls(certificate, key_from_pem(key_path.read_bytes()))
        authority = cls.create(now)
        authority.save(directory)
        return authority

    def save(self, directory: Path) -> None:
        """Keep certificate and key in `directory`, readable by the owner only."""
        write_private(directory / "ca.key", key_to_pem(self._key))
        write_private(directory / "ca.crt", pem(self.certificate))

    def server_certificate(self, directory: Path, now: datetime) -> ServerCertificate:
        """The server certificate in `directory`, renewed in the last third of its life."""
        certificate_path, key_path = directory / "server.crt", directory / "server.key"
        leaf = _usable_leaf(certificate_path, key_path, self.certificate, now)
        if leaf is None:
            key = new_key()
            leaf = self.sign_server(key.public_key(), now)
            write_private(key_path, key_to_pem(key))
            write_private(certificate_path, pem(leaf))
        return ServerCertificate(
            certificate_path=certificate_path,
            key_path=key_path,
            leaf_der=der(leaf),
            ca_der=der(self.certificate),
        )

    def sign_server(self, public_key: ec.EllipticCurvePublicKey, now: datetime) -> x509.Certificate:
        """A certificate that may be shown by servers only."""
        return self._sign(
            _builder(_name(SERVER_NAME), self.certificate.subject, public_key, now, SERVER_LIFE),
            x509.DNSName(SERVER_NAME),
            ExtendedKeyUsageOID.SERVER_AUTH,
        )

    def sign_agent(self, csr_pem: bytes, agent_id: str, now: datetime) -> x509.Certificate:
        """A certificate that may be shown by this agent only. Raises `BadCsr`.

        Nothing but the public key is taken from the request: who the agent is, the server says.
        """
        public_key = public_key_of(csr_pem)
        return self._sign(
            _builder(_name(agent_id), self.certificate.subject, public_key, now, AGENT_LIFE),
            x509.UniformResourceIdentifier(AGENT_URI + agent_id),
            ExtendedKeyUsageOID.CLIENT_AUTH,
        )

    def _sign(
        self,
        builder: x509.CertificateBuilder,
        name: x509.GeneralName,
        purpose: x509.ObjectIdentifier,
    ) -> x509.Certificate:
        issuer = self._key.public_key()
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False)
            .sign(self._key, hashes.SHA256())
        )


def public_key_of(csr_pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key that asks for a certificate, if it has signed the request itself. Raises `BadCsr`."""
    try:
        csr = x509.load_pem_x509_csr(csr_pem)
        public_key = csr.public_key()
    except ValueError as error:
        raise BadCsr("the certificate request cannot be read") from error
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or public_key.key_size != 256:
        raise BadCsr("the key of the certificate request is not P-256")
    if not csr.is_signature_valid:
        raise BadCsr("the certificate request is not signed by its own key")
    return public_key


def _usable_leaf(
    certificate_path: Path, key_path: Path, ca: x509.Certificate, now: datetime
) -> x509.Certificate | None:
    if not (certificate_path.exists() and key_path.exists()):
        return None
    leaf = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    key = key_from_pem(key_path.read_bytes())
    ours = leaf.issuer == ca.subject and leaf.public_key() == key.public_key()
    return leaf if ours and leaf.not_valid_after_utc - now > SERVER_LIFE / 3 else None


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
