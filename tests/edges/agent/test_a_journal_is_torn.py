"""Whatever a crash leaves of the journal, its sound beginning is read and the rest is cut."""

import os

import pytest

from boreas.agent.journal import FenceSeen, Journal, Reported, ReportSettled, Taken
from boreas.agent.records import MAGIC, NotAJournal, RecordFile, sound_records
from boreas.domain.orders import Outcome
from boreas.transport.frames import Report


def a_report(sequence: int, kind: str = "started") -> Report:
    outcome = Outcome.SUCCESS.value if kind == "finished" else None
    return Report(order_id="o", sequence=sequence, kind=kind, at=1.0, outcome=outcome)


def taken(order_id: str = "o", fence: int = 1) -> Taken:
    return Taken(order_id=order_id, scope="t/a", fence=fence, body=b"body")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def test_every_cut_of_the_file_leaves_a_sound_beginning(path):
    file = RecordFile(path)
    file.read()
    wanted = [b"one", b"two" * 10, b"", b"four"]
    file.append(wanted)
    content = path.read_bytes()

    for length in range(len(MAGIC), len(content) + 1):
        records, end = sound_records(content[:length])
        assert records == wanted[: len(records)]
        assert end <= length


def test_every_flipped_byte_is_found(path):
    file = RecordFile(path)
    file.read()
    file.append([b"one", b"two"])
    content = path.read_bytes()

    for position in range(len(MAGIC), len(content)):
        rotten = bytearray(content)
        rotten[position] ^= 0x40
        records, _ = sound_records(bytes(rotten))
        assert records in ([], [b"one"])


def test_after_a_cut_the_file_goes_on(path):
    file = RecordFile(path)
    file.read()
    file.append([b"one", b"two"])
    os.truncate(path, file.size - 1)

    again = RecordFile(path)
    assert again.read() == [b"one"]
    again.append([b"three"])

    assert RecordFile(path).read() == [b"one", b"three"]
    assert path.with_suffix(".cut").exists()


def test_a_file_that_is_no_journal_is_left_alone(path):
    path.write_bytes(b"precious words")

    with pytest.raises(NotAJournal, match="is not a journal"):
        RecordFile(path)

    assert path.read_bytes() == b"precious words"


async def test_entries_are_there_after_a_restart(path):
    journal = Journal(RecordFile(path))
    await journal.write(taken(), Reported(report=a_report(1)))
    journal.close()

    order = Journal(RecordFile(path)).orders["o"]

    assert (order.scope, order.fence, order.body) == ("t/a", 1, b"body")
    assert [report.kind for report in order.open_reports] == ["started"]


async def test_entries_of_one_write_are_all_there_or_none(path):
    journal = Journal(RecordFile(path))
    before = path.stat().st_size
    await journal.write(taken(), Reported(report=a_report(1)), Reported(report=a_report(2)))
    journal.close()
    content = path.read_bytes()

    for length in range(before, len(content)):
        path.write_bytes(content[:length])
        assert Journal(RecordFile(path)).orders == {}


async def test_a_settled_order_is_forgotten_only_when_its_fence_cannot_return(path):
    journal = Journal(RecordFile(path))
    await journal.write(taken(), Reported(report=a_report(1, "finished")))
    journal.note(ReportSettled(order_id="o", sequence=1))
    journal.orders["o"].log_settled = True
    journal._compact()
    assert "o" in journal.orders

    await journal.write(FenceSeen(scope="t/a", fence=2))
    journal._compact()

    assert journal.orders == {}
    assert Journal(RecordFile(path)).fences == {"t/a": 2}


async def test_writes_of_one_turn_share_a_sync(path, monkeypatch):
    journal = Journal(RecordFile(path))
    syncs = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (syncs.append(fd), real(fd)))

    import asyncio

    await asyncio.gather(*(journal.write(taken(f"o{n}")) for n in range(50)))

    assert len(syncs) == 1
    assert len(journal.orders) == 50


async def test_a_full_disk_makes_the_journal_wait_and_loses_nothing(path, monkeypatch):
    monkeypatch.setattr("boreas.agent.journal.NO_ROOM_RETRY_SECONDS", 0.01)
    journal = Journal(RecordFile(path))
    real, failures = os.pwrite, [3]

    def full(fd: int, data: bytes, offset: int) -> int:
        if failures[0]:
            failures[0] -= 1
            return real(fd, data[:5], offset)
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    await journal.write(taken())
    journal.close()

    assert list(Journal(RecordFile(path)).orders) == ["o"]
