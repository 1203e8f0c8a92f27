"""The demo's project as the file that `boreas apply` takes: six targets, three applications."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boreas.cli.demo.sources import VERSIONS
from boreas.cli.demo.world import CACHE, ENVIRONMENT, HOSTS, PROJECT, SETTINGS, WEB, World

# A first process without a handler ignores TERM, and each stop would wait for KILL.
_SERVE = (
    "trap 'exit 0' TERM; /bin/busybox httpd -p 8080; "
    "while :; do /bin/busybox sleep 60 & wait $!; done"
)
_QUICK = {"interval": 0.2, "timeout": 2, "retries": 5}


def project_document(world: World, *, image: str | None) -> dict[str, Any]:
    """The whole project; without an image there is no container application."""
    applications = [settings(world), web(world)]
    if image is not None:
        applications.append(cache(world, image))
    return {
        "project": PROJECT,
        "description": "What `boreas demo` deploys",
        "applications": applications,
        "environments": [
            {
                "name": ENVIRONMENT,
                "kind": "prod",
                "targets": [
                    {"name": host, "agent": f"node-{place}"}
                    for place, host in enumerate(HOSTS, start=1)
                ],
            }
        ],
        "versions": [
            {"name": version, "git": {"repository": f"file://{world.repository}", "ref": version}}
            for version in VERSIONS
        ],
    }


def settings(world: World) -> Mapping[str, Any]:
    """A `script` application: a file that the web application reads."""
    file = f'{world.shell(world.state_dir)}/"$BOREAS_TARGET".json'
    deploy = f"""\
set -eu
greeting="settings $BOREAS_VERSION on $BOREAS_TARGET"
printf '{{"greeting": "%s"}}\\n' "$greeting" > {file}.new
mv {file}.new {file}
echo "$greeting"
"""
    return {
        "name": SETTINGS,
        "driver": "script",
        "spec": {"scripts": {"deploy": deploy}, "timeout_seconds": 30},
        "health_check": {
            "type": "command",
            "command": f'grep -q "settings $BOREAS_VERSION " {file}',
            **_QUICK,
        },
    }


def web(world: World) -> Mapping[str, Any]:
    """A `git_pull` application: a small HTTP service, restarted after each switch."""
    state = f'{world.shell(world.state_dir)}/"$BOREAS_TARGET"'
    arguments = f'"$BOREAS_TARGET" {world.web_port} {state}.json {world.owner}'
    serve = f'{world.shell(world.directory / "web")}/"$BOREAS_TARGET"/current/serve.py'
    post_deploy = f"""\
set -eu
pid=$(cat {state}.pid 2>/dev/null || true)
if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
    echo "stopping $BOREAS_PREVIOUS_VERSION (process $pid)"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
setsid {world.shell(Path(sys.executable))} {serve} {arguments} </dev/null >>{state}.log 2>&1 &
echo $! > {state}.pid
echo "started $BOREAS_VERSION at http://$BOREAS_TARGET:{world.web_port}/"
"""
    return {
        "name": WEB,
        "driver": "git_pull",
        "spec": {
            "repository": f"file://{world.repository}",
            "path": str(world.directory / "web" / "{target}"),
            "post_deploy": post_deploy,
        },
        "health_check": {
            "type": "http",
            "url": f"http://{{target}}:{world.web_port}/healthz",
            "status": 200,
            "start_period": 3,
            "min_healthy_seconds": 0.4,
            **_QUICK,
        },
    }


def cache(world: World, image: str) -> Mapping[str, Any]:
    """A `container` application, from an image that the demo made without any registry."""
    return {
        "name": CACHE,
        "driver": "container",
        "spec": {
            "image": f"{image}:{{version}}",
            "name": f"{world.name}-{{target}}",
            "command": ["/bin/busybox", "sh", "-c", _SERVE],
        },
        "health_check": {"type": "container", "min_healthy_seconds": 0.4, **_QUICK},
    }
