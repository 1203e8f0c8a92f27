"""An application's `spec` and `health_check`: what is taken, what is refused, and how."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.orders import DriverKind, ProbeKind
from boreas.domain.specs import (
    ContainerSpec,
    PortMapping,
    can_stage,
    check_application,
    interrupts,
    parse_container,
    parse_git_pull,
    parse_health_check,
    parse_script,
    parse_spec,
    staging_obstacle,
)

SCRIPT: dict[str, Any] = {"scripts": {"deploy": "true"}}
GIT: dict[str, Any] = {"repository": "https://example.org/shop.git", "path": "/srv/shop"}
CONTAINER: dict[str, Any] = {"image": "shop:{version}", "name": "shop"}
PROXY: dict[str, Any] = {
    "type": "haproxy",
    "socket": "/run/haproxy/admin.sock",
    "backend": "shop",
    "servers": ["blue", "green"],
}


def refusal(driver: DriverKind, spec: object) -> dict[str, tuple[str, str]]:
    """Field -> (problem, mend) of everything that is wrong."""
    with pytest.raises(InvalidInput) as caught:
        parse_spec(driver, spec)
    return {one.field: (one.problem, one.mend) for one in caught.value.fields}


# --- script --------------------------------------------------------------------------------------


def test_a_script_application_needs_only_deploy():
    assert parse_script(SCRIPT).scripts == {"deploy": "true"}


def test_a_script_application_may_have_a_script_per_verb_and_a_timeout():
    scripts = dict.fromkeys(("deploy", "stage", "check", "revert", "retire"), "true")

    spec = parse_script({"scripts": scripts, "timeout_seconds": 60})

    assert (spec.scripts, spec.timeout_seconds) == (scripts, 60)


def test_a_missing_deploy_script_is_named_with_its_path():
    wrong = refusal(DriverKind.SCRIPT, {"scripts": {"stage": "true"}})

    assert wrong["spec.scripts.deploy"] == (
        "is missing",
        "write the bash that makes a version live",
    )


def test_an_unknown_key_is_refused_by_name_and_the_near_one_suggested():
    wrong = refusal(DriverKind.SCRIPT, {"scripts": {"deploy": "x", "chek": "y"}, "timeout": 3})

    assert wrong["spec.scripts.chek"] == ("is not known", "did you mean `check`?")
    assert wrong["spec.timeout"] == ("is not known", "did you mean `timeout_seconds`?")


def test_every_mistake_is_told_at_once():
    wrong = refusal(DriverKind.GIT_PULL, {"path": "srv", "keep": 0, "extra": 1})

    assert set(wrong) == {"spec.repository", "spec.path", "spec.keep", "spec.extra"}


@pytest.mark.parametrize("spec", [None, [], "text", 7, {"scripts": "deploy"}, {"scripts": []}])
@pytest.mark.parametrize("driver", list(DriverKind))
def test_what_is_not_an_object_is_refused_and_never_a_traceback(driver, spec):
    assert refusal(driver, spec)


# --- git_pull ------------------------------------------------------------------------------------


def test_a_git_application_keeps_five_checkouts_unless_it_says_otherwise():
    assert parse_git_pull(GIT).keep == 5
    assert parse_git_pull({**GIT, "keep": 2}).keep == 2


@pytest.mark.parametrize("path", ["srv", "/", "/srv/../etc", "", "/srv/\n", "/srv/{nobody}"])
def test_a_path_is_absolute_below_the_root_and_climbs_nowhere(path):
    assert "spec.path" in refusal(DriverKind.GIT_PULL, {**GIT, "path": path})


def test_a_path_may_tell_targets_of_one_node_apart():
    assert parse_git_pull({**GIT, "path": "/srv/{target}/shop"}).path == "/srv/{target}/shop"


# --- container -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("80", PortMapping(container_port=80)),
        (80, PortMapping(container_port=80)),
        ("8080:80", PortMapping(container_port=80, host_port=8080)),
        ("127.0.0.1:8080:80/udp", PortMapping(
            container_port=80, host_port=8080, host_ip="127.0.0.1", protocol="udp"
        )),
        ("127.0.0.1::80", PortMapping(container_port=80, host_ip="127.0.0.1")),
        ("0:80", PortMapping(container_port=80)),
    ],
)  # fmt: skip
def test_ports_are_written_as_docker_has_them(text, port):
    assert parse_container({**CONTAINER, "ports": [text]}).ports == (port,)


@pytest.mark.parametrize("text", ["", "http", "70000", "1:2:3:4", "0", "-1", "80/sctp", "1:99999"])
def test_what_is_no_port_is_refused_with_its_place_in_the_list(text):
    assert "spec.ports[1]" in refusal(DriverKind.CONTAINER, {**CONTAINER, "ports": ["80", text]})


@pytest.mark.parametrize("name", ["-x", "a b", "a/b", "a\n", "x" * 101, "{version}"])
def test_a_container_s_name_is_one_that_docker_allows(name):
    assert "spec.name" in refusal(DriverKind.CONTAINER, {**CONTAINER, "name": name})


@pytest.mark.parametrize("image", ["-v", "a b", "shop:{tag}", "UPPER", "shop:", "a\nb", "http://x"])
def test_an_image_is_a_name_and_nothing_else(image):
    assert "spec.image" in refusal(DriverKind.CONTAINER, {**CONTAINER, "image": image})


@pytest.mark.parametrize("volume", ["data", "../x:/y", "/a:b", ":", "a:/b\n"])
def test_a_volume_names_where_it_is_mounted(volume):
    assert "spec.volumes[0]" in refusal(DriverKind.CONTAINER, {**CONTAINER, "volumes": [volume]})


def test_env_takes_plain_values_and_keeps_them_out_of_the_repr():
    spec = parse_container({**CONTAINER, "env": {"N": 3, "ON": True, "TOKEN": "hunter2"}})

    assert spec.env == {"N": "3", "ON": "true", "TOKEN": "hunter2"}
    assert "hunter2" not in repr(spec)


def test_env_names_are_variables():
    wrong = refusal(DriverKind.CONTAINER, {**CONTAINER, "env": {"A=B": "x", "DEEP": {}}})

    assert set(wrong) == {"spec.env.A=B", "spec.env.DEEP"}


def test_a_proxy_needs_two_servers_and_a_port_to_ask():
    wrong = refusal(DriverKind.CONTAINER, {**CONTAINER, "proxy": {**PROXY, "servers": ["one"]}})

    assert set(wrong) == {"spec.proxy.servers", "spec.proxy.port"}


def test_a_proxy_s_names_cannot_carry_a_second_command():
    proxy = {**PROXY, "backend": "shop; shutdown", "servers": ["a\nb", "c d"], "port": 80}

    wrong = refusal(DriverKind.CONTAINER, {**CONTAINER, "proxy": proxy})

    assert {"spec.proxy.backend", "spec.proxy.servers[0]", "spec.proxy.servers[1]"} <= set(wrong)


# --- what the plan says --------------------------------------------------------------------------


def test_a_script_application_without_stage_cannot_be_staged_beside_itself():
    assert not can_stage(DriverKind.SCRIPT, SCRIPT)
    assert can_stage(DriverKind.SCRIPT, {"scripts": {"deploy": "x", "stage": "y"}})


def test_a_checkout_can_always_be_staged():
    assert can_stage(DriverKind.GIT_PULL, GIT)
    assert not interrupts(DriverKind.GIT_PULL, GIT)


def test_a_fixed_host_port_means_downtime_and_the_sentence_names_it():
    spec = {**CONTAINER, "ports": ["8080:80"]}

    assert not can_stage(DriverKind.CONTAINER, spec)
    assert interrupts(DriverKind.CONTAINER, spec)
    assert staging_obstacle(DriverKind.CONTAINER, spec) == (
        "the host port 8080 is fixed, so the old container must stop before the new one can start; "
        "name a `proxy` to avoid it"
    )


def test_a_proxy_takes_the_downtime_away():
    spec = {**CONTAINER, "ports": ["8080:80"], "proxy": PROXY}

    assert can_stage(DriverKind.CONTAINER, spec)
    assert not interrupts(DriverKind.CONTAINER, spec)


def test_downtime_is_said_for_containers_only_because_scripts_may_do_anything():
    assert not interrupts(DriverKind.SCRIPT, SCRIPT)
    assert "no `stage` script" in (staging_obstacle(DriverKind.SCRIPT, SCRIPT) or "")


# --- health checks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"type": "command", "command": "true"},
        {"type": "http", "url": "http://127.0.0.1/x", "status": 204, "body": "ok"},
        {"type": "tcp", "port": 80},
        {"type": "tcp", "host": "db", "port": 5432},
        {"type": "container"},
    ],
)
def test_the_four_kinds_of_health_check(document):
    check = parse_health_check({**document, "interval": 2, "retries": 5}, DriverKind.CONTAINER)

    assert check is not None
    assert (check.type, check.interval, check.retries) == (ProbeKind(document["type"]), 2.0, 5)


@pytest.mark.parametrize("document", [None, {}])
def test_an_application_may_have_no_health_check(document):
    assert parse_health_check(document, DriverKind.SCRIPT) is None


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"type": "ping"}, "health_check.type"),
        ({"type": "container"}, "health_check.type"),
        ({"type": "command"}, "health_check.command"),
        ({"type": "http", "url": "ftp://x"}, "health_check.url"),
        ({"type": "http", "url": "http://ann:secret@x/"}, "health_check.url"),
        ({"type": "http", "url": "http://x/", "port": 1}, "health_check.port"),
        ({"type": "tcp"}, "health_check.port"),
        ({"type": "tcp", "port": 0}, "health_check.port"),
        ({"type": "tcp", "port": 1, "retries": 0}, "health_check.retries"),
        ({"type": "tcp", "port": 1, "interval": "1s"}, "health_check.interval"),
        ({"type": "tcp", "port": 1, "interval": True}, "health_check.interval"),
        ({"type": "tcp", "port": 1, "timeout": float("nan")}, "health_check.timeout"),
        ({"type": "tcp", "port": 1, "healthy_deadline": 900}, "health_check.healthy_deadline"),
        ({"type": "tcp", "port": 1, "start_period": 400}, "health_check.healthy_deadline"),
    ],
)
def test_a_wrong_health_check_is_told_with_its_field(document, field):
    with pytest.raises(InvalidInput) as caught:
        parse_health_check(document, DriverKind.SCRIPT)

    assert field in {one.field for one in caught.value.fields}


def test_both_documents_are_judged_together():
    with pytest.raises(InvalidInput) as caught:
        check_application(DriverKind.SCRIPT, {}, {"type": "tcp"})

    assert {one.field for one in caught.value.fields} == {"spec.scripts", "health_check.port"}


# --- anything at all -----------------------------------------------------------------------------

leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
value = leaf | st.lists(leaf, max_size=3) | st.dictionaries(st.text(max_size=5), leaf, max_size=3)
names = ["scripts", "deploy", "repository", "path", "image", "name", "ports", "env", "proxy"]
check_names = ["type", "url", "port", "command", "retries", "interval"]


def problems_of(read: Callable[[], object]) -> tuple[FieldError, ...] | None:
    """None when the document is taken; anything but `InvalidInput` fails the test."""
    try:
        read()
    except InvalidInput as error:
        return error.fields
    return None


@given(
    st.sampled_from(list(DriverKind)), st.dictionaries(st.sampled_from(names), value, max_size=5)
)
def test_any_document_is_either_taken_or_refused_with_fields(driver, document):
    assert problems_of(lambda: parse_spec(driver, document)) != ()


@given(st.dictionaries(st.sampled_from(check_names), value, max_size=5))
def test_any_health_check_is_either_taken_or_refused_with_fields(document):
    assert problems_of(lambda: parse_health_check(document, DriverKind.CONTAINER)) != ()


def test_nasty_texts_never_become_names_of_containers_or_images():
    nasty = ["$(id)", "`id`", "a;b", "a|b", "--privileged", "\u202e", "a\0b", "../x", "%0a", "a'b"]
    for text in nasty:
        for field in ("name", "image"):
            with pytest.raises(InvalidInput):
                parse_container({**CONTAINER, field: text})


def test_a_parsed_container_equals_itself_after_a_trip_through_json():
    document = {**CONTAINER, "ports": ["8080:80"], "proxy": PROXY, "command": ["a", "b"]}

    again = json.loads(json.dumps(document))

    assert isinstance(parse_container(again), ContainerSpec)
    assert parse_container(again) == parse_container(document)
