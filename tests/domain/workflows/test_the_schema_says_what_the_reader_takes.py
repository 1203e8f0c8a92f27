"""Editors check against the published schema; it must not say another thing than the reader."""

import json
import re
from pathlib import Path

import pytest

from boreas.domain.errors import InvalidInput
from boreas.domain.workflows.reading import read_template
from boreas.domain.workflows.schema import SCHEMA

DOCS = Path(__file__).parents[3] / "docs"


def known_keys(text: str) -> set[str]:
    """The keys that the reader names when it meets one that it does not know."""
    with pytest.raises(InvalidInput) as refused:
        read_template(text)
    problems = refused.value.parameters["problems"]
    mend = next(it["mend"] for it in problems if it["path"].endswith("zzzzzz"))
    return set(re.findall("`([^`]+)`", mend))


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("zzzzzz: 1", SCHEMA),
        ("stages: [{zzzzzz: 1}]", SCHEMA["definitions"]["stage"]),
        ("tasks: [{zzzzzz: 1}]", SCHEMA["definitions"]["task"]),
        (
            "tasks: [{matrix: {zzzzzz: 1}}]",
            SCHEMA["definitions"]["task"]["properties"]["matrix"],
        ),
        (
            "tasks: [{retry: {zzzzzz: 1}}]",
            SCHEMA["definitions"]["task"]["properties"]["retry"]["anyOf"][1],
        ),
    ],
)
def test_both_know_the_same_keys(text, schema):
    assert known_keys(text) == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_published_file_is_this_schema():
    published = DOCS / "reference" / "workflow.schema.json"

    assert json.loads(published.read_text()) == SCHEMA


def test_the_example_of_the_how_to_is_a_template():
    page = (DOCS / "howto" / "workflows.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    assert [it.name for it in read_template(text).stages] == ["Check", "Deploy", "Afterwards"]


def test_the_reference_names_every_key_and_every_fact():
    from boreas.engine.cel_texts import FACTS, OF_APPLICATION

    page = (DOCS / "reference" / "workflow-schema.md").read_text()
    keys = {*SCHEMA["properties"], *SCHEMA["definitions"]["task"]["properties"]} - {"$schema"}

    assert [key for key in keys if f"`{key}" not in page] == []
    facts = [*FACTS, *OF_APPLICATION]
    assert [it for it in facts if it.rpartition(".")[2] not in page] == []
