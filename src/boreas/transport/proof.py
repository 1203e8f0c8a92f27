"""Checks of who is who, pure functions of bytes and time.

The agent proves itself over a nonce, bound to the server certificate of this very connection: TLS
client certificates are not checked by the QUIC libraries, and a proof bound to the certificate
cannot be carried on to another server by a machine in the middle.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from boreas.transport.frames import Prove
from boreas.transport.keys import AGENT_URI, SERVER_NAME, spki_sha256
from boreas.transport.refusals import Refusal, RefusalCode, ServerNotTrusted

_CONTEXT = b"boreas/1 agent"
_ENROL_AGAIN = "make a new enrol token and enrol this agent again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenAgent:
    """Whose certificate it is, proven by a signature; whether it is still welcome is not said."""

    agent_id: str
    key_sha256: bytes
    serial: int
    not_after: datetime


def words_to_sign(server_leaf: bytes, nonce: bytes, agent_nonce: bytes) -> bytes:
    """What the agent signs."""
    return _CONTEXT + hashlib.sha256(server_leaf).digest() + nonce + agent_nonce


def check_proof(
    prove: Prove, *, ca: x509.Certificate, server_leaf: bytes, nonce: bytes, now: datetime
) -> ProvenAgent:
    """The agent behind this proof; raises `Refusal` with the first thing that is wrong."""
    certificate = _read_certificate(prove.certificate_der)
    _must_be_ours(certificate, ca)
    _must_be_in_time(certificate, now)
    agent_id = _agent_id(certificate)
    _must_satisfy_the_library(certificate, ca, now)
    _must_be_signed(certificate, prove, words_to_sign(server_leaf, nonce, prove.agent_nonce))
    return ProvenAgent(
        agent_id=agent_id,
        key_sha256=spki_sha256(certificate),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
    )


def check_server(leaf_der: bytes, ca_der: bytes, *, pin: bytes, now: datetime) -> x509.Certificate:
    """The CA certificate, if it is the pinned one and it signed the server's; else raises.

    Raises `ServerNotTrusted`. The TLS handshake has already shown that the server holds the leaf's
    key, also where TLS was told to trust anybody.
    """
    try:
        ca, leaf = x509.load_der_x509_certificate(ca_der), x509.load_der_x509_certificate(leaf_der)
        if spki_sha256(ca) != pin:
            raise ServerNotTrusted("this is not the server that made the token: its CA is another")
        verifier = PolicyBuilder().store(Store([ca])).time(now)
        verifier.build_server_verifier(x509.DNSName(SERVER_NAME)).verify(leaf, [])
    except (ValueError, UnsupportedAlgorithm, VerificationError) as error:
        raise ServerNotTrusted(
            f"the server's certificate is not good: {error}"
            f" (by this machine's clock it is {now:%Y-%m-%d %H:%M} UTC; check it)"
        ) from error
    return ca


def _read_certificate(certificate_der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        certificate.extensions  # noqa: B018 - parsed when asked for; damaged ones raise here
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Refusal(
            RefusalCode.CERTIFICATE_MALFORMED, "the certificate cannot be read", _ENROL_AGAIN
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size != 256:
        raise Refusal(
            RefusalCode.CERTIFICATE_MALFORMED, "the certificate's key is not P-256", _ENROL_AGAIN
        )
    return certificate


def _must_be_ours(certificate: x509.Certificate, ca: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise Refusal(
            RefusalCode.CERTIFICATE_FOREIGN,
            "the certificate was not issued by this server's authority",
            _ENROL_AGAIN,
        ) from error


def _must_be_in_time(certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        raise Refusal(
            RefusalCode.CERTIFICATE_NOT_YET_VALID,
            f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            f" on, and by the server's clock it is {now:%Y-%m-%d %H:%M} UTC: clock skew",
            "set the clocks right (NTP), the server's first",
        )
    if now > certificate.not_valid_after_utc:
        raise Refusal(
            RefusalCode.CERTIFICATE_EXPIRED,
            f"the certificate ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC,"
            f" and by the server's clock it is {now:%Y-%m-%d %H:%M} UTC",
            f"{_ENROL_AGAIN}, or set the server's clock right if it is wrong (clock skew)",
        )


def _agent_id(certificate: x509.Certificate) -> str:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise _not_an_agent() from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    is_agent = ExtendedKeyUsageOID.CLIENT_AUTH in purposes and len(uris) == len(names) == 1
    if not is_agent or not uris[0].startswith(AGENT_URI):
        raise _not_an_agent()
    return str(uris[0].removeprefix(AGENT_URI))


def _not_an_agent() -> Refusal:
    return Refusal(
        RefusalCode.CERTIFICATE_NOT_AGENT, "this is not an agent's certificate", _ENROL_AGAIN
    )


def _must_satisfy_the_library(
    certificate: x509.Certificate, ca: x509.Certificate, now: datetime
) -> None:
    try:
        PolicyBuilder().store(Store([ca])).time(now).build_client_verifier().verify(certificate, [])
    except VerificationError as error:
        raise Refusal(
            RefusalCode.CERTIFICATE_FOREIGN, f"the certificate is not good: {error}", _ENROL_AGAIN
        ) from error


def _must_be_signed(certificate: x509.Certificate, prove: Prove, words: bytes) -> None:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(prove.signature, words, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Refusal(
            RefusalCode.PROOF_WRONG,
            "the proof was not made for this connection with the certificate's key",
            "nothing between agent and server may end TLS; if nothing does, enrol again",
        ) from error
