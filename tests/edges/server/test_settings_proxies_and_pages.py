"""How the server is told to run, whom it believes about others, and the pages it serves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from boreas.domain.errors import InvalidInput
from boreas.server import static
from boreas.server.settings import Address, SecureCookies, parse


def test_without_a_word_everything_has_a_sane_value() -> None:
    settings = parse([], {})

    assert settings.http == Address(host="127.0.0.1", port=8080)
    assert settings.database_url is None
    assert settings.with_agent is False
    assert settings.trusted_proxies == ()
    assert settings.secure_cookies is SecureCookies.AUTO


def test_each_option_is_also_in_the_environment_and_arguments_win() -> None:
    environ = {
        "BOREAS_DATA_DIR": "/srv/boreas",
        "BOREAS_HTTP": "0.0.0.0:80",
        "BOREAS_QUIC": "[::]:443",
        "BOREAS_DATABASE_URL": "postgresql://boreas@db/boreas",
        "BOREAS_WITH_AGENT": "true",
        "BOREAS_TRUSTED_PROXIES": "10.0.0.0/8, 127.0.0.1",
        "BOREAS_LOG_KEEP_GIB": "0.5",
    }

    settings = parse(["--http", "127.0.0.1:9000"], environ)

    assert settings.http.port == 9000
    assert settings.quic == Address(host="::", port=443)
    assert str(settings.quic) == "[::]:443"
    assert settings.data_dir == Path("/srv/boreas")
    assert settings.with_agent is True
    assert len(settings.trusted_proxies) == 2
    assert settings.log_keep_bytes == 512 * 1024**2
    assert "boreas@db" not in repr(settings)


@pytest.mark.parametrize(
    ("argv", "environ", "named"),
    [
        (["--http", "nowhere"], {}, "--http"),
        (["--http", "h:99999"], {}, "--http"),
        ([], {"BOREAS_QUIC": "h:x"}, "BOREAS_QUIC"),
        ([], {"BOREAS_WITH_AGENT": "perhaps"}, "BOREAS_WITH_AGENT"),
        (["--trusted-proxies", "10.0.0.0/99"], {}, "--trusted-proxies"),
        (["--secure-cookies", "maybe"], {}, "--secure-cookies"),
        (["--public-url", "boreas.example"], {}, "--public-url"),
        (["--log-keep-days", "0"], {}, "--log-keep-days"),
        (["--unknown"], {}, "--unknown"),
        (["--htt", "x:1"], {}, "--htt"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(argv: list[str], environ: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(argv, environ)

    assert named in caught.value.message


# --- proxies -------------------------------------------------------------------------------------


@pytest.fixture
async def behind_a_proxy(services: Any, monkeypatch: Any) -> Any:
    """The same bundle, told to trust 10.0.0.0/8."""
    settings = parse(["--trusted-proxies", "10.0.0.0/8"], {})
    return replace(services, settings=replace(settings, data_dir=services.settings.data_dir))


def client_of(services: Any, address: str, **headers: str) -> httpx.AsyncClient:
    from boreas.server.app import create_app

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(create_app(services), client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://inner:8080", headers=named)


LOGIN = ("/api/release/login", {"username": "ada", "password": "correct horse battery"})


async def login(client: httpx.AsyncClient) -> httpx.Response:
    async with client:
        return await client.post(LOGIN[0], json=LOGIN[1])


async def test_a_trusted_proxy_may_say_that_it_was_https(browser: Any, behind_a_proxy: Any) -> None:
    told = {"x_forwarded_proto": "https", "x_forwarded_host": "boreas.example"}

    answer = await login(
        client_of(behind_a_proxy, "10.0.0.5", origin="https://boreas.example", **told)
    )

    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith("__Host-")
    assert "strict-transport-security" in answer.headers


async def test_nobody_else_may(browser: Any, behind_a_proxy: Any) -> None:
    told = {"x_forwarded_proto": "https", "x_forwarded_host": "boreas.example"}

    plain = await login(client_of(behind_a_proxy, "192.0.2.9", **told))
    foreign = await login(
        client_of(behind_a_proxy, "192.0.2.9", origin="https://boreas.example", **told)
    )

    assert not plain.headers["set-cookie"].startswith("__Host-")
    assert foreign.status_code == 403


async def test_the_client_is_the_last_address_that_no_trusted_proxy_has(
    browser: Any, behind_a_proxy: Any
) -> None:
    """What the client itself wrote in front of it must not help it to guess on."""
    wrong = {"username": "ada", "password": "wrong"}
    codes = []
    for number in range(7):
        client = client_of(
            behind_a_proxy,
            "10.0.0.5",
            x_forwarded_for=f"198.51.100.{number}, 203.0.113.7, 10.1.1.1",
        )
        async with client:
            codes.append((await client.post(LOGIN[0], json=wrong)).status_code)

    assert codes == [401] * 5 + [429] * 2


async def test_a_public_url_is_ours_as_well(browser: Any, services: Any) -> None:
    settings = replace(services.settings, public_url="https://boreas.example")
    bundle = replace(services, settings=settings)

    ours = await login(client_of(bundle, "192.0.2.9", origin="https://boreas.example"))
    foreign = await login(client_of(bundle, "192.0.2.9", origin="https://evil.example"))

    assert (ours.status_code, foreign.status_code) == (200, 403)


# --- health and pages ----------------------------------------------------------------------------


async def test_ready_means_the_database_answers_and_the_loop_goes_round(
    services: Any, anybody: httpx.AsyncClient
) -> None:
    ready = await anybody.get("/readyz")
    async with client_of(replace(services, loop_alive=lambda: False), "192.0.2.1") as client:
        stuck = await client.get("/readyz")

    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert stuck.status_code == 503
    assert (stuck.json()["loop"], stuck.json()["database"]) == (False, True)


async def test_without_built_pages_the_root_says_so(anybody: httpx.AsyncClient) -> None:
    if (static.WEB_DIR / "index.html").exists():
        pytest.skip("web pages are built in")

    answer = await anybody.get("/")

    assert "openapi.json" in answer.text
    assert (await anybody.get("/deployments/x")).status_code == 404


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: Any) -> Path:
    directory = tmp_path / "web"
    (directory / "assets").mkdir(parents=True)
    (directory / "index.html").write_text("<!doctype html><title>Boreas</title>")
    (directory / "assets" / "app-1a2b.js").write_text("let x = 1;" * 100)
    (tmp_path / "secret").write_text("swordfish")
    monkeypatch.setattr(static, "WEB_DIR", directory)
    return directory


async def test_pages_and_assets_are_served_each_with_its_caching(
    pages: Path, anybody: httpx.AsyncClient
) -> None:
    index = await anybody.get("/deployments/dep_1")
    asset = await anybody.get("/assets/app-1a2b.js")
    again = await anybody.get("/", headers={"if-none-match": index.headers["etag"]})

    assert "<title>Boreas" in index.text
    assert index.headers["cache-control"] == "no-cache"
    assert "immutable" in asset.headers["cache-control"]
    assert asset.headers["content-encoding"] == "gzip"
    assert asset.text.startswith("let x")
    assert again.status_code == 304


async def test_a_missing_asset_is_missing_and_nothing_outside_is_found(
    pages: Path, anybody: httpx.AsyncClient
) -> None:
    for path in (
        "/assets/old.js",
        "/assets/../../secret",
        "/assets/%2e%2e/%2e%2e/secret",
        "/api/x",
    ):
        answer = await anybody.get(path)
        assert "swordfish" not in answer.text
        assert answer.status_code == 404 or "<title>" in answer.text
