"""What may be stored as a credential: keys that open, kubeconfigs that stand alone."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from boreas.credentials.contents import checked, unpacked
from boreas.domain.credentials import CredentialType
from boreas.domain.errors import InvalidInput

ED25519 = ed25519.Ed25519PrivateKey.generate()


def pem(
    key: Any,
    form: PrivateFormat = PrivateFormat.OpenSSH,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())
    return text.decode()


def refused(kind: CredentialType, **given: object) -> tuple[str, str]:
    """The field that is named, and the whole message."""
    with pytest.raises(InvalidInput) as error:
        checked(kind, given)
    assert error.value.__cause__ is None
    return error.value.fields[0].field, error.value.message


@pytest.mark.parametrize(
    "form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
@pytest.mark.parametrize(
    "key",
    [
        ED25519,
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["ed25519", "p256", "rsa"],
)
def test_a_key_that_ssh_takes_is_known_by_its_public_fingerprint(
    key: Any, form: PrivateFormat, tmp_path: Path
) -> None:
    if key is ED25519 and form is PrivateFormat.TraditionalOpenSSL:
        pytest.skip("there is no such form of an Ed25519 key")
    public = tmp_path / "key.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    told = subprocess.run(
        ["ssh-keygen", "-lf", str(public)], capture_output=True, text=True, check=True
    )

    contents = checked(CredentialType.SSH, {"private_key": pem(key, form)})

    assert contents.details["public_key"] == told.stdout.split()[1]


def test_a_key_comes_back_with_line_ends_that_ssh_reads() -> None:
    key = pem(ED25519)

    contents = checked(CredentialType.SSH, {"private_key": key.replace("\n", "\r\n")})

    assert unpacked(contents.packed()) == {"private_key": key}


@pytest.mark.parametrize("form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8])
def test_an_encrypted_key_needs_its_own_passphrase(form: PrivateFormat) -> None:
    locked = pem(ED25519, form, BestAvailableEncryption(b"open sesame"))

    opened = checked(CredentialType.SSH, {"private_key": locked, "passphrase": "open sesame"})
    missing = refused(CredentialType.SSH, private_key=locked)
    wrong = refused(CredentialType.SSH, private_key=locked, passphrase="open barley")

    assert opened.details["key_type"] == "ssh-ed25519"
    assert missing == (
        "data.passphrase",
        "data.passphrase: is missing: the key is encrypted; give its passphrase",
    )
    assert wrong[0] == "data.passphrase"
    assert "does not open the key" in wrong[1]
    assert "barley" not in wrong[1]


def test_a_passphrase_for_a_key_that_has_none_is_refused() -> None:
    field, said = refused(CredentialType.SSH, private_key=pem(ED25519), passphrase="x")

    assert (field, "is not encrypted" in said) == ("data.passphrase", True)


def cut(text: str) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[: len(lines) // 2], lines[-1]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "is not a private key in PEM"),
        (cut(pem(ED25519)), "cannot be read; it is cut or damaged"),
        (cut(pem(ED25519, PrivateFormat.PKCS8)), "cannot be read; it is cut or damaged"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", "is the public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "puttygen"),
        (pem(dsa.generate_private_key(2048), PrivateFormat.PKCS8), "is a DSA key"),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "is a certificate"),
    ],
)
def test_what_is_no_usable_key_is_said_with_the_mend(text: str, said: str) -> None:
    field, message = refused(CredentialType.SSH, private_key=text)

    assert field == "data.private_key"
    assert said in message
    assert text not in message


def test_a_key_that_would_keep_the_server_busy_for_hours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "slow", "-a", "600", "-f", str(path)]
    subprocess.run(command, check=True)

    _, said = refused(CredentialType.SSH, private_key=path.read_text(), passphrase="slow")

    assert "more than 512 rounds" in said


@pytest.mark.parametrize(
    ("protection", "said"),
    [
        (["-v2", "aes-256-cbc", "-iter", "5000001"], "more than 5000000 rounds"),
        (["-scrypt"], "is protected by scrypt"),
    ],
)
def test_the_same_is_true_of_keys_that_openssl_protected(
    tmp_path: Path, protection: list[str], said: str
) -> None:
    plain, path = tmp_path / "plain", tmp_path / "key"
    plain.write_text(pem(ED25519, PrivateFormat.PKCS8))
    files = ["-in", str(plain), "-out", str(path), "-passout", "pass:slow"]
    subprocess.run(["openssl", "pkcs8", "-topk8", *files, *protection], check=True)

    _, message = refused(CredentialType.SSH, private_key=path.read_text(), passphrase="slow")

    assert said in message


def test_a_usual_number_of_rounds_is_taken(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "key"
    plain.write_text(pem(ED25519, PrivateFormat.PKCS8))
    files = ["-in", str(plain), "-out", str(path), "-passout", "pass:slow"]
    subprocess.run(["openssl", "pkcs8", "-topk8", *files, "-iter", "600000"], check=True)

    given = {"private_key": path.read_text(), "passphrase": "slow"}

    assert checked(CredentialType.SSH, given).details["key_type"] == "ssh-ed25519"


def a_kubeconfig(**user: Any) -> dict[str, Any]:
    cluster = {"server": "https://k8s.example.org:6443", "certificate-authority-data": "AAAA"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {"token": "abc"}}],
    }


def test_a_kubeconfig_that_stands_alone_is_taken() -> None:
    text = yaml.safe_dump(a_kubeconfig())

    contents = checked(CredentialType.KUBECONFIG, {"kubeconfig": text})

    assert contents.details == {"server": "https://k8s.example.org:6443", "context": "prod"}


def without(part: str) -> dict[str, Any]:
    return {name: value for name, value in a_kubeconfig().items() if name != part}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (without("current-context"), "has no current-context"),
        (without("contexts"), "no entry in contexts"),
        (without("clusters"), "no entry in clusters"),
        (without("users"), "no entry in users"),
        ({**a_kubeconfig(), "clusters": [{"name": "c", "cluster": {"server": "http://k"}}]}, "htt"),
        (a_kubeconfig(**{"client-key": "/etc/key"}), "points to a file (client-key)"),
        (a_kubeconfig(token="x", tokenFile="/run/token"), "points to a file (tokenFile)"),
        (a_kubeconfig(exec={"command": "curl"}), "runs a program (exec)"),
        (a_kubeconfig(**{"auth-provider": {"name": "gcp"}}), "runs a program (auth-provider)"),
        (a_kubeconfig(username="admin"), "neither a token nor a client key"),
        ([], "is not a mapping"),
        ("just text", "is not a mapping"),
    ],
)
def test_a_kubeconfig_that_an_agent_could_not_use_is_refused(config: Any, said: str) -> None:
    field, message = refused(CredentialType.KUBECONFIG, kubeconfig=yaml.safe_dump(config))

    assert field == "data.kubeconfig"
    assert said in message


def test_broken_yaml_is_said_by_its_place_and_not_repeated() -> None:
    _, said = refused(CredentialType.KUBECONFIG, kubeconfig="users: [\n  token: s3cret")

    assert "is not YAML at line" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        (CredentialType.ACCESS_TOKEN, {}, "data.token"),
        (CredentialType.ACCESS_TOKEN, {"token": "a\nb"}, "data.token"),
        (CredentialType.ACCESS_TOKEN, {"token": "a\0b"}, "data.token"),
        (CredentialType.ACCESS_TOKEN, {"token": "\ud800"}, "data.token"),
        (CredentialType.ACCESS_TOKEN, {"token": "x" * 70_000}, "data.token"),
        (CredentialType.ACCESS_TOKEN, {"token": ["x"]}, "data.token"),
        (CredentialType.USERNAME_TOKEN, {"username": "a", "token": "b"}, "data.token"),
        (
            CredentialType.REGISTRY,
            {"registry": "u:p@host", "username": "a", "password": "b"},
            "data.registry",
        ),
    ],
)
def test_a_wrong_part_is_named(kind: CredentialType, given: dict[str, object], field: str) -> None:
    assert refused(kind, **given)[0] == field


@pytest.mark.parametrize(
    "registry",
    ["registry.example.org", "localhost:5000", "https://index.docker.io/v1/", "[::1]:5000"],
)
def test_a_registry_is_a_host_perhaps_with_port_and_path(registry: str) -> None:
    given = {"registry": registry, "username": "robot$ci", "password": "b"}

    assert checked(CredentialType.REGISTRY, given).details == {"registry": registry}


def test_contents_do_not_show_themselves() -> None:
    assert "s3cret" not in repr(checked(CredentialType.ACCESS_TOKEN, {"token": "s3cret"}))
