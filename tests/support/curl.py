"""The real curl, as a user of the HTTP interface has it."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Curl:
    """Calls one server; `token` is sent as bearer, `jar` keeps cookies."""

    url: str
    jar: Path | None = None
    token: str = ""
    calls: list[str] = field(default_factory=list)

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the answer's JSON."""
        argv = ["curl", "--silent", "--show-error", "-X", method, "-w", "\n%{http_code}"]
        if body is not None:
            argv += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        if self.token:
            argv += ["-H", f"Authorization: Bearer {self.token}"]
        if self.jar is not None:
            argv += ["-b", str(self.jar), "-c", str(self.jar)]
        ran = subprocess.run(
            [*argv, self.url + path], capture_output=True, text=True, check=True, timeout=30
        )
        text, _, status = ran.stdout.rpartition("\n")
        self.calls.append(f"{method} {path} -> {status}")
        return int(status), json.loads(text) if text else None

    def good(self, method: str, path: str, body: Any = None) -> Any:
        """The answer; anything but 2xx fails the test."""
        status, answer = self(method, path, body)
        assert 200 <= status < 300, f"{method} {path}: {status} {answer}"
        return answer
