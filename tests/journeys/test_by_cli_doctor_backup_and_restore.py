"""A server is looked at, saved to one file and brought back from it, by the command line."""

from pathlib import Path

from tests.support.boreas_cli import NODES, Cli, write_shop
from tests.support.installation import Installation
from tests.support.live import Live
from tests.support.waiting import until


def test_doctor_backup_and_restore(
    cli: Cli, for_cli: Installation, live: Live, tmp_path: Path
) -> None:
    cli.good("apply", "-f", write_shop(tmp_path / "shop.yaml", live, "v1", "v2"))
    assert cli.run("deploy", "shop", "prod", "v1", "--watch").returncode == 0
    server = for_cli.servers[0]
    quic = f"127.0.0.1:{server.quic}"
    sound = cli.document("doctor", "--data-dir", server.data_dir, "--quic", quic)
    assert sound["healthy"] is True
    about = {each["about"] for each in sound["findings"]}
    assert {"database", "disk", "server", "clock"} <= about, about
    assert any("UDP" in each["about"] + each["said"] for each in sound["findings"])
    file = tmp_path / "backup.tar.gz"
    cli.good("backup", file, "--data-dir", server.data_dir)
    assert cli.run("deploy", "shop", "prod", "v2", "--watch").returncode == 0
    assert cli.run("restore", file, "--data-dir", server.data_dir).returncode != 0

    server.stop()
    assert cli.run("doctor", "--data-dir", server.data_dir, "--quic", quic).returncode == 1
    cli.good("restore", file, "--data-dir", server.data_dir, "--replace")
    server.start()
    until(lambda: cli.online() == set(NODES), at_most=60)
    rows = cli.document("list")
    assert len(rows["items"] if isinstance(rows, dict) else rows) == 1
    assert cli.run("deploy", "shop", "prod", "v2", "--watch").returncode == 0
    assert live.everywhere("web") == {"v2"}
    assert "web v1 is live on n1" in cli.good("logs", 1)
