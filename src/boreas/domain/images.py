"""Names of container images: which may be given to an engine, and which one a release means.

registry.example.org:5000/shop/web:{version}   and   ...@sha256:<64 hex>
"""

import re
from collections.abc import Mapping
from typing import Any

from boreas.domain.errors import invalid
from boreas.domain.placeholders import IMAGE_WORDS, filled, unknown_word

_IMAGE = re.compile(
    r"^(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:[._-]|__)[a-z0-9-]+)*(?:/[a-z0-9]+(?:(?:[._-]|__)[a-z0-9-]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?\Z"
)
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}\Z")


def image_problem(image: str) -> str | None:
    """Why this image name (with `{version}` in it, perhaps) is refused, or None."""
    if problem := unknown_word(image, IMAGE_WORDS):
        return problem
    if len(image) > 500 or not _IMAGE.match(filled(image, {"version": "1"})):
        return "is not the name of an image"
    return None


def digest_problem(digest: str) -> str | None:
    """Why this is not a content digest, or None."""
    return None if _DIGEST.match(digest) else "is not sha256: and 64 hex digits"


def image_of(image: str, *, version: str, artifact: Mapping[str, Any]) -> str:
    """The image that a release means: what the version pins wins over the application's name.

    With a digest the answer is `name@sha256:...`: a tag may be moved, a digest cannot. Raises
    `InvalidInput` when the version's name cannot be part of an image's name.
    """
    name = str(artifact.get("image") or filled(image, {"version": version}))
    digest = artifact.get("digest")
    if image_problem(name):
        raise invalid(
            "image", f"`{name}` is not the name of an image", "choose another version name"
        )
    if not digest:
        return name
    if problem := digest_problem(str(digest)):
        raise invalid("artifact.digest", problem)
    return f"{without_tag(name)}@{digest}"


def without_tag(name: str) -> str:
    """The repository alone.

    >>> without_tag("localhost:5000/shop:v1")
    'localhost:5000/shop'
    """
    name = name.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def names_a_registry(name: str) -> bool:
    """Does the first part name a host (a dot, a port or localhost), as Docker reads it?"""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")
