"""The doctor says what is broken and how to mend it; its exit code says whether something is."""

import socket
from pathlib import Path
from typing import Any

import pytest

from boreas.cli.checkup import docker
from boreas.cli.checkup.data_dir import check_data_dir
from boreas.cli.checkup.finding import Verdict
from boreas.cli.checkup.network import check_quic, is_version_answer, version_probe


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "SOCKETS", ())


def about(ran: Any, what: str) -> Any:
    return next(each for each in ran.document["findings"] if each["about"].startswith(what))


def test_a_server_that_answers_is_good_and_knows_who_you_are(boreas: Any) -> None:
    ran = boreas("doctor", "-o", "json")

    assert about(ran, "server")["verdict"] == "good"
    assert about(ran, "clock")["verdict"] == "good"
    assert "ada" in about(ran, "sign-in")["said"]


def test_blocked_udp_is_bad_and_leaves_with_1(boreas: Any) -> None:
    ran = boreas("doctor", "--quic", "127.0.0.1:9", "-o", "json")

    assert ran.code == 1
    assert about(ran, "UDP")["verdict"] == "bad"
    assert ran.document["healthy"] is False


def test_every_bad_finding_has_a_mend(stranger: Any) -> None:
    ran = stranger("doctor", "--server", "http://127.0.0.1:9", "-o", "json")

    bad = [each for each in ran.document["findings"] if each["verdict"] == "bad"]
    assert bad
    assert all(each["mend"] for each in bad)


def test_a_damaged_database_is_found(tmp_path: Path) -> None:
    (tmp_path / "boreas.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)

    found = {each.about: each for each in check_data_dir(tmp_path)}

    assert found["database"].verdict is Verdict.BAD
    assert "boreas restore" in found["database"].mend


def test_before_a_start_a_taken_port_is_bad(stranger: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        ran = stranger("doctor", "--server", url, "--before-start", "-o", "json")

    assert about(ran, "TCP")["verdict"] == "bad"


async def test_a_quic_server_is_known_by_its_answer_to_an_unknown_version() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]

    assert (await check_quic("127.0.0.1", port)).verdict is Verdict.BAD
    assert len(version_probe()) >= 1200
    assert is_version_answer(b"\x80\0\0\0\0\x08doctor01\x08boreasdr\0\0\0\x01")
    assert not is_version_answer(b"HTTP/1.1 400 Bad Request")


@pytest.mark.parametrize(
    ("keys", "state", "said"),
    [
        ({"state": "no_key", "problem": "x", "keys": []}, "note", "no key to keep secrets with"),
        ({"state": "locked", "problem": "sealed with the key ab", "keys": []}, "bad", "key ab"),
        (
            {
                "state": "open",
                "problem": "",
                "keys": [
                    {"key_id": "new", "current": True, "secrets": 3},
                    {"key_id": "old", "current": False, "secrets": 0},
                ],
            },
            "note",
            "the old key old is needed no more",
        ),
        (
            {
                "state": "open",
                "problem": "",
                "keys": [
                    {"key_id": "new", "current": True, "secrets": 3},
                    {"key_id": "old", "current": False, "secrets": 2},
                ],
            },
            "note",
            "are being moved",
        ),
        (
            {
                "state": "open",
                "problem": "",
                "keys": [{"key_id": "new", "current": True, "secrets": 3}],
            },
            "good",
            "3 sealed values",
        ),
    ],
)
def test_it_says_whether_secrets_can_be_opened(
    server: Any, boreas: Any, keys: dict[str, Any], state: str, said: str
) -> None:
    server.keys = keys

    found = about(boreas("doctor", "-o", "json"), "secrets")

    assert found["verdict"] == state
    assert said in found["said"]
