"""`boreas doctor`: look at this machine and a server, and say how to mend what is wrong."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from boreas.cli.archive.data_dir import holder_of, quic_address_of
from boreas.cli.checkup.data_dir import check_data_dir, disk
from boreas.cli.checkup.docker import check_docker
from boreas.cli.checkup.finding import Finding, Verdict
from boreas.cli.checkup.network import check_free, check_quic, check_tcp_fallback
from boreas.cli.checkup.server import check_server
from boreas.cli.exits import ExitCode
from boreas.cli.failures import usage
from boreas.cli.verbs import Session, new_app, verb
from boreas.kit.clock import SystemClock

app = new_app()

SIGNS = {Verdict.GOOD: "✔", Verdict.BAD: "✘", Verdict.NOTE: "·"}


@app.command()
@verb
async def doctor(
    session: Session,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", envvar="BOREAS_DATA_DIR", metavar="DIR", help="Look at it too."),
    ] = None,
    quic: Annotated[
        str | None,
        typer.Option("--quic", metavar="HOST:PORT", help="The agents' port, by default 8443."),
    ] = None,
    ports_free: Annotated[
        bool, typer.Option("--before-start", help="The ports shall be free, not answering.")
    ] = False,
) -> None:
    """Check server, database, ports, UDP, disk, clock and Docker; exit code 1 if one is bad."""
    found: list[Finding] = []
    async for each in _findings(session, data_dir, quic, ports_free=ports_free):
        found.append(each)
        if not session.out.is_json:
            _say(each)
    broken = [each for each in found if each.verdict is Verdict.BAD]
    session.out.result(
        {"healthy": not broken, "findings": [each.document() for each in found]},
        "All is well." if not broken else f"{len(broken)} of {len(found)} need mending.",
    )
    if broken:
        raise typer.Exit(ExitCode.FAILED)


async def _findings(
    session: Session, data_dir: Path | None, quic: str | None, *, ports_free: bool
) -> AsyncIterator[Finding]:
    url = urlsplit(session.client.server)
    http_host, http_port = url.hostname or "127.0.0.1", url.port or _default_port(url.scheme)
    quic = quic or _quic_of_server_on(data_dir)
    quic_host, quic_port = _address(quic) if quic else (http_host, 8443)
    if data_dir is not None:
        for each in check_data_dir(data_dir):
            yield each
    else:
        yield disk(Path.cwd())
    if ports_free:
        yield check_free(http_host, http_port, udp=False)
        yield check_free(quic_host, quic_port, udp=True)
        yield check_free(quic_host, quic_port, udp=False)
    else:
        async for each in check_server(session.client, SystemClock()):
            yield each
        yield await check_quic(quic_host, quic_port)
        yield await check_tcp_fallback(quic_host, quic_port)
    yield await check_docker()


def _quic_of_server_on(data_dir: Path | None) -> str | None:
    holder = holder_of(data_dir) if data_dir is not None and data_dir.is_dir() else None
    return quic_address_of(holder) if holder else None


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise usage(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _say(finding: Finding) -> None:
    typer.echo(f"{SIGNS[finding.verdict]} {finding.about}: {finding.said}")
    if finding.mend and finding.verdict is not Verdict.GOOD:
        typer.echo(f"    {finding.mend}")
