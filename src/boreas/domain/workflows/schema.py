"""The published JSON Schema of templates, for editors (draft 7, which they know best).

`reading` is what decides; this says the same, so that a mistake shows while it is typed. A test
holds both together.
"""

from collections.abc import Mapping
from typing import Any, Final

from boreas.domain.workflow import Bad, Scope, TaskType
from boreas.domain.workflows.reading import (
    LONGEST_COMMAND,
    LONGEST_CONDITION,
    MOST_REPETITIONS,
    MOST_STAGES,
    MOST_TASKS,
    TASK_ID,
)

PATH: Final = "/api/release/schemas/workflow.json"
"""Where a server shows it."""

Schema = dict[str, Any]


def _text(most: int, about: str) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most, "description": about}


def _one_or_more(item: Schema, about: str) -> Schema:
    return {"description": about, "anyOf": [item, {"type": "array", "items": item}]}


def _mapping(
    properties: Mapping[str, Schema], about: str, required: tuple[str, ...] = ()
) -> Schema:
    found: Schema = {
        "type": "object",
        "description": about,
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return {**found, "required": list(required)} if required else found


_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
_VARIABLES: Final[Schema] = {
    "type": "object",
    "description": "Plain values by name; commands find them in their environment.",
    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"},
    "additionalProperties": _SCALAR,
}
_DURATION: Final[Schema] = {
    "description": "Seconds, or `90s`, `10m`, `1.5h`, `2d`.",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(s|m|h|d)\s*$"},
    ],
}
_WHEN: Final[Schema] = {
    "description": (
        "A CEL condition over version, environment, trigger, application, variables and the "
        "results of earlier tasks; the task is skipped when it is not met."
    ),
    "anyOf": [_text(LONGEST_CONDITION, "CEL."), {"type": "boolean"}],
}
_CONTINUE_ON: Final[Schema] = _one_or_more(
    {"enum": [it.value for it in Bad]},
    "How tasks before may end without keeping this one from being done.",
)
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MOST_REPETITIONS}
_RETRY: Final[Schema] = {
    "description": "A failed attempt is repeated so many times.",
    "anyOf": [
        _COUNT,
        _mapping({"count": _COUNT, "delay": _DURATION}, "Times, and the wait between.", ("count",)),
    ],
}
_MATRIX: Final[Schema] = _mapping(
    {
        "applications": _one_or_more(
            _text(200, "An application's name."), "`all`, or the applications by name."
        )
    },
    "One task for each of these applications.",
    ("applications",),
)

_TASK: Final[Schema] = _mapping(
    {
        "id": {
            "type": "string",
            "pattern": f"^{TASK_ID.pattern}$",
            "description": "Unique in the template.",
        },
        "name": _text(200, "For people; `{application}` stands for the application's name."),
        "type": {
            "enum": [it.value for it in TaskType],
            "default": TaskType.CUSTOM.value,
            "description": "What it does; in a stage the types of an application have an order.",
        },
        "application": _text(200, "The application it is about, by name."),
        "matrix": _MATRIX,
        "needs": _one_or_more(_text(100, "A task's id."), "Tasks that come before this one."),
        "when": _WHEN,
        "command": _text(LONGEST_COMMAND, "The bash text to run."),
        "scope": {
            "enum": [it.value for it in Scope],
            "description": "Where the command runs: on one target, or on each.",
        },
        "target": _text(200, "The target the command runs on, by name; the first if left out."),
        "files": _one_or_more(_text(255, "A file's name."), "Uploaded files the command gets."),
        "variables": _VARIABLES,
        "payload": {"type": "object", "description": "What else this type of task takes."},
        "confirm": {"type": "boolean", "description": "Somebody has to agree first."},
        "timeout": _DURATION,
        "retry": _RETRY,
        "continue_on": _CONTINUE_ON,
    },
    "A task.",
    ("id",),
)
_TASKS: Final[Schema] = {
    "type": "array",
    "minItems": 1,
    "maxItems": MOST_TASKS,
    "items": {"$ref": "#/definitions/task"},
}
_STAGE: Final[Schema] = _mapping(
    {
        "name": _text(100, "Unique in the template."),
        "approval": {"type": "boolean", "description": "Somebody has to agree before it begins."},
        "when": _WHEN,
        "continue_on": {
            **_CONTINUE_ON,
            "description": "How earlier stages may end without keeping this one from being done.",
        },
        "tasks": _TASKS,
    },
    "Tasks that run side by side when everything in the stage before is over.",
    ("name", "tasks"),
)

SCHEMA: Final[Schema] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Boreas workflow template",
    **_mapping(
        {
            "$schema": {"type": "string"},
            "description": _text(10_000, "For people."),
            "variables": _VARIABLES,
            "stages": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_STAGES,
                "items": {"$ref": "#/definitions/stage"},
            },
            "tasks": _TASKS,
        },
        "Tasks of a deployment: in stages, or as a free graph.",
    ),
    "oneOf": [{"required": ["stages"]}, {"required": ["tasks"]}],
    "definitions": {"task": _TASK, "stage": _STAGE},
}
