"""Can ssh use this private key, and which is it?"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from boreas.domain.errors import InvalidInput, invalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization.ssh import SSHPrivateKeyTypes

FIELD: Final = "data.private_key"
PASSPHRASE: Final = "data.passphrase"
_OPENSSH: Final = "-----BEGIN OPENSSH PRIVATE KEY-----"
_MAGIC: Final = b"openssh-key-v1\0"
# ssh-keygen's default is 16 or 24; a key that says a million would keep a core busy for hours.
_MOST_ROUNDS: Final = 512
_LEAST_RSA_BITS: Final = 2048
# openssl's default is 2,048, careful people take 600,000; this many take a few seconds.
_MOST_ITERATIONS: Final = 5_000_000
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")
_ANEW: Final = "protect it anew: `ssh-keygen -p -a 24 -f KEY`"


def check_private_key(text: str, passphrase: str | None) -> Mapping[str, str]:
    """Its type and its public fingerprint as `ssh-keygen -l` says it; `InvalidInput` otherwise."""
    _look_at_form(text)
    key = _loaded(text.strip().encode() + b"\n", passphrase)
    from cryptography.hazmat.primitives.asymmetric import dsa, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, dsa.DSAPrivateKey):
        raise invalid(FIELD, "is a DSA key, which ssh does not take any more", _NEW_KEY)
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        raise invalid(FIELD, f"is an RSA key of {key.key_size} bits; that is too short", _NEW_KEY)
    try:
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except ValueError:
        raise invalid(FIELD, "is of a kind that ssh does not take", _NEW_KEY) from None
    kind, encoded = public.decode().split(" ")[:2]
    digest = hashlib.sha256(base64.b64decode(encoded)).digest()
    return {"key_type": kind, "public_key": "SHA256:" + base64.b64encode(digest).decode()[:43]}


_NEW_KEY: Final = "make one with `ssh-keygen -t ed25519`"


def _look_at_form(text: str) -> None:
    begin = text.strip()
    if begin.startswith("PuTTY-User-Key-File"):
        mend = "convert it: `puttygen KEY.ppk -O private-openssh -o KEY`"
        raise invalid(FIELD, "is a PuTTY key, which ssh cannot read", mend)
    if begin.startswith(("ssh-", "ecdsa-", "sk-", "-----BEGIN PUBLIC", "---- BEGIN SSH2")):
        raise invalid(FIELD, "is the public half", "give the private one, the file without .pub")
    if begin.startswith("-----BEGIN CERT"):
        raise invalid(FIELD, "is a certificate", "give the private key")
    if not begin.startswith("-----BEGIN ") or "PRIVATE KEY-----" not in begin:
        mend = "give the whole text from -----BEGIN … PRIVATE KEY----- to its END line"
        raise invalid(FIELD, "is not a private key in PEM", mend)
    if begin.startswith(_OPENSSH) and _rounds(begin) > _MOST_ROUNDS:
        problem = f"would take more than {_MOST_ROUNDS} rounds to open"
        raise invalid(FIELD, problem, _ANEW)
    if "ENCRYPTED PRIVATE KEY-----" in begin.partition("\n")[0]:
        _look_at_work(_body(begin))


def _look_at_work(der: bytes) -> None:
    """How long it would take to try a passphrase on a PKCS 8 key; damage shows itself later."""
    if _SCRYPT in der:
        raise invalid(FIELD, "is protected by scrypt, which is not read here", _ANEW)
    _, found, parameters = der.partition(_PBKDF2)
    if not found:
        return
    # SEQUENCE { OCTET STRING salt, INTEGER iterations, ... }, each with a short length.
    after_salt = parameters[4 + parameters[3] :] if len(parameters) > 4 else b""
    if after_salt[:1] == b"\x02" and len(after_salt) > 1:
        iterations = int.from_bytes(after_salt[2 : 2 + after_salt[1]], "big")
        if iterations > _MOST_ITERATIONS:
            problem = f"would take more than {_MOST_ITERATIONS} rounds to open"
            raise invalid(FIELD, problem, _ANEW)


def _body(text: str) -> bytes:
    """What stands between the lines of dashes; nothing if that is not base64."""
    body = "".join(line.strip() for line in text.splitlines() if not line.startswith("-----"))
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return b""


def _rounds(text: str) -> int:
    """How often an OpenSSH key's passphrase is hashed; 0 if that cannot be read."""
    raw = _body(text)
    if not raw.startswith(_MAGIC):
        return 0
    try:
        _, rest = _string(raw[len(_MAGIC) :])
        _, rest = _string(rest)
        options, _ = _string(rest)
        _, after_salt = _string(options)
        return int(struct.unpack(">I", after_salt[:4])[0])
    except struct.error:
        return 0


def _string(raw: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack(">I", raw[:4])
    return raw[4 : 4 + length], raw[4 + length :]


def _loaded(pem: bytes, passphrase: str | None) -> "SSHPrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        load_pem_private_key,
        load_ssh_private_key,
    )

    load = load_ssh_private_key if pem.startswith(_OPENSSH.encode()) else load_pem_private_key
    secret = None if passphrase is None else passphrase.encode()
    try:
        # What is no key for ssh is sorted out by who asked.
        return load(pem, secret)  # type: ignore[return-value]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Not as the cause: its words may hold parts of the key.
        wrong = _wrong(error, passphrase)
    raise wrong


def _wrong(error: Exception, passphrase: str | None) -> InvalidInput:
    if isinstance(error, TypeError) and passphrase is None:
        return invalid(PASSPHRASE, "is missing: the key is encrypted", "give its passphrase")
    if isinstance(error, TypeError):
        return invalid(PASSPHRASE, "is given, but the key is not encrypted", "leave it out")
    said = str(error).lower()
    if passphrase is not None and ("password" in said or "corrupt" in said or "decrypt" in said):
        return invalid(PASSPHRASE, "does not open the key", "check that it is this key's")
    if said.startswith("unsupported") or not isinstance(error, ValueError):
        return invalid(FIELD, "is of a kind that cannot be used", _NEW_KEY)
    return invalid(FIELD, "cannot be read; it is cut or damaged", "copy it again, whole")
