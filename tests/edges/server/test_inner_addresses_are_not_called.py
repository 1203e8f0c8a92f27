"""What people write as an address leads the server out, never in, unless an admin opened it."""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.git_host import GitHost

from boreas.domain.errors import InvalidInput
from boreas.domain.inner_addresses import is_inner
from boreas.domain.orders import GitRef
from boreas.kit.clock import SystemClock
from boreas.server.git_refs import LsRemote, pin_of
from boreas.server.outbound import Outbound
from boreas.server.settings import parse

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def public_list(name: str) -> list[str]:
    for directory in Path(__file__).resolve().parents:
        path = directory / "shared/testdata" / name
        if path.exists():
            found: list[str] = json.loads(path.read_text())
            return found
    pytest.skip(f"shared/testdata/{name} is not here")


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.100.100.200", "168.63.129.16"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.0.8", "::", "::1", "fe80::1%1"),
        *("fec0::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:53aa:64c::1"),
    ],
)
def test_an_address_inside_is_known_in_every_disguise(text: str) -> None:
    assert is_inner(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "140.82.121.4", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_an_address_outside_is_let_through(text: str) -> None:
    assert not is_inner(ipaddress.ip_address(text))


def test_every_range_of_the_public_list_is_inside() -> None:
    for text in public_list("ssrf_blocked_ranges.json"):
        network = ipaddress.ip_network(text)
        assert is_inner(network[0]), text
        assert is_inner(network[-1]), text


async def refused(repository: str, outbound: Outbound | None = None) -> InvalidInput:
    git = LsRemote(SystemClock(), outbound or Outbound(), seconds=3)
    with pytest.raises(InvalidInput) as caught:
        await git.resolve(GitRef(repository=repository, ref="main"))
    return caught.value


async def test_no_address_of_the_public_list_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    async def note(git: LsRemote, repository: str, *_: object) -> str:
        called.append(await pin_of(git._outbound, repository))
        return ""

    monkeypatch.setattr(LsRemote, "_run", note)
    nowhere = Outbound(resolve=only_numbers)

    for url in public_list("ssrf_payload_urls.json"):
        await refused(url, nowhere)

    outside = [pin.address for pin in called if pin is not None]
    assert all(not is_inner(ipaddress.ip_address(each)) for each in outside), outside


async def only_numbers(host: str, port: int) -> Sequence[str]:
    """As the system reads numbers; the public list's names are not asked for."""
    numeric = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [str(entry[4][0]) for entry in numeric]


@pytest.mark.parametrize(
    "repository",
    [
        *("http://127.0.0.1/x.git", "https://localhost/x.git", "http://[::1]:8080/x.git"),
        *("http://2130706433/x.git", "http://0x7f.1/x.git", "http://0177.0.0.1/x.git"),
        *("ssh://git@127.0.0.1/x.git", "git@10.0.0.1:x.git", "http://[::ffff:127.0.0.1]/x.git"),
        *("http://169.254.169.254/latest", "http://１２７.0.0.1/x.git", "http://a\\@127.0.0.1/x"),
    ],
)
async def test_git_is_not_sent_inside(repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("git was run")

    monkeypatch.setattr("boreas.server.git_refs.asyncio.create_subprocess_exec", never)

    error = await refused(repository)

    assert error.fields[0].field == "git.repository"


async def test_the_refusal_says_how_an_admin_opens_it() -> None:
    error = await refused("http://127.0.0.1:9/x.git")

    assert "127.0.0.1 is an inner address" in error.fields[0].problem
    assert "--allow-inner 127.0.0.1/32" in error.fields[0].mend


@pytest.fixture
def host(tmp_path: Path) -> GitHost:
    return GitHost(tmp_path / "git").make()


@pytest.fixture
def url(host: GitHost) -> Iterator[str]:
    with host.over_http() as url:
        yield url


async def test_git_connects_to_the_address_that_was_looked_at(host: GitHost, url: str) -> None:
    """A second look-up of the name, which is nobody's, would find nothing."""
    commit = host.commit("a", "a")

    async def here(name: str, port: int) -> Sequence[str]:
        assert name == "git.example.invalid"
        return ["127.0.0.1"]

    git = LsRemote(SystemClock(), Outbound(allowed=LOOPBACK, resolve=here))
    named = url.replace("127.0.0.1", "git.example.invalid")

    found = await git.resolve(GitRef(repository=named, ref="main"))

    assert found.commit == commit


async def test_a_name_that_means_both_is_called_outside_only() -> None:
    async def both(name: str, port: int) -> Sequence[str]:
        return ["127.0.0.1", "192.0.2.1", "1.1.1.1"]

    address = await Outbound(resolve=both).address_of("both.example", 443, field="url")

    assert address == "1.1.1.1"


async def test_a_redirect_is_not_followed(host: GitHost, url: str) -> None:
    host.commit("a", "a")
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split()[1].decode()
        asked.append(path)
        target = url + path.removeprefix("/x.git")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(f"http://127.0.0.1:{port}/x.git", Outbound(allowed=LOOPBACK))

    assert asked
    assert error.fields[0].field == "git.repository"


async def test_over_http_the_refusal_names_the_field(
    admin: httpx.AsyncClient, site: Any, services: Any
) -> None:
    object.__setattr__(services, "git", LsRemote(SystemClock(), Outbound()))
    body = {"name": "v9", "git": {"repository": "http://169.254.169.254/x.git", "ref": "main"}}

    answer = await admin.post(f"/api/release/projects/{site.project}/versions", json=body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "git.repository"


@pytest.mark.parametrize("text", ["10.0.0.0/8,192.168.7.7", "fd00::/8", ""])
def test_an_admin_opens_networks(text: str) -> None:
    opened = parse(["--allow-inner", text], {}).allow_inner

    assert len(opened) == len([part for part in text.split(",") if part])
