"""Editors check against the published schema; it must not say another thing than the reader."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from boreas.domain.builds import parse_build
from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.health_specs import parse_health_check
from boreas.domain.manifests.drivers import BUILD_CONFIG, HEALTH_CHECK, PROBES, SPECS
from boreas.domain.manifests.references import KEYS
from boreas.domain.manifests.schema import SCHEMA
from boreas.domain.manifests.tables import PROJECT
from boreas.domain.orders import DriverKind, ProbeKind
from boreas.domain.reading import Reader
from boreas.domain.specs import parse_spec

DOCS = Path(__file__).parents[3] / "docs"
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def known_keys(read: Any) -> set[str]:
    """The keys that a reader names when it meets one that it does not know, as files write them."""
    with pytest.raises(InvalidInput) as refused:
        read()
    mend = next(it.mend for it in refused.value.fields if it.field.endswith("zzzzzz"))
    theirs = {value: key for key, value in KEYS.items()}
    return {theirs.get(key, key) for key in re.findall("`([^`]+)`", mend)}


@pytest.mark.parametrize("driver", list(DriverKind))
def test_both_know_the_same_keys_of_a_spec(driver: DriverKind) -> None:
    assert known_keys(lambda: parse_spec(driver, {"zzzzzz": 1})) == set(SPECS[driver]["properties"])


def test_both_know_the_same_keys_of_a_build() -> None:
    assert known_keys(lambda: parse_build({"zzzzzz": 1})) == set(BUILD_CONFIG["properties"])


@pytest.mark.parametrize("kind", list(ProbeKind))
def test_both_know_the_same_keys_of_a_health_check(kind: ProbeKind) -> None:
    document = {"type": kind.value, "zzzzzz": 1}
    schema = next(
        it
        for it in HEALTH_CHECK["anyOf"]
        if it.get("properties", {}).get("type") == {"const": kind.value}
    )

    found = known_keys(lambda: parse_health_check(document, DriverKind.CONTAINER))

    assert found == set(schema["properties"])
    assert set(PROBES[kind]["required"]) <= found


def test_the_published_file_is_this_schema() -> None:
    published = DOCS / "reference" / "project.schema.json"

    assert json.loads(published.read_text()) == SCHEMA


GOOD = """\
project: shop
applications:
  - {name: web, driver: script, spec: {scripts: {deploy: "true"}}, health_check: null}
environments:
  - {name: prod, kind: prod, approval_policy: {required: 2}, targets: [{name: one}]}
"""


def mistakes(document: Any) -> list[FieldError]:
    noted: list[FieldError] = []
    PROJECT.read(Reader(document, "", noted))
    return noted


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"projekt": "x"}, ""),
        ({"project": None}, ""),
        ({"members": [{"user": "a", "role": "king"}]}, "members"),
        ({"members": [{"user": "a"}]}, "members"),
        ({"credentials": [{"name": "a", "type": "ssh", "private_key": "x"}]}, "credentials"),
        ({"credentials": [{"name": "a", "type": "ssh", "value_from": "x"}]}, "credentials"),
        ({"credentials": [{"name": "a", "type": "ssh", "value_from": {}}]}, "credentials"),
        ({"variables": {"9": "x"}}, "variables"),
        ({"variables": {"A": {"value": "x"}}}, "variables"),
        ({"variables": {"A": [1]}}, "variables"),
        ({"environments": [{"name": "a", "kind": "production"}]}, "environments"),
        ({"environments": [{"name": "a", "windows": [{"name": "w"}]}]}, "environments"),
        ({"environments": [{"name": "a", "lock": {"reason": "x"}}]}, "environments"),
        ({"applications": [{"name": "a", "driver": "script", "spec": {"x": 1}}]}, "applications"),
        ({"applications": [{"name": "a", "driver": "script"}]}, "applications"),
        ({"versions": [{"name": "a", "git_credential_id": "cred_1"}]}, "versions"),
        ({"promotion_order": {"a": 1}}, "promotion_order"),
    ],
)
def test_what_the_reader_refuses_an_editor_marks(part: Mapping[str, Any], place: str) -> None:
    document = {**yaml.safe_load(GOOD), **part}

    assert any(it.field.startswith(place) for it in mistakes(document))
    assert not VALIDATOR.is_valid(document)


def test_what_the_reader_takes_an_editor_takes() -> None:
    document = yaml.safe_load(GOOD)

    assert mistakes(document) == []
    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "page", ["howto/keep-a-project-in-files.md", "howto/say-when-deployments-may-begin.md"]
)
def test_the_examples_of_the_how_tos_are_project_files(page: str) -> None:
    found = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)

    for text in (it for it in found if it.startswith("project:")):
        document = yaml.safe_load(text)
        assert mistakes(document) == []
        VALIDATOR.validate(document)


def test_the_reference_names_every_key() -> None:
    page = (DOCS / "reference" / "project-files.md").read_text()
    tables = [SCHEMA, *(SCHEMA["properties"][key]["items"] for key in LISTS)]
    keys = {key for table in tables for key, it in table["properties"].items() if "not" not in it}

    assert sorted(key for key in keys if f"`{key}" not in page and f"{key}:" not in page) == []


LISTS = ("credentials", "applications", "environments", "workflows", "versions", "members")
