"""The command `boreas` as a user or a script runs it: a process with an environment of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.live import Live

NODES = [f"n{i}" for i in range(1, 7)]


@dataclass
class Cli:
    """Runs commands with a home directory of its own."""

    home: Path
    url: str
    ran: list[str] = field(default_factory=list)

    def environ(self) -> dict[str, str]:
        kept = {key: value for key in ("PATH", "LANG", "PYTHONPATH") if (value := os.getenv(key))}
        return {**kept, "HOME": str(self.home), "BOREAS_URL": self.url, "COLUMNS": "100"}

    def argv(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "boreas", *(str(each) for each in arguments)]

    def run(
        self, *arguments: object, stdin: str = "", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """One command to its end; no traceback is ever shown."""
        ran = subprocess.run(
            self.argv(*arguments),
            input=stdin,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        self.ran.append(f"{' '.join(str(a) for a in arguments)} -> {ran.returncode}")
        assert "Traceback" not in ran.stderr + ran.stdout, ran.stderr + ran.stdout
        return ran

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """One command that goes on while the test does."""
        return subprocess.Popen(
            self.argv(*arguments),
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def good(self, *arguments: object, stdin: str = "") -> str:
        """The output of a command that must end with 0."""
        ran = self.run(*arguments, stdin=stdin)
        assert ran.returncode == 0, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def document(self, *arguments: object, code: int = 0) -> Any:
        """What the command answers to a program (`-o json`)."""
        ran = self.run(*arguments, "-o", "json")
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return json.loads(ran.stdout)

    def online(self) -> set[str]:
        return {each["name"] for each in self.document("agents", "list") if each["online"]}


def write_shop(path: Path, live: Live, *versions: str) -> Path:
    def application(name: str, sick: str) -> object:
        check = {"type": "command", "command": live.check(sick=sick), "interval": 0.1, "retries": 2}
        spec = {"scripts": {"deploy": live.deploy()}}
        return {"name": name, "driver": "script", "spec": spec, "health_check": check}

    shop = {
        "project": "shop",
        "applications": [application("api", "never"), application("web", "v3")],
        "environments": [
            {"name": "prod", "kind": "prod", "targets": [{"name": n, "agent": n} for n in NODES]}
        ],
        "versions": [{"name": each, "config": {"n": each}} for each in versions],
    }
    path.write_text(yaml.safe_dump(shop))
    return path
