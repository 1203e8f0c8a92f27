"""Strings that break software, in every text field of every route that creates or changes.

Walks /openapi.json, whatever routes there are: each field gets another part of the public list, all
else in the body is good. Never a 5xx; what is stored is answered back equal, what is refused is
refused with the name of a field.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic.alias_generators import to_camel

FOUND = [
    directory / "shared/testdata/naughty_strings.json"
    for directory in Path(__file__).resolve().parents
]
STRINGS = next((path for path in FOUND if path.exists()), None)

pytestmark = pytest.mark.skipif(
    STRINGS is None, reason="shared/testdata/naughty_strings.json is not here"
)

Steps = tuple[str | int, ...]
A_FIELD_GETS = 12
DEEPEST = 4
KEY = "any"
# A name that is written here is answered as the id of what has it, a list in a text as a list.
REFERENCES = {"appId", "applicationIds", "blockBy", "agent"}
SCRIPTS = {"scripts": {"deploy": "true"}}


GREET = {"id": "greet", "type": "custom", "payload": {"command": "true"}}
# Where the least that a schema asks for says nothing yet.
GOOD: dict[str, dict[str, Any]] = {
    "create_application": {"name": "web", "driver": "script", "spec": SCRIPTS},
    "replace_application": {"name": "web", "driver": "script", "spec": SCRIPTS},
    "create_deployment": {"tasks": [GREET], "autoStart": False},
    "replace_workflow": {"revision": 0, "tasks": [GREET]},
    "add_task": {**GREET, "id": "another"},
    "change_task": {"payload": {"command": "true"}},
    "patch_task": {"payload": {"command": "true"}},
}


@dataclass(frozen=True)
class Field:
    """One place for a text in the body of one route."""

    route: str
    method: str
    path: str
    steps: Steps
    body: Any

    def __str__(self) -> str:
        return f"{self.route} {'.'.join(map(str, self.steps))}"


class Ids(dict[str, str]):
    """Ids by the routes' names; nouns that nobody has made here lead nowhere."""

    def __missing__(self, name: str) -> str:
        return "none"


class Description:
    """What /openapi.json says of bodies."""

    def __init__(self, app: FastAPI, ids: Mapping[str, str]) -> None:
        self._whole = app.openapi()
        self.ids = Ids(ids)
        self.ids.update({to_camel(name): each for name, each in ids.items()})

    def fields(self) -> Iterator[Field]:
        for path, methods in self._whole["paths"].items():
            for method, described in methods.items():
                content = described.get("requestBody", {}).get("content", {})
                if "application/json" in content:
                    schema = content["application/json"]["schema"]
                    route = described["operationId"]
                    for steps in self.texts(schema):
                        good = {**(self.example(schema) or {}), **GOOD.get(route, {})}
                        yield Field(route, method, path, steps, good)

    def resolved(self, schema: Any) -> Any:
        while True:
            if "$ref" in schema:
                schema = self._whole["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            elif "anyOf" in schema or "oneOf" in schema:
                arms = schema.get("anyOf") or schema["oneOf"]
                schema = next(each for each in arms if each.get("type") != "null")
            else:
                return schema

    def texts(self, schema: Any, steps: Steps = ()) -> Iterator[Steps]:
        """Every place for a text below this schema."""
        schema = self.resolved(schema)
        if len(steps) > DEEPEST:
            return
        if schema.get("type") == "string" and "enum" not in schema:
            yield steps
        elif schema.get("type") == "array":
            yield from self.texts(schema.get("items", {}), (*steps, 0))
        elif "properties" in schema:
            for name, each in schema["properties"].items():
                yield from self.texts(each, (*steps, name))
        elif schema.get("type") == "object" or not schema.get("type"):
            yield (*steps, KEY)

    def example(self, schema: Any, name: str = "", depth: int = 0) -> Any:
        """The least that this schema asks for."""
        schema = self.resolved(schema)
        if name in self.ids:
            return self.ids[name]
        for told in ("default", "const"):
            if schema.get(told) is not None:
                return schema[told]
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "object":
                wanted = set(schema.get("required", ()))
                wanted |= {each for each in schema.get("properties", {}) if each in self.ids}
                return {
                    each: self.example(schema["properties"][each], each, depth + 1)
                    for each in sorted(wanted)
                    if each != "taskId"
                }
            case "array":
                return []
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
            case _:
                return "script" if name == "driver" else "good"


def with_text(body: Any, steps: Steps, text: str) -> Any:
    """The body with the text at this place; what is missing on the way there is made."""
    if not steps:
        return text
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        first = body[0] if isinstance(body, list) and body else None
        return [with_text(first, rest, text)]
    kept = dict(body) if isinstance(body, dict) else {}
    kept[step] = with_text(kept.get(step), rest, text)
    return kept


def at(body: Any, steps: Steps) -> Any:
    """What is at this place; None when there is nothing."""
    for step in steps:
        if isinstance(body, Mapping):
            body = body.get(step)
        elif isinstance(body, list) and isinstance(step, int) and step < len(body):
            body = body[step]
        else:
            return None
    return body


@pytest.mark.timeout(300)
async def test_what_is_stored_is_equal_and_what_is_refused_is_named(
    admin: httpx.AsyncClient, app: FastAPI, with_key: None, site: Any, deploy: Any
) -> None:
    assert STRINGS is not None
    strings = itertools.cycle(json.loads(STRINGS.read_text()))
    description = Description(app, ids_of(site))
    wrong: list[str] = []
    stored: set[str] = set()
    for _, fields in itertools.groupby(description.fields(), key=lambda field: field.route):
        # Of its own for each route: the one before may have ended it, or blocked its version.
        await admin.post(f"/api/release/versions/{site.version}/unblock")
        description.ids["deployment_id"] = (await deploy(autoStart=False, tasks=[GREET]))["id"]
        for field in fields:
            for text in itertools.islice(strings, A_FIELD_GETS):
                answer = await admin.request(
                    field.method,
                    field.path.format_map(description.ids),
                    json=with_text(field.body, field.steps, text),
                )
                problem = problem_of(answer, field, text)
                wrong += [f"{field} {text!r}: {problem}"] if problem else []
                stored |= {field.route} if answer.is_success else set()
    assert not wrong, "\n".join(wrong[:40])
    assert stored >= GOOD.keys() - {"replace_workflow"}, "these are not stored any more"


def ids_of(site: Any) -> dict[str, str]:
    return {
        "project_id": site.project,
        "environment_id": site.environment,
        "version_id": site.version,
        "application_id": next(iter(site.applications.values())),
        "target_id": site.targets[0],
        "agent_id": site.agents[0],
        "agent": site.agents[0],
        "task_id": "greet",
    }


def problem_of(answer: httpx.Response, field: Field, text: str) -> str:
    """What is wrong with this answer; empty when nothing is."""
    if answer.status_code >= 500:
        return f"{answer.status_code} {answer.text[:300]}"
    if answer.is_success:
        stored = at(answer.json(), field.steps) if answer.content else None
        if REFERENCES & set(field.steps):
            return ""
        is_equal = stored is None or stored == text or not isinstance(stored, str)
        return "" if is_equal else f"stored as {stored!r}"
    if answer.status_code == 422 and answer.json()["code"] == "invalid":
        named = [each["field"] for each in answer.json()["errors"]]
        return "" if named and all(named) else f"refused without a field: {answer.text[:300]}"
    return ""
