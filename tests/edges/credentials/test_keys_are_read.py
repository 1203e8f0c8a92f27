"""Which texts are keys, and what is said of those that are not."""

import base64
from pathlib import Path

import pytest

from boreas.credentials.keys import SecretKey, read_ring, ring_from
from boreas.domain.errors import InvalidInput
from boreas.testing.secrets import a_key

MATERIAL = a_key().material
BASE64 = base64.b64encode(MATERIAL).decode()


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        BASE64.rstrip("="),
        base64.urlsafe_b64encode(MATERIAL).decode(),
        MATERIAL.hex(),
        MATERIAL.hex().upper(),
        f"  {BASE64}\n",
    ],
)
def test_a_key_is_base64_or_hex(text: str) -> None:
    assert read_ring(text).current == SecretKey(MATERIAL)


def test_of_several_keys_the_first_seals_and_the_others_still_open() -> None:
    ring = read_ring(f"{a_key('new').material.hex()}, {BASE64}")

    assert ring.current == a_key("new")
    assert ring.old == (a_key(),)
    assert ring.find(a_key().id) == a_key()
    assert ring.find("unknown") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (BASE64[:-4], "has 30 bytes, not 32"),
        (MATERIAL.hex() + "ab", "has 49 bytes, not 32"),
        ("!" * 44, "is neither base64 nor hex"),
        ("00" * 32, "does not look random"),
        (bytes(range(32)).hex(), "does not look random"),
        (bytes(range(0, 256, 8)).hex(), "does not look random"),
        (b"correct horse battery staple 123".hex(), "does not look random"),
        (base64.b64encode(b"0123456789abcdef" * 2).decode(), "does not look random"),
        (f"{BASE64},", "key 2 of 2"),
        (f"{BASE64},{MATERIAL.hex()}", "the same key twice"),
    ],
)
def test_what_is_no_good_key_is_refused_without_repeating_it(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ring_from({"QUIC_FLOW_SECRET_KEY": text})

    assert said in refused.value.message
    assert "QUIC_FLOW_SECRET_KEY" in refused.value.message
    assert not text or text not in refused.value.message


def test_a_key_may_lie_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{BASE64}\n")

    ring = ring_from({"QUIC_FLOW_SECRET_KEY_FILE": str(path)})

    assert ring is not None
    assert ring.current == a_key()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="absent cannot be read: No such file"):
        ring_from({"QUIC_FLOW_SECRET_KEY_FILE": str(tmp_path / "absent")})


def test_a_file_of_raw_bytes_is_refused_without_showing_them(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xff\xfe" * 16)

    with pytest.raises(InvalidInput, match="is not text") as refused:
        ring_from({"QUIC_FLOW_SECRET_KEY_FILE": str(path)})

    assert refused.value.__cause__ is None


def test_key_and_file_at_once_are_refused() -> None:
    both = {"QUIC_FLOW_SECRET_KEY": BASE64, "QUIC_FLOW_SECRET_KEY_FILE": "/run/secrets/key"}

    with pytest.raises(InvalidInput, match="give one of them"):
        ring_from(both)


def test_no_word_of_a_key_is_no_key() -> None:
    assert ring_from({}) is None


def test_a_key_never_shows_itself() -> None:
    ring = read_ring(f"{BASE64},{a_key('old').material.hex()}")

    assert MATERIAL.hex() not in repr(ring)
    assert repr(MATERIAL) not in repr(ring)
    assert repr(ring.current) == f"SecretKey({ring.current.id})"
    assert ring.current.id not in MATERIAL.hex()
