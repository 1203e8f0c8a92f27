"""Logs: filtered by the server, followed without a gap and without a repetition."""

from typing import Any

import pytest


def line(seq: int, message: str, level: str = "info") -> dict[str, Any]:
    return {
        "seq": seq,
        "timestamp": f"2026-01-01T00:00:{seq:02}Z",
        "level": level,
        "message": message,
        "stream": "stdout",
        "target": "one",
    }


@pytest.fixture
def talking(server: Any) -> Any:
    """A deployment whose two tasks said something."""
    server.add_deployment(
        status="success",
        tasks=[{"id": "a", "name": "a", "status": "success"}, {"id": "b", "name": "b"}],
    )
    server.logs = {"a": [line(1, "hello"), line(3, "bad luck", "error")], "b": [line(2, "world")]}
    return server


def messages(ran: Any) -> list[str]:
    return [each["message"] for each in ran.document["lines"]]


def test_the_lines_of_all_tasks_come_in_the_order_of_time(talking: Any, boreas: Any) -> None:
    assert messages(boreas("logs", "-o", "json")) == ["hello", "world", "bad luck"]


def test_one_task_can_be_asked_for(talking: Any, boreas: Any) -> None:
    assert messages(boreas("logs", "--task", "b", "-o", "json")) == ["world"]


def test_level_and_text_are_filtered(talking: Any, boreas: Any) -> None:
    assert messages(boreas("logs", "--level", "error", "-o", "json")) == ["bad luck"]
    assert messages(boreas("logs", "--grep", "wor", "-o", "json")) == ["world"]


def test_following_shows_every_line_once_and_ends_with_the_deployment(
    talking: Any, boreas: Any
) -> None:
    talking.logs["a"] = [line(seq, f"line {seq}") for seq in range(1, 51)]
    talking.logs["b"] = []

    told = messages(boreas("logs", "-f", "--tail", "10", "-o", "json"))

    assert told == [f"line {seq}" for seq in range(41, 51)]


def test_escape_sequences_of_a_log_do_not_drive_the_terminal(talking: Any, boreas: Any) -> None:
    talking.logs["a"] = [line(1, "\x1b]0;owned\x07text")]

    assert "\x1b" not in boreas("logs").out
