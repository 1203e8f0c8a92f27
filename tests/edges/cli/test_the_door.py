"""`boreas`: three programs behind one door, each imported only when it is the one."""

import subprocess
import sys

import pytest

import boreas
from boreas import __main__ as door


def modules_after(*arguments: str) -> set[str]:
    """What is imported after the command line ran with these arguments."""
    code = (
        "import sys; from boreas.__main__ import main; "
        f"main({list(arguments)!r}); sys.stderr.write(chr(10).join(sys.modules))"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_and_version_import_nothing_heavy() -> None:
    loaded = modules_after("--version")

    assert not loaded & {"aiohttp", "yaml", "fastapi", "sqlalchemy", "psutil", "boreas.server"}


def test_without_the_extra_the_server_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Importing it again would leave the new module in the package, for all later tests.
    monkeypatch.setattr(boreas, "server", getattr(boreas, "server", None), raising=False)
    for name in [name for name in sys.modules if name.startswith("boreas.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert door.main(["server", "--data-dir", "/nowhere"]) == 1
    assert "pip install 'boreas-cd[server]'" in capsys.readouterr().err


def test_a_program_gets_its_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def agent(argv: list[str]) -> int:
        seen.append(argv)
        return 78

    monkeypatch.setattr("boreas.agent.main.main", agent)

    assert door.main(["agent", "--name", "n"]) == 78
    assert seen == [["--name", "n"]]
