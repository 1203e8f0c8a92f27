"""The published JSON Schema of project files, made of the same tables that read them (draft 7).

In a file: `# yaml-language-server: $schema=https://<server>/api/release/schemas/project.json`.
"""

from typing import Any, Final

from boreas.domain.manifests.drivers import SPEC_BY_DRIVER
from boreas.domain.manifests.tables import PROJECT

PATH: Final = "/api/release/schemas/project.json"
"""Where a server shows it."""


def _schema() -> dict[str, Any]:
    found = PROJECT.schema()
    found["properties"]["applications"]["items"]["allOf"] = SPEC_BY_DRIVER
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A project of Boreas",
        **found,
    }


SCHEMA: Final = _schema()
