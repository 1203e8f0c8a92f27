"""The messages of the control stream, and what they promise.

Both sides speak in these structs only; `codec.py` turns them into `u32 BE length | msgpack`.
Every message is a tagged array, so a field may be added at the end with a default and an old peer
still reads it. An unknown tag or protocol version is refused with a reason, never guessed.

Dialogue: agent `Opening` -> server `Challenge` -> agent `Hello` and `Enrol` or `Prove` -> server
`Welcome` or `Refused` -> agent `Inventory` -> from then on both sides freely. Whatever must not be
lost is repeated until the other side acknowledges it: orders until `OrderTaken`, reports until
`ReportTaken`, log bytes until `LogStored`.
"""

from typing import Any

import msgspec

PROTOCOL = 1
"""The only version this code speaks. A peer with another one is refused by name."""

OBSERVES = "observes"
"""An ability: the agent takes `Watch` and answers with `Seen`."""

MAX_FRAME = 256 * 1024
ALPN = "boreas/1"


class _Frame(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A message of the control stream."""


# --- handshake -------------------------------------------------------------------------------


class Challenge(_Frame, frozen=True, array_like=True, kw_only=True, tag=1):
    """Server's first words: prove who you are over this nonce."""

    protocol: int
    nonce: bytes
    ca_der: bytes = b""
    server_time: float = 0.0


class Hello(_Frame, frozen=True, array_like=True, kw_only=True, tag=2):
    """Agent's first words; sent before `Enrol` or `Prove`."""

    protocol: int
    agent_version: str
    name: str
    labels: dict[str, str]
    instance: str = ""
    """Random, made at the start of the agent's process. A second link of the same instance replaces
    the first (a better path was found); one of another instance is a second agent with a stolen or
    copied identity, or a successor of a dead one."""
    abilities: tuple[str, ...] = ()
    """What this agent understands besides what every one does; others are never told of it."""


class Enrol(_Frame, frozen=True, array_like=True, kw_only=True, tag=3):
    """First contact: a single-use secret and a certificate request for a key that stays here."""

    token_secret: str
    csr_pem: bytes

    def __repr__(self) -> str:
        return "Enrol(token_secret=****)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("token_secret", "****")]


class Prove(_Frame, frozen=True, array_like=True, kw_only=True, tag=4):
    """Every later contact: the certificate, and a signature that binds it to this TLS server."""

    certificate_der: bytes
    signature: bytes
    agent_nonce: bytes


class Renew(_Frame, frozen=True, array_like=True, kw_only=True, tag=5):
    """An agent whose certificate has lived two thirds of its life asks for the next one."""

    csr_pem: bytes


class Issued(_Frame, frozen=True, array_like=True, kw_only=True, tag=6):
    """A new certificate, after `Enrol` or `Renew`."""

    certificate_der: bytes


class Welcome(_Frame, frozen=True, array_like=True, kw_only=True, tag=7):
    """The agent is known; anything may be said from now on."""

    agent_id: str
    server_id: str
    server_time: float
    heartbeat_seconds: float
    busy_heartbeat_seconds: float
    servers: tuple[str, ...]


class Refused(_Frame, frozen=True, array_like=True, kw_only=True, tag=8):
    """No. `code` for programs, `reason` and `mend` for people; the link closes after it."""

    code: str
    reason: str
    mend: str
    retry_after: float | None = None


class Opening(_Frame, frozen=True, array_like=True, kw_only=True, tag=9):
    """The agent's first bytes: they open the control stream and say nothing else about it.

    On first contact the server has proven nothing yet, so no name and no secret may go before its
    `Challenge`, whose `ca_der` and certificate the agent holds against the pin of its token.
    """

    protocol: int


# --- orders ----------------------------------------------------------------------------------


class Order(_Frame, frozen=True, array_like=True, kw_only=True, tag=20):
    """Do this once. `body` is the document of `boreas.domain.orders.OrderBody`, msgpack-encoded."""

    outbox_id: int
    order_id: str
    scope: str
    fence: int
    body: bytes
    secrets: bytes = b""
    """`boreas.domain.delivery.OpenedSecrets` in msgpack, if the order has any: never journalled."""
    trouble: str = ""
    """Why the secrets that it needs are not here: an order that has not begun fails for that."""

    def __repr__(self) -> str:
        return f"Order({self.outbox_id}, {self.order_id!r}, secrets={'****' * bool(self.secrets)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("outbox_id", self.outbox_id), ("order_id", self.order_id)]


class Cancel(_Frame, frozen=True, array_like=True, kw_only=True, tag=21):
    """Stop this order: TERM, then KILL after the grace; the answer is its `Report`."""

    outbox_id: int
    order_id: str
    grace_seconds: float
    reason: str


class OrderTaken(_Frame, frozen=True, array_like=True, kw_only=True, tag=22):
    """The order or cancel with this outbox id stands in the agent's journal."""

    outbox_id: int


class Inventory(_Frame, frozen=True, array_like=True, kw_only=True, tag=23):
    """After every `Welcome`: the orders that this agent holds and the server has not yet settled.

    An order that the server believes taken and that is not listed was lost with the agent's disk.
    """

    order_ids: tuple[str, ...]
    busy: bool


class Watch(_Frame, frozen=True, array_like=True, kw_only=True, tag=24):
    """Look from time to time at what is live in this scope, and say so by `Seen`.

    Told anew on every link and when it changes; only to agents that have the ability `OBSERVES`.
    `body` is an `OrderBody` of the live release in msgpack, without secrets; empty: stop looking.
    """

    scope: str
    body: bytes = b""
    every_seconds: float = 300.0


# --- reports ---------------------------------------------------------------------------------


class Report(_Frame, frozen=True, array_like=True, kw_only=True, tag=30):
    """News of one order; `sequence` grows by one within the order.

    `kind`: `started`, `verb` (a verb begins; its name in `verb`), `finished`.
    `outcome` of a finished one: `success`, `failed`, `cancelled`, `lost`, `refused`.
    """

    order_id: str
    sequence: int
    kind: str
    at: float
    verb: str | None = None
    outcome: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    log_bytes: int | None = None
    result: dict[str, Any] = msgspec.field(default_factory=dict)


class ReportTaken(_Frame, frozen=True, array_like=True, kw_only=True, tag=31):
    """The report is committed; the agent may forget it."""

    order_id: str
    sequence: int


class LogStored(_Frame, frozen=True, array_like=True, kw_only=True, tag=32):
    """Log bytes of this order below `offset` are durable; the agent may drop them."""

    order_id: str
    offset: int


class Seen(_Frame, frozen=True, array_like=True, kw_only=True, tag=33):
    """What is live in a watched scope now; never acknowledged, the next one replaces it.

    `about` is the release that the `Watch` was about, `ok` says whether the driver could look.
    """

    scope: str
    about: str
    ok: bool
    reason: str | None = None
    result: dict[str, Any] = msgspec.field(default_factory=dict)


# --- life ------------------------------------------------------------------------------------


class Heartbeat(_Frame, frozen=True, array_like=True, kw_only=True, tag=40):
    """I am here. Facts come with the first one and when they changed."""

    sequence: int
    busy: bool
    facts: dict[str, Any] | None = None


class HeartbeatAnswer(_Frame, frozen=True, array_like=True, kw_only=True, tag=41):
    """So am I."""

    sequence: int
    server_time: float


class Padding(_Frame, frozen=True, array_like=True, kw_only=True, tag=42):
    """At least 1,200 bytes both ways: proves that the path carries full packets."""

    bytes_: bytes
    echo: bool


class Goodbye(_Frame, frozen=True, array_like=True, kw_only=True, tag=43):
    """The sender leaves on purpose; dial again after `retry_after` seconds (agent: elsewhere)."""

    reason: str
    retry_after: float


Handshake = Opening | Challenge | Hello | Enrol | Prove | Renew | Issued | Welcome | Refused
Ordering = Order | Cancel | OrderTaken | Inventory | Watch
Reporting = Report | ReportTaken | LogStored | Seen
Life = Heartbeat | HeartbeatAnswer | Padding | Goodbye
Frame = Handshake | Ordering | Reporting | Life


# --- headers of the other streams ------------------------------------------------------------


class LogStream(_Frame, frozen=True, array_like=True, kw_only=True, tag=60):
    """First frame of a uni stream from the agent: the log of one order from `start_offset` on.

    What follows are blocks `u32 BE length | u8 flags | bytes`, at most 64 KiB each, each a row of
    whole log chunks; flag bit 0 says that the log ends with this block.
    """

    order_id: str
    start_offset: int


class FileOffer(_Frame, frozen=True, array_like=True, kw_only=True, tag=61):
    """First frame of a bidi stream: the sender has this file. The receiver answers `FileWanted`."""

    transfer_id: str
    order_id: str
    name: str
    size: int
    sha256: bytes


class FileRequest(_Frame, frozen=True, array_like=True, kw_only=True, tag=62):
    """First frame of a bidi stream: the sender wants this file; the answer is `FileOffer`."""

    transfer_id: str
    order_id: str
    name: str


class FileWanted(_Frame, frozen=True, array_like=True, kw_only=True, tag=63):
    """Send from this offset on; blocks `u32 BE length | u8 flags | bytes` follow."""

    offset: int


class FileTaken(_Frame, frozen=True, array_like=True, kw_only=True, tag=64):
    """The whole file is durable and its hash was right (`ok`), or why not."""

    ok: bool
    reason: str | None = None


class FileStored(_Frame, frozen=True, array_like=True, kw_only=True, tag=65):
    """The receiver has written the file up to here; the sender stays within a window beyond it."""

    offset: int


StreamHeader = LogStream | FileOffer | FileRequest | FileWanted | FileStored | FileTaken
