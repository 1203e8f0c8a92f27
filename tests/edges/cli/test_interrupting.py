"""Ctrl-C stops the watching, never the deployment."""

import signal
import subprocess
import sys
from typing import Any


def test_ctrl_c_says_that_the_deployment_goes_on(server: Any) -> None:
    server.add_deployment()
    watching = subprocess.Popen(
        (sys.executable, "-m", "boreas", "--server", server.url, "watch", "dep_1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert "running" in watching.stdout.readline()

    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=20)

    assert watching.returncode == 130
    assert "goes on without you" in err
    assert "boreas cancel dep_1" in err
    assert "Traceback" not in err
    assert server.changes() == []
