"""An admin lets somebody in, who does what their role allows; all of it can be proved later."""

import json
import sqlite3
from pathlib import Path

from tests.support.boreas_cli import Cli, write_shop
from tests.support.installation import Installation
from tests.support.live import Live

PASSWORD = "correct horse battery"


def test_people_and_what_they_did(
    cli: Cli, for_cli: Installation, live: Live, tmp_path: Path
) -> None:
    cli.good("apply", "-f", write_shop(tmp_path / "shop.yaml", live, "v1"))
    create = ("users", "create", "grace", "--email", "g@navy.example", "--password-stdin")
    cli.good(*create, stdin=f"{PASSWORD}\n")
    grace = Cli(home=tmp_path / "grace", url=cli.url)
    grace.home.mkdir()
    grace.good("login", "-u", "grace", "--password-stdin", stdin=f"{PASSWORD}\n")

    # No member: the project is not there at all.
    assert grace.document("projects", "list") == []
    assert grace.run("deploy", "shop", "prod", "v1").returncode == 4

    cli.good("members", "add", "grace", "developer", "-p", "shop")
    assert [each["name"] for each in grace.document("projects", "list")] == ["shop"]
    refused = grace.run("deploy", "shop", "prod", "v1")
    assert refused.returncode == 3, refused.stderr
    assert "the role maintainer or owner" in refused.stderr
    assert grace.run("members", "set", "grace", "owner", "-p", "shop").returncode == 3

    cli.good("members", "set", "grace", "maintainer", "-p", "shop")
    assert grace.run("deploy", "shop", "prod", "v1", "--watch").returncode == 0

    trail = grace.document("audit", "list", "-p", "shop", "--actor", "grace")
    assert [each["action"] for each in trail] == ["deployment.create"]
    roles = {each["role"]: each["name"] for each in cli.document("members", "list", "-p", "shop")}
    last = cli.run("members", "remove", roles["owner"], "-p", "shop", "--yes")
    assert (last.returncode, "last owner" in last.stderr) == (5, True)

    lines = cli.good("audit", "export").splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    assert PASSWORD not in "\n".join(lines)
    assert "entries hold" in cli.good("audit", "verify")

    change_behind_the_back(for_cli.servers[0].data_dir / "boreas.db", sequence=3)

    found = cli.document("doctor", code=1)["findings"]
    broken = [each for each in found if each["about"] == "audit trail"]
    assert broken[0]["verdict"] == "bad"
    assert broken[0]["said"].startswith("entry 3 was changed")
    cli.good("users", "disable", "grace", "--why", "left")
    assert grace.run("projects", "list").returncode == 3


def change_behind_the_back(database: Path, *, sequence: int) -> None:
    """What somebody with access to the file can do, and not without being seen."""
    with sqlite3.connect(database, timeout=30) as connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute(
            "UPDATE audit SET document = document || ' ' WHERE sequence = ?", (sequence,)
        )
