"""A process's own log on a disk that is full."""

from pathlib import Path

import structlog

from boreas.kit.last_words import unfailing

FULL = Path("/dev/full")


def test_a_full_disk_does_not_stop_whoever_says_so() -> None:
    with FULL.open("w", buffering=1) as full:
        logger = structlog.PrintLogger(unfailing(full))

        logger.msg("there is no room")
        logger.msg("still none")

        full.buffer.raw.close()  # the rest of the line would fail again here


def test_a_line_that_can_be_written_is_written(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        stream = unfailing(file)
        stream.write("all is well\n")
        stream.flush()

    assert (tmp_path / "log").read_text() == "all is well\n"
