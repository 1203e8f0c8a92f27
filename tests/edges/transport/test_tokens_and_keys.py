"""Enrol tokens, the authority's files and the agent's vault."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from boreas.transport.authority import (
    AGENT_LIFE,
    SERVER_LIFE,
    BadCsr,
    BrokenAuthority,
    CertificateAuthority,
)
from boreas.transport.frames import Enrol
from boreas.transport.identity import AgentVault
from boreas.transport.keys import der
from boreas.transport.proof import check_server
from boreas.transport.refusals import ServerNotTrusted
from boreas.transport.tokens import BadToken, EnrolToken, secret_hash

from .conftest import CLOCK

NOW = CLOCK.now()


@pytest.mark.parametrize("server", ["cd.example.org:443", "10.0.0.1:7443", "[2001:db8::1]:443"])
def test_a_token_survives_being_pasted(server: str) -> None:
    token = EnrolToken(server=server, ca_pin=b"\x01" * 32, secret="abc-DEF_123")

    assert EnrolToken.parse(f"  {token.reveal()}\n") == token


def test_a_token_never_shows_its_secret_by_accident() -> None:
    token = EnrolToken(server="a:1", ca_pin=b"\x01" * 32, secret="hunter2")

    enrol = Enrol(token_secret="hunter2", csr_pem=b"")

    assert "hunter2" not in f"{token} {token!r} {enrol} {enrol.__rich_repr__()}"
    assert "hunter2" not in secret_hash("hunter2")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "boreas1.",
        "boreas2.a:1." + "00" * 32 + ".s",
        "boreas1.a:1." + "00" * 31 + ".s",
        "boreas1.a:1." + "zz" * 32 + ".s",
        "boreas1.a:1." + "00" * 32 + ".",
        "boreas1.a." + "00" * 32 + ".s",
        "boreas1.a:0." + "00" * 32 + ".s",
        "boreas1.a:99999." + "00" * 32 + ".s",
        "boreas1." + "00" * 32 + ".s",
    ],
)
def test_a_damaged_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadToken) as bad:
        EnrolToken.parse(text)

    assert "00" * 16 not in str(bad.value)


def test_the_authority_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "pki"
    first = CertificateAuthority.open(directory, NOW)
    first.server_certificate(directory, NOW)

    again = CertificateAuthority.open(directory, NOW)

    assert again.pin == first.pin
    assert {path.name for path in directory.iterdir()} == {
        "ca.crt",
        "ca.key",
        "server.crt",
        "server.key",
    }
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in directory.iterdir())
    assert directory.stat().st_mode & 0o777 == 0o700


def test_half_an_authority_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    CertificateAuthority.open(tmp_path, NOW)
    (tmp_path / "ca.crt").unlink()

    with pytest.raises(BrokenAuthority, match="backup"):
        CertificateAuthority.open(tmp_path, NOW)


def test_the_server_certificate_is_renewed_in_its_last_third(tmp_path: Path) -> None:
    authority = CertificateAuthority.open(tmp_path, NOW)
    first = authority.server_certificate(tmp_path, NOW).leaf_der

    kept = authority.server_certificate(tmp_path, NOW + SERVER_LIFE / 2).leaf_der
    renewed = authority.server_certificate(tmp_path, NOW + SERVER_LIFE * 0.7).leaf_der

    assert kept == first != renewed


def test_a_server_certificate_of_another_authority_is_replaced(tmp_path: Path) -> None:
    CertificateAuthority.create(NOW).server_certificate(tmp_path, NOW)
    authority = CertificateAuthority.create(NOW)

    leaf = authority.server_certificate(tmp_path, NOW).leaf_der

    assert check_server(leaf, der(authority.certificate), pin=authority.pin, now=NOW)


def test_an_agents_certificate_says_what_the_server_says_and_nothing_of_the_request(
    tmp_path: Path,
) -> None:
    authority = CertificateAuthority.create(NOW)

    certificate = authority.sign_agent(AgentVault(tmp_path).csr(), "agt_9", NOW)

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("boreas://agent/agt_9")]
    assert certificate.not_valid_after_utc - NOW <= AGENT_LIFE


@pytest.mark.parametrize("csr", [b"", b"garbage", b"-----BEGIN CERTIFICATE REQUEST-----\n"])
def test_a_bad_request_gets_no_certificate(csr: bytes) -> None:
    with pytest.raises(BadCsr):
        CertificateAuthority.create(NOW).sign_agent(csr, "agt_1", NOW)


def test_a_server_is_trusted_only_by_pin_signature_name_and_time(tmp_path: Path) -> None:
    ours, other = CertificateAuthority.create(NOW), CertificateAuthority.create(NOW)
    key = AgentVault(tmp_path).key()
    leaf, ca = der(ours.sign_server(key.public_key(), NOW)), der(ours.certificate)
    agents = der(ours.sign_agent(AgentVault(tmp_path).csr(), "agt_1", NOW))

    assert check_server(leaf, ca, pin=ours.pin, now=NOW)
    for wrong in (
        lambda: check_server(leaf, ca, pin=other.pin, now=NOW),
        lambda: check_server(leaf, der(other.certificate), pin=other.pin, now=NOW),
        lambda: check_server(agents, ca, pin=ours.pin, now=NOW),
        lambda: check_server(ca, ca, pin=ours.pin, now=NOW),
        lambda: check_server(leaf, ca, pin=ours.pin, now=NOW + 2 * SERVER_LIFE),
        lambda: check_server(leaf, ca, pin=ours.pin, now=NOW - timedelta(days=1)),
        lambda: check_server(b"", ca, pin=ours.pin, now=NOW),
        lambda: check_server(leaf, b"\x30\x00", pin=ours.pin, now=NOW),
    ):
        with pytest.raises(ServerNotTrusted):
            wrong()


def test_a_wrong_clock_is_hinted_at(tmp_path: Path) -> None:
    ours = CertificateAuthority.create(NOW)
    leaf = der(ours.sign_server(AgentVault(tmp_path).key().public_key(), NOW))

    with pytest.raises(ServerNotTrusted, match="this machine's clock"):
        check_server(leaf, der(ours.certificate), pin=ours.pin, now=NOW - timedelta(days=1))


def test_the_vault_keeps_the_key_and_what_was_issued(tmp_path: Path) -> None:
    authority, vault = CertificateAuthority.create(NOW), AgentVault(tmp_path / "id")
    assert vault.identity() is None
    issued = authority.sign_agent(vault.csr(), "agt_1", NOW)

    vault.keep(der(issued), authority.certificate)

    identity = AgentVault(tmp_path / "id").identity()
    assert identity is not None
    assert identity.agent_id == "agt_1"
    assert identity.ca_pin == authority.pin
    assert "key=" not in repr(identity)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "id").iterdir())


def test_the_vault_refuses_a_certificate_for_another_key(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(NOW)
    issued = authority.sign_agent(AgentVault(tmp_path / "a").csr(), "agt_1", NOW)

    with pytest.raises(ValueError, match="another key"):
        AgentVault(tmp_path / "b").keep(der(issued), authority.certificate)


def test_renewal_is_wanted_after_two_thirds_of_a_life(tmp_path: Path) -> None:
    authority, vault = CertificateAuthority.create(NOW), AgentVault(tmp_path)
    identity = vault.keep(
        der(authority.sign_agent(vault.csr(), "agt_1", NOW)), authority.certificate
    )

    assert not identity.wants_renewal(NOW + AGENT_LIFE * 0.6)
    assert identity.wants_renewal(NOW + AGENT_LIFE * 0.7)
