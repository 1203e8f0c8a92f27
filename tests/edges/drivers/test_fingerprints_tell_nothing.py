"""Fingerprints say whether a value changed, and nothing else."""

from pathlib import Path

from boreas.drivers.fingerprints import fingerprints


def test_the_same_value_has_the_same_fingerprint_in_its_own_scope_only(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    values = {"environment": ["TOKEN=hunter2"], "ports": None}
    assert fingerprints(here, values) == fingerprints(here, values)
    assert fingerprints(here, values) != fingerprints(there, values)
    assert "hunter2" not in str(fingerprints(here, values))


def test_another_value_has_another_fingerprint(tmp_path: Path) -> None:
    one = fingerprints(tmp_path, {"ports": {"80/tcp": []}, "command": [None, ["sh"]]})
    two = fingerprints(tmp_path, {"ports": {"81/tcp": []}, "command": [None, ["sh"]]})
    assert one["ports"] != two["ports"]
    assert one["command"] == two["command"]


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    fingerprints(tmp_path, {"ports": 1})
    assert (tmp_path / "fingerprint.key").stat().st_mode & 0o777 == 0o600
