"""How this server was asked to run: the only reader of its command line and environment.

Called first by `boreas.server.main`; everything below takes the frozen `Settings`. Each option is
also `BOREAS_<NAME>` in the environment; what stands on the command line wins.
"""

import argparse
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from boreas.credentials.keys import FILE_VARIABLE, VARIABLE, KeyRing, ring_from
from boreas.domain.errors import InvalidInput, invalid
from boreas.kit.environment import forget_variable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SecureCookies(StrEnum):
    """When the session's cookie is marked Secure and takes the `__Host-` prefix."""

    AUTO = "auto"
    """When the request came by https, as seen here or told by a trusted proxy."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """The identity provider by which people may sign in."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    domains: tuple[str, ...] = ()
    """Whose verified e-mail addresses are let in; empty for all."""
    create_users: bool = False
    """Whoever the provider knows becomes a user at their first sign-in."""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a server can be told.

    `database_url` may hold a secret; None means SQLite in the data directory.
    """

    data_dir: Path
    http: Address
    quic: Address
    database_url: str | None = field(default=None, repr=False)
    with_agent: bool = False
    advertise: Address | None = None
    public_url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    allow_inner: tuple[Network, ...] = ()
    secure_cookies: SecureCookies = SecureCookies.AUTO
    observe_seconds: float = 300.0
    """How often agents look at what is live; 0: never."""
    log_keep_days: float = 30.0
    log_keep_bytes: int = 10 * 1024**3
    secret_keys: KeyRing | None = None
    oidc: OidcSettings | None = None

    @property
    def setup_token_file(self) -> Path:
        """Where the one-time setup token lies until it is used."""
        return self.data_dir / "setup-token"

    @property
    def file_dir(self) -> Path:
        """Where files of deployments lie, for agents and from them."""
        return self.data_dir / "files"

    @property
    def log_dir(self) -> Path:
        """Where the server keeps the logs of executions."""
        return self.data_dir / "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """One option: its flag, how its text is read, what it is when nobody says."""

    flag: str
    read: Callable[[str], Any]
    default: str
    told: str
    metavar: str | None = None
    switch: bool = False

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        return f"BOREAS_{self.name.upper()}"


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from arguments and environment; `InvalidInput` names the option that is wrong."""
    given = vars(_parser().parse_args(list(argv)))
    read = {option.name: _value(option, given[option.name], environ) for option in OPTIONS}
    keep_gib = read.pop("log_keep_gib")
    told = {name: read.pop(f"oidc_{name}") for name in _OIDC}
    return Settings(
        log_keep_bytes=int(keep_gib * 1024**3),
        secret_keys=ring_from(environ),
        oidc=_oidc(told, environ.get(OIDC_SECRET)),
        **read,
    )


OIDC_SECRET: Final = "BOREAS_OIDC_CLIENT_SECRET"
_OIDC: Final = ("issuer", "client_id", "client_secret_file", "domains", "create_users", "label")


def _oidc(told: dict[str, Any], secret: str | None) -> OidcSettings | None:
    """The provider, if one is named; its secret is never an argument."""
    issuer, client_id = told.pop("issuer"), told["client_id"]
    path = told.pop("client_secret_file")
    if issuer is None:
        return None
    if not client_id:
        raise invalid("--oidc-client-id", "is missing", "give the id that the provider knows us by")
    if path is not None:
        try:
            secret = path.read_text().strip()
        except OSError as error:
            raise invalid("--oidc-client-secret-file", f"cannot be read: {error}") from error
    return OidcSettings(issuer=issuer, client_secret=secret or "", **told)


def from_process(argv: Sequence[str]) -> Settings:
    """Settings from arguments and this process' own environment, which then forgets the keys."""
    try:
        return parse(argv, os.environ)
    finally:
        for name in (VARIABLE, FILE_VARIABLE, OIDC_SECRET):
            forget_variable(os.environ, name)


def _value(option: _Option, given: str | None, environ: Mapping[str, str]) -> Any:
    named = option.flag if given is not None else option.variable
    text = given if given is not None else environ.get(option.variable) or option.default
    try:
        return option.read(text)
    except ValueError as error:
        raise invalid(named, str(error)) from error


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving the process, so that the caller chooses the exit code."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="boreas server", allow_abbrev=False, description="Run a Boreas server.")
    for option in OPTIONS:
        told = f"{option.told} (default: {option.default or 'none'}; {option.variable})"
        if option.switch:
            parser.add_argument(
                option.flag, dest=option.name, action="store_const", const="1", help=told
            )
        else:
            parser.add_argument(
                option.flag, dest=option.name, metavar=option.metavar, help=told.replace("%", "%%")
            )
    return parser


def read_address(text: str) -> Address:
    """`HOST:PORT`, `[V6]:PORT` or `:PORT` (every address)."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Address(host=host.removeprefix("[").removesuffix("]") or "0.0.0.0", port=int(port))


def _read_networks(text: str) -> tuple[Network, ...]:
    return tuple(
        ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()
    )


def _read_switch(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"": False, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _read_url(text: str) -> str | None:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError(f"{text!r} does not start with http:// or https://")
    return text.rstrip("/") or None


def _read_number(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError(f"{text!r} is not a number above 0")
    return number


OPTIONS = (
    _Option(
        flag="--data-dir",
        read=lambda text: Path(text).expanduser(),
        default="./boreas-data",
        metavar="DIR",
        told="where the database, logs, keys and the setup token lie",
    ),
    _Option(
        flag="--http",
        read=read_address,
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        told="where browsers and the command line connect",
    ),
    _Option(
        flag="--quic",
        read=read_address,
        default="0.0.0.0:8443",
        metavar="HOST:PORT",
        told="where agents connect (UDP, and TCP of the same number as fallback)",
    ),
    _Option(
        flag="--advertise",
        read=lambda text: read_address(text) if text else None,
        default="",
        metavar="HOST:PORT",
        told="where agents are told to dial, when that is not what --quic says",
    ),
    _Option(
        flag="--database-url",
        read=lambda text: text or None,
        default="",
        metavar="URL",
        told="postgresql+psycopg://user@host/name; left out, SQLite in the data directory",
    ),
    _Option(
        flag="--with-agent",
        read=_read_switch,
        default="",
        switch=True,
        told="also run an agent for this machine",
    ),
    _Option(
        flag="--public-url",
        read=_read_url,
        default="",
        metavar="URL",
        told="how browsers reach this server, when a proxy changes the Host header",
    ),
    _Option(
        flag="--trusted-proxies",
        read=_read_networks,
        default="",
        metavar="NETWORKS",
        told="whose X-Forwarded-* headers are believed, e.g. 10.0.0.0/8,127.0.0.1",
    ),
    _Option(
        flag="--allow-inner",
        read=_read_networks,
        default="",
        metavar="NETWORKS",
        told="inner networks that may be called for people: git servers, e.g. 10.1.0.0/16",
    ),
    _Option(
        flag="--secure-cookies",
        read=SecureCookies,
        default="auto",
        metavar="auto|always|never",
        told="mark the session's cookie Secure",
    ),
    _Option(
        flag="--observe-seconds",
        read=_read_number,
        default="300",
        metavar="SECONDS",
        told="how often agents look whether what is live is what was deployed; 0: never",
    ),
    _Option(
        flag="--log-keep-days",
        read=_read_number,
        default="30",
        metavar="DAYS",
        told="delete logs of deployments that ended longer ago",
    ),
    _Option(
        flag="--log-keep-gib",
        read=_read_number,
        default="10",
        metavar="GIB",
        told="delete the oldest logs beyond this size",
    ),
    _Option(
        flag="--oidc-issuer",
        read=_read_url,
        default="",
        metavar="URL",
        told="the OpenID Connect provider by which people may sign in",
    ),
    _Option(
        flag="--oidc-client-id",
        read=str,
        default="",
        metavar="ID",
        told="how the provider knows this server",
    ),
    _Option(
        flag="--oidc-client-secret-file",
        read=lambda text: Path(text).expanduser() if text else None,
        default="",
        metavar="FILE",
        told=f"holds the secret that belongs to it ({OIDC_SECRET} holds it itself)",
    ),
    _Option(
        flag="--oidc-domains",
        read=lambda text: tuple(it.strip().lower() for it in text.split(",") if it.strip()),
        default="",
        metavar="DOMAINS",
        told="let in only verified e-mail addresses of these domains",
    ),
    _Option(
        flag="--oidc-create-users",
        read=_read_switch,
        default="",
        switch=True,
        told="make a user of whoever the provider lets in",
    ),
    _Option(
        flag="--oidc-label",
        read=str,
        default="Single sign-on",
        metavar="TEXT",
        told="what the button on the sign-in page says",
    ),
)
