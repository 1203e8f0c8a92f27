"""How an application says that it is healthy: its `health_check`, read and judged.

Parsed when an application is saved and again on the agent; the times' meaning is in
`boreas.engine.health`.
"""

import re
from dataclasses import replace
from typing import Any, Final

from boreas.domain.orders import DriverKind, HealthCheck, ProbeKind
from boreas.domain.reading import Reader, has_control_characters


def parse_health_check(document: object, driver: DriverKind) -> HealthCheck | None:
    """The typed form of an application's `health_check`; None when it has none."""
    if document is None or document == {}:
        return None
    reader = Reader(document, "health_check")
    kind = _probe_kind(reader, driver)
    asked = _PROBE_FIELDS[kind](reader)
    times = HealthCheck(
        type=kind,
        interval=reader.number("interval", 1.0, least=0.05, most=3600),
        timeout=reader.number("timeout", 5.0, least=0.05, most=3600),
        retries=reader.whole("retries", 3, least=1, most=10_000),
        start_period=reader.number("start_period", 0.0),
        min_healthy_seconds=reader.number("min_healthy_seconds", 0.0),
        healthy_deadline=reader.number("healthy_deadline", 300.0, least=1),
        progress_deadline=reader.number("progress_deadline", 600.0, least=1),
    )
    _check_deadlines(reader, times)
    reader.done()
    return replace(times, **asked)


def _probe_kind(reader: Reader, driver: DriverKind) -> ProbeKind:
    kinds = [kind for kind in ProbeKind if _suits(kind, driver)]
    known = ", ".join(f"`{kind}`" for kind in kinds)
    text = reader.text("type", required=True, mend=f"write one of {known}")
    if text is None:
        return ProbeKind.COMMAND
    for kind in kinds:
        if text == kind:
            return kind
    why = "works for container applications only" if text == "container" else "is not known"
    reader.wrong("type", f"`{text}` {why}", f"write one of {known}")
    return ProbeKind.COMMAND


def _suits(kind: ProbeKind, driver: DriverKind) -> bool:
    return kind is not ProbeKind.CONTAINER or driver is DriverKind.CONTAINER


def _command_fields(reader: Reader) -> dict[str, Any]:
    mend = "write the bash that ends with 0 when all is well"
    return {"command": reader.text("command", required=True, mend=mend, check=_nul_problem)}


def _http_fields(reader: Reader) -> dict[str, Any]:
    mend = "write a full address such as http://127.0.0.1:8080/health"
    url = reader.text("url", required=True, mend=mend, check=_url_problem)
    status = reader.whole("status", 0, least=100, most=599) if reader.has("status") else None
    reader.raw("status")
    return {"url": url, "status": status, "body": reader.text("body")}


def _tcp_fields(reader: Reader) -> dict[str, Any]:
    if not reader.has("port"):
        reader.wrong("port", "is missing", "write the port to connect to")
    port = reader.whole("port", 1, least=1, most=65535)
    return {"host": reader.text("host", check=_host_problem), "port": port}


def _container_fields(_: Reader) -> dict[str, Any]:
    return {}


_PROBE_FIELDS: Final = {
    ProbeKind.COMMAND: _command_fields,
    ProbeKind.HTTP: _http_fields,
    ProbeKind.TCP: _tcp_fields,
    ProbeKind.CONTAINER: _container_fields,
}


def _check_deadlines(reader: Reader, check: HealthCheck) -> None:
    if check.healthy_deadline >= check.progress_deadline:
        reader.wrong(
            "healthy_deadline",
            f"({check.healthy_deadline:g} s) is not below progress_deadline "
            f"({check.progress_deadline:g} s), which would always end first",
        )
    if check.start_period + check.min_healthy_seconds >= check.healthy_deadline:
        reader.wrong(
            "healthy_deadline",
            "leaves no time after start_period and min_healthy_seconds",
            "raise it above their sum",
        )


def _nul_problem(text: str) -> str | None:
    return "has a NUL character" if "\0" in text else None


def _url_problem(url: str) -> str | None:
    if has_control_characters(url) or " " in url:
        return "has spaces or control characters"
    if not re.match(r"^https?://[^/?#@]+", url) or re.match(r"^https?://[^/?#]*@", url):
        return "is not an http or https address without a password"
    return None


def _host_problem(host: str) -> str | None:
    return "is not a host name" if has_control_characters(host) or " " in host else None
