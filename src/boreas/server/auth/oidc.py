"""Sign-in at an OpenID Connect provider: the code flow with PKCE, state and nonce.

What a browser needs between leaving and coming back travels in a cookie of its own (`Attempt`), so
that any server can take it up. Authlib builds the requests and judges the claims; it is imported
only when somebody signs in so.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from boreas.domain.errors import Unauthenticated, Unavailable
from boreas.kit.clock import Clock
from boreas.kit.ids import new_secret
from boreas.server.settings import OidcSettings

SCOPES: Final = "openid profile email"
# Signed by the provider's own key; never by a secret that others share, never by nothing.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
REMEMBERED_FOR: Final = timedelta(minutes=10)
LEEWAY_SECONDS: Final = 60
LONGEST_ANSWER: Final = 1024 * 1024
_PATIENCE_SECONDS: Final = 10.0


class SignInRefused(Unauthenticated):
    """The identity provider's answer does not let anybody in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to sign in, kept by the browser that began it."""

    state: str
    nonce: str
    verifier: str = field(repr=False)
    after: str = "/"
    """The page to go to when signed in; always one of ours."""

    @classmethod
    def new(cls, after: str) -> "Attempt":
        """With fresh chance in everything."""
        safe = after.startswith("/") and not after.startswith(("//", "/\\"))
        return cls(
            state=new_secret(),
            nonce=new_secret(),
            verifier=new_secret(48),
            after=after if safe else "/",
        )

    def packed(self) -> str:
        """As a cookie holds it."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    @classmethod
    def unpacked(cls, text: str) -> "Attempt":
        """`SignInRefused` if this is none of ours."""
        try:
            return cls(**json.loads(base64.urlsafe_b64decode(text)))
        except (binascii.Error, ValueError, TypeError):
            raise SignInRefused("this sign-in was not begun here; begin again") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Who the provider says it is."""

    issuer: str
    subject: str
    email: str = ""
    """Only if the provider says that it was verified."""
    username: str = ""
    display_name: str = ""


class Provider:
    """One identity provider; remembers its document and its keys for a while."""

    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._known: dict[str, tuple[datetime, Mapping[str, Any]]] = {}

    async def authorization_url(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where to send the browser."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        document = await self._document()
        challenge = create_s256_code_challenge(attempt.verifier)  # type: ignore[no-untyped-call]
        return str(
            prepare_grant_uri(
                str(document["authorization_endpoint"]),
                client_id=self._settings.client_id,
                response_type="code",
                redirect_uri=redirect_uri,
                scope=SCOPES,
                state=attempt.state,
                nonce=attempt.nonce,
                code_challenge=challenge,
                code_challenge_method="S256",
            )
        )

    async def proof(self, attempt: Attempt, code: str, redirect_uri: str) -> Proof:
        """Trade the code for an ID token and believe it, if everything in it fits."""
        document = await self._document()
        answer = await self._post(
            str(document["token_endpoint"]),
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": attempt.verifier,
            },
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInRefused("the identity provider gave no ID token")
        claims = await self._claims(token, attempt, str(answer.get("access_token", "")))
        return _proof(claims)

    async def _document(self) -> Mapping[str, Any]:
        issuer = self._settings.issuer
        document = await self._get(f"{issuer}/.well-known/openid-configuration")
        if str(document.get("issuer", "")).rstrip("/") != issuer:
            raise Unavailable(f"the identity provider at {issuer} calls itself something else")
        return document

    async def _claims(self, token: str, attempt: Attempt, access_token: str) -> Mapping[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        document = await self._document()
        where, issuer = str(document["jwks_uri"]), str(document["issuer"])
        try:
            try:
                keys = KeySet.import_key_set(dict(await self._get(where)))  # type: ignore[arg-type]
                decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            except (JoseError, ValueError):
                # Providers change their keys: once more with those of this moment.
                keys = KeySet.import_key_set(dict(await self._get(where, fresh=True)))  # type: ignore[arg-type]
                decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": issuer},
                    "aud": {"essential": True, "value": self._settings.client_id},
                    "nonce": {"essential": True, "value": attempt.nonce},
                },
                params={
                    "nonce": attempt.nonce,
                    "client_id": self._settings.client_id,
                    "access_token": access_token,
                },
            )
            claims.validate(now=int(self._clock.now().timestamp()), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError) as error:
            raise SignInRefused(f"the ID token is not good: {error}") from error
        return dict(decoded.claims)

    async def _get(self, url: str, *, fresh: bool = False) -> Mapping[str, Any]:
        now = self._clock.now()
        known = self._known.get(url)
        if known is not None and not fresh and now - known[0] < REMEMBERED_FOR:
            return known[1]
        found = await self._asked("GET", url, None)
        self._known[url] = (now, found)
        return found

    async def _post(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        return await self._asked("POST", url, form)

    async def _asked(self, method: str, url: str, form: Mapping[str, str] | None) -> dict[str, Any]:
        import aiohttp  # twenty megabytes that a server without a provider does not need

        headers = {}
        if form is not None:
            # Both parts are form-encoded first (RFC 6749, 2.3.1).
            known_by = quote(self._settings.client_id), quote(self._settings.client_secret)
            headers["Authorization"] = aiohttp.encode_basic_auth(*known_by)
        patience = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as http,
                http.request(
                    method, url, data=form, headers=headers, allow_redirects=False
                ) as answer,
            ):
                body = await answer.content.read(LONGEST_ANSWER)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            said = type(error).__name__
            raise Unavailable(f"the identity provider does not answer ({said})") from error
        return _understood(status, body)


def _understood(status: int, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if status >= 500 or not isinstance(found, dict):
        raise Unavailable(f"the identity provider answered {status} and nothing readable")
    if status >= 400:
        said = found.get("error_description") or found.get("error") or status
        raise SignInRefused(f"the identity provider refused: {str(said)[:200]}")
    return found


def _proof(claims: Mapping[str, Any]) -> Proof:
    def text(name: str) -> str:
        found = claims.get(name)
        return found.strip()[:200] if isinstance(found, str) else ""

    verified = claims.get("email_verified") in (True, "true")
    return Proof(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        email=text("email").lower() if verified else "",
        username=text("preferred_username"),
        display_name=text("name"),
    )
