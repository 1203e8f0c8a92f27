"""`NAME=value` lines in $BOREAS_OUTPUTS reach the server with the end of the order."""

import os

import pytest

from boreas.agent.handed_on import read_outputs
from boreas.testing.fake_gateway import an_order


async def test_what_a_command_writes_there_arrives_with_its_result(bench, gateway):
    bench.start()

    await gateway.order(an_order(command='echo COVERAGE=81 >> "$BOREAS_OUTPUTS"; exit 3'))
    report = await gateway.finished()

    assert report.exit_code == 3
    assert report.result == {"outputs": {"COVERAGE": "81"}}


async def test_a_command_that_writes_nothing_hands_on_nothing(bench, gateway):
    bench.start()

    await gateway.order(an_order(command="true"))

    assert (await gateway.finished()).result == {}


def test_a_later_line_wins_and_other_lines_are_passed_over(tmp_path):
    file = tmp_path / "outputs"
    file.write_text("A=1\nnothing\n1B=x\n# C=2\nA=2=3\n")

    assert read_outputs(file, str) == {"A": "2=3"}


def test_secrets_are_masked(tmp_path):
    file = tmp_path / "outputs"
    file.write_text("TOKEN=hunter2\n")

    assert read_outputs(file, lambda text: text.replace("hunter2", "***")) == {"TOKEN": "***"}


def test_a_flood_is_cut(tmp_path):
    file = tmp_path / "outputs"
    file.write_text("\n".join(f"N{n}={'x' * 5000}" for n in range(1000)))
    found = read_outputs(file, str)

    assert len(found) <= 64
    assert max(map(len, found.values())) <= 4096


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_is_no_plain_file_hands_on_nothing(tmp_path, kind):
    file = tmp_path / "outputs"
    secret = tmp_path / "secret"
    secret.write_text("A=1\n")
    match kind:
        case "link":
            file.symlink_to(secret)
        case "pipe":
            os.mkfifo(file)
        case "directory":
            file.mkdir()

    assert read_outputs(file, str) == {}
