"""A small OpenID Connect provider in a process of its own: `python oidc_provider.py USERS.json`.

It insists on what the standard asks of a client (secret, redirect URI, PKCE, one use of a code) and
lies in its ID tokens where a user's entry tells it to: `{"claims": {...}, "trick": "other_nonce"}`.
The one who signs in is named by `as=` in the authorization request; nobody is asked for a password.
"""

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from boreas.kit.clock import SystemClock

CLIENT_ID, CLIENT_SECRET = "boreas", "the provider's secret"


class TestProvider:
    """Codes that were given, and the key that signs."""

    __test__ = False

    def __init__(self, users: dict[str, Any]) -> None:
        self.users = users
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.codes: dict[str, dict[str, str]] = {}

    async def document(self, request: web.Request) -> web.Response:
        base = str(request.url.origin())
        return web.json_response(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/keys",
            }
        )

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response(KeySet([self.key]).as_dict(private=False))

    async def change_key(self, _: web.Request) -> web.Response:
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})
        return web.json_response({})

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        assert asked["nonce"]
        back = asked["redirect_uri"]
        if asked.get("as") not in self.users:
            raise web.HTTPFound(f"{back}?error=access_denied&state={asked['state']}")
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        raise web.HTTPFound(f"{back}?code={code}&state={asked['state']}")

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        basic = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = _plain(digest)
        good = (
            asked is not None
            and basic == f"{CLIENT_ID}:{quote(CLIENT_SECRET)}"
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == asked["redirect_uri"]
            and challenge == asked["code_challenge"]
        )
        if asked is None or not good:
            return web.json_response({"error": "invalid_grant"}, status=400)
        issued = self._id_token(asked, str(request.url.origin()))
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": issued})

    def _id_token(self, asked: dict[str, str], issuer: str) -> str:
        user, now = self.users[asked["as"]], int(SystemClock().now().timestamp())
        claims = {
            "iss": issuer,
            "sub": asked["as"],
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **user["claims"],
        }
        key: Any = self.key
        match user.get("trick"):
            case "other_nonce":
                claims["nonce"] = "another"
            case "no_nonce":
                del claims["nonce"]
            case "other_audience":
                claims["aud"] = "somebody else"
            case "other_issuer":
                claims["iss"] = "https://evil.example"
            case "expired":
                claims["exp"] = now - 3600
            case "other_key":
                key = RSAKey.generate_key(2048, {"kid": self.key.kid})
            case "shared_secret":
                # The public key as the secret of an HMAC: the oldest trick there is.
                signed = f"{_part({'alg': 'HS256', 'kid': self.key.kid})}.{_part(claims)}"
                public = self.key.as_pem(private=False)
                mac = hmac.digest(public, signed.encode(), "sha256")
                return f"{signed}.{_plain(mac)}"
            case "unsigned":
                return f"{_part({'alg': 'none'})}.{_part(claims)}."
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, key)


def _part(value: dict[str, Any]) -> str:
    return _plain(json.dumps(value).encode())


def _plain(block: bytes) -> str:
    return base64.urlsafe_b64encode(block).decode().rstrip("=")


def application(users: dict[str, Any]) -> web.Application:
    provider, app = TestProvider(users), web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.document)
    app.router.add_get("/keys", provider.keys)
    app.router.add_post("/change-key", provider.change_key)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    return app


@contextmanager
def running_provider(users: dict[str, Any], directory: Path) -> Iterator[str]:
    """Its address, while its process runs."""
    described = directory / "users.json"
    described.write_text(json.dumps(users))
    process = subprocess.Popen(
        [sys.executable, __file__, str(described)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)


async def _serve(users: dict[str, Any]) -> None:
    import asyncio

    runner = web.AppRunner(application(users))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import asyncio

    asyncio.run(_serve(json.loads(Path(sys.argv[1]).read_text())))
