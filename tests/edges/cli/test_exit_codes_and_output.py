"""Every way to fail has its own exit code, one sentence, and with -o json one document."""

from pathlib import Path
from typing import Any

import pytest

from boreas.cli import verbs
from boreas.cli.main import VERBS


def test_no_server_is_6(stranger: Any) -> None:
    ran = stranger("list", "--server", "http://127.0.0.1:9")

    assert ran.code == 6
    assert "no server answers at http://127.0.0.1:9" in ran.err


def test_nobody_signed_in_is_3_and_says_how(server: Any, stranger: Any) -> None:
    ran = stranger("projects", "list", "--server", server.url)

    assert ran.code == 3
    assert "boreas login" in ran.err


def test_an_unknown_deployment_is_4(boreas: Any) -> None:
    assert boreas("status", "dep_none").code == 4
    assert boreas("status", "#99").code == 4
    assert boreas("status").code == 4


def test_an_unknown_project_is_4_and_names_one_that_is_near(shop: Any, boreas: Any) -> None:
    ran = boreas("versions", "list", "shob")

    assert ran.code == 4
    assert "did you mean shop?" in ran.err


def test_a_conflict_is_5_in_the_servers_own_words(server: Any, boreas: Any) -> None:
    server.add_deployment()
    path = "/api/v1/deployments/dep_1/confirm"
    server.refusals["POST", path] = (409, {"detail": "it waits for nobody", "code": "conflict"})

    ran = boreas("confirm", "dep_1")

    assert (ran.code, "it waits for nobody" in ran.err) == (5, True)


def test_wrong_arguments_are_2(boreas: Any) -> None:
    assert boreas("status", "--no-such-option").code == 2
    assert boreas("no-such-verb").code == 2


def test_refused_input_is_2_with_every_field(shop: Any, boreas: Any) -> None:
    shop.refusals["POST", "/api/v1/deployments"] = (
        422,
        {
            "detail": "two fields",
            "errors": [{"field": "tasks[0].appId", "problem": "is unknown", "mend": "name one"}],
        },
    )

    ran = boreas("deploy", "shop", "prod", "v1")

    assert ran.code == 2
    assert "tasks[0].appId: is unknown; name one" in ran.err


def test_a_failure_is_one_json_document_too(server: Any, boreas: Any) -> None:
    ran = boreas("status", "dep_none", "-o", "json")

    assert ran.document["exitCode"] == 4
    assert ran.document["error"]["code"] == "not_found"


def test_the_format_may_stand_before_the_verb(shop: Any, boreas: Any) -> None:
    assert boreas("-o", "json", "projects", "list").document[0]["name"] == "shop"


def test_a_list_is_read_to_its_last_page(server: Any, boreas: Any) -> None:
    server.page_size = 2
    for place in range(5):
        server.add("projects", name=f"p{place}")

    names = [each["name"] for each in boreas("projects", "list", "-o", "json").document]

    assert names == ["p0", "p1", "p2", "p3", "p4"]


def test_control_characters_of_others_never_reach_the_terminal(server: Any, boreas: Any) -> None:
    server.add("projects", name="shop\x1b]52;c;aGk=\x07")

    assert "\x1b]52" not in boreas("projects", "list").out


def test_a_fault_of_ours_is_70_without_a_traceback(
    boreas: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(verbs, "run_to_exit", broken)

    ran = boreas("--debug", tmp_path / "crash", "list")

    assert ran.code == 70
    assert "Traceback" not in ran.out + ran.err
    assert "Traceback" in (tmp_path / "crash").read_text()


def test_every_verb_has_help(boreas: Any) -> None:
    for name in VERBS:
        ran = boreas(name, "--help")
        assert (name, ran.code) == (name, 0)
        assert "Usage: boreas" in ran.out


def test_each_shell_gets_a_script_that_asks_boreas(boreas: Any) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_BOREAS_COMPLETE=complete_" in boreas("completion", shell).out
