"""`boreas workflows`: what is sent, and what is refused before anything is."""

from pathlib import Path
from typing import Any

DEPLOYMENTS = "/api/v1/deployments"


def test_nothing_to_save_is_2(shop: Any, boreas: Any) -> None:
    ran = boreas("workflows", "save", "shop", "release")

    assert ran.code == 2
    assert "--file" in ran.err
    assert shop.changes() == []


def test_nothing_to_preview_is_2(shop: Any, boreas: Any) -> None:
    ran = boreas("workflows", "preview", "shop", "prod", "v1")

    assert ran.code == 2
    assert shop.changes() == []


def test_a_file_that_is_not_there_is_2(shop: Any, boreas: Any, tmp_path: Path) -> None:
    ran = boreas("workflows", "save", "shop", "release", "-f", tmp_path / "no.yaml")

    assert ran.code == 2
    assert "cannot be read" in ran.err


def test_a_deployment_names_its_workflow_its_version_and_its_variables(
    shop: Any, boreas: Any
) -> None:
    boreas("deploy", "shop", "prod", "v1", "--workflow", "release@3", "--var", "A=b=c")

    (body,) = shop.bodies("POST", DEPLOYMENTS)
    assert body["workflowId"] == "release"
    assert body["workflowVersion"] == 3
    assert body["variables"] == {"A": "b=c"}


def test_a_name_with_an_at_sign_and_no_number_is_a_name(shop: Any, boreas: Any) -> None:
    boreas("deploy", "shop", "prod", "v1", "--workflow", "ops@night")

    (body,) = shop.bodies("POST", DEPLOYMENTS)
    assert body["workflowId"] == "ops@night"
    assert "workflowVersion" not in body


def test_a_variable_without_a_value_is_2(shop: Any, boreas: Any) -> None:
    ran = boreas("deploy", "shop", "prod", "v1", "--workflow", "release", "--var", "A")

    assert ran.code == 2
    assert shop.changes() == []
