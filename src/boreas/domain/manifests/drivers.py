"""`spec`, `health_check` and `build` of an application, as JSON Schema.

`boreas.domain.specs` and its like judge; a test holds the keys together.
"""

from typing import Any, Final

from boreas.domain.builds import BuildCache
from boreas.domain.manifests.shapes import Schema
from boreas.domain.orders import DriverKind, ProbeKind
from boreas.domain.specs import SCRIPT_NAMES

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {
    "anyOf": [
        {"type": ["string", "integer"]},
        {"type": "array", "items": {"type": ["string", "integer"]}},
    ]
}
_NUMBER: Final[Schema] = {"type": "number", "minimum": 0}
_BY_NAME: Final[Schema] = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}


def _object(required: tuple[str, ...] = (), **properties: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _credential(what: str) -> Schema:
    return {"type": "string", "description": f"Name of the credential {what}."}


_PROXY: Final = _object(
    ("type", "socket", "backend", "servers"),
    type={"const": "haproxy"},
    socket=_TEXT,
    backend=_TEXT,
    servers=_TEXTS,
    port={"type": "integer"},
    drain_seconds=_NUMBER,
    state_file=_TEXT,
)
SPECS: Final[dict[DriverKind, Schema]] = {
    DriverKind.SCRIPT: _object(
        ("scripts",),
        scripts=_object(("deploy",), **dict.fromkeys(SCRIPT_NAMES, _TEXT)),
        timeout_seconds={"type": "number", "minimum": 1},
    ),
    DriverKind.GIT_PULL: _object(
        ("repository", "path"),
        repository=_TEXT,
        path=_TEXT,
        post_deploy=_TEXT,
        keep={"type": "integer", "minimum": 1, "maximum": 1000},
        git_credential=_credential("by which the repository is read"),
    ),
    DriverKind.CONTAINER: _object(
        ("image", "name"),
        image=_TEXT,
        name=_TEXT,
        ports=_TEXTS,
        env=_BY_NAME,
        volumes=_TEXTS,
        networks=_TEXTS,
        command=_TEXTS,
        proxy=_PROXY,
        registry_credential=_credential("by which the image is pulled"),
    ),
}
_TIMES: Final = dict.fromkeys(
    ("interval", "timeout", "start_period", "min_healthy_seconds"), _NUMBER
) | {
    "retries": {"type": "integer", "minimum": 1},
    "healthy_deadline": _NUMBER,
    "progress_deadline": _NUMBER,
}
PROBES: Final[dict[ProbeKind, Schema]] = {
    ProbeKind.COMMAND: _object(("command",), command=_TEXT),
    ProbeKind.HTTP: _object(("url",), url=_TEXT, status={"type": "integer"}, body=_TEXT),
    ProbeKind.TCP: _object(("port",), host=_TEXT, port={"type": "integer"}),
    ProbeKind.CONTAINER: _object(),
}
"""What each kind of check wants beside `type` and the times."""

HEALTH_CHECK: Final[Schema] = {
    "description": "How one asks whether it is healthy; null takes the check away.",
    "anyOf": [
        {"type": "null"},
        *(
            _object(
                ("type", *PROBES[kind]["required"]),
                type={"const": kind.value},
                **PROBES[kind]["properties"],
                **_TIMES,
            )
            for kind in ProbeKind
        ),
    ],
}
BUILD_CONFIG: Final = _object(
    enabled={"type": "boolean"},
    dockerfile=_TEXT,
    build_context=_TEXT,
    build_args=_BY_NAME,
    target_image=_TEXT,
    registry=_TEXT,
    registry_credential=_credential("by which the image is pushed"),
    repository=_TEXT,
    git_credential=_credential("by which the repository is read"),
    secrets=_TEXTS,
    cache={"enum": [str(each) for each in BuildCache]},
    push={"type": "boolean"},
    timeout_seconds={"type": "number", "minimum": 1},
)
BUILD: Final[Schema] = {
    "description": "How its image is built; null: it is not.",
    "anyOf": [{"type": "null"}, BUILD_CONFIG],
}
SPEC_BY_DRIVER: Final[list[Schema]] = [
    {
        "if": {"properties": {"driver": {"const": kind.value}}},
        "then": {"properties": {"spec": schema}},
    }
    for kind, schema in SPECS.items()
]
"""Beside an application's own schema: which `spec` goes with which driver."""
