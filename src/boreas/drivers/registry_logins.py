"""From a credential to what an image registry wants to hear. Pure.

A login is given to one registry only: the one that the credential names, or else the one of the
application's own image. A version may pin another image, but not send the login elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from boreas.domain.delivery import OpenedCredential
from boreas.domain.errors import invalid
from boreas.domain.images import names_a_registry

DOCKER_HUB: Final = "docker.io"
_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_TOKEN_USER: Final = "oauth2"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """Who we are, to one registry."""

    registry: str
    username: str
    password: str = field(repr=False)

    @property
    def auth(self) -> Mapping[str, str]:
        """As the Docker Engine wants it in X-Registry-Auth."""
        server = "https://index.docker.io/v1/" if self.registry == DOCKER_HUB else self.registry
        return {"username": self.username, "password": self.password, "serveraddress": server}

    def full_name(self, image: str) -> str:
        """The image's name with its registry, which the engine's client wants beside a login."""
        if names_a_registry(image):
            return image
        path = image if "/" in image else f"library/{image}"
        return f"{DOCKER_HUB}/{path}"


def registry_of(image: str) -> str:
    """The registry that an image's name means.

    >>> registry_of("localhost:5000/shop:v1"), registry_of("nginx")
    ('localhost:5000', 'docker.io')
    """
    first = image.partition("/")[0].lower() if names_a_registry(image) else DOCKER_HUB
    return DOCKER_HUB if first in _HUB_NAMES else first


def registry_named(text: str) -> str:
    """The registry that people mean by an address.

    >>> registry_named("https://index.docker.io/v1/"), registry_named("Reg.example.org/")
    ('docker.io', 'reg.example.org')
    """
    host = text.strip().rpartition("://")[2].partition("/")[0].lower()
    return DOCKER_HUB if host in _HUB_NAMES else host


def login_for(image: str, credential: OpenedCredential, *, usual: str) -> RegistryLogin:
    """The login for this image; `InvalidInput` when the credential is another registry's."""
    fields = credential.fields
    allowed = registry_named(fields["registry"]) if fields.get("registry") else registry_of(usual)
    wanted = registry_of(image)
    if wanted != allowed:
        told = f"is for {allowed}, and the image {image} is at {wanted}"
        raise invalid("registry_id", told, "name a credential for that registry")
    return RegistryLogin(
        registry=allowed,
        username=fields.get("username") or _TOKEN_USER,
        password=fields.get("password") or fields.get("token") or "",
    )
