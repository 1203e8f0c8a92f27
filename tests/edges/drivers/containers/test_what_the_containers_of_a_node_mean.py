"""The pure half of the container driver and of the proxy: no engine is needed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.orders import DriverKind, HealthCheck, ProbeKind
from boreas.domain.specs import parse_container
from boreas.drivers.container_plan import (
    SeenContainer,
    address_of,
    asks_the_container,
    container_config,
    live_one,
    name_beside,
    of_release,
    port_to_check,
    seen_from,
)
from boreas.drivers.proxy import ProxyTrouble, Slot, open_sessions, parse_servers_state, plan_switch
from boreas.testing.workbench import a_release, an_order

PROXY = {"type": "haproxy", "socket": "/s", "backend": "shop", "servers": ["blue", "green"]}


def a_spec(**fields: Any):
    return parse_container({"image": "shop:v1", "name": "shop", **fields})


def a_container(**fields: Any) -> SeenContainer:
    return SeenContainer(**{"id": "c1", "name": "shop", "release_id": "rel_1", **fields})


def config_of(**fields: Any) -> dict[str, Any]:
    release = a_release("v1", driver=DriverKind.CONTAINER)
    order = an_order(release, variables={"COLOUR": "blue"})
    spec = a_spec(**fields)
    port = 4444 if spec.proxy else None
    return container_config(order, release, spec, image="shop:v1", proxy_port=port)


def test_the_live_container_is_the_one_with_the_plain_name():
    live, old = a_container(), a_container(id="c0", name="shop.rel_0", release_id="rel_0")

    assert live_one([old, live], "shop") is live
    assert live_one([old], "shop") is None


def test_of_several_containers_of_a_release_the_newest_counts():
    older, newer = a_container(id="a", created="2026-01-01"), a_container(id="b", created="2026-02")

    assert of_release([newer, older], "rel_1") is newer
    assert of_release([], "rel_1") is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_name_beside_is_always_one_that_docker_allows(first, second):
    name = name_beside("shop", first)

    assert name.startswith("shop.")
    assert all(letter.isascii() and (letter.isalnum() or letter in "_.-") for letter in name)


def test_two_releases_are_told_apart_by_their_names():
    ids = ("rel_06f3k9aaaaaaaaaaaaaaaaaaaa", "rel_06f3k9aaaaaaaaaaaaaaaaaaab")

    assert name_beside("shop", ids[0]) != name_beside("shop", ids[1])


def test_ports_are_published_as_written_without_a_proxy():
    ports = config_of(ports=["8080:80", "53/udp"])["HostConfig"]["PortBindings"]

    assert ports == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": ""}],
    }


def test_behind_a_proxy_the_container_listens_on_the_loopback_alone():
    ports = config_of(ports=["8080:80"], proxy=PROXY)["HostConfig"]["PortBindings"]

    assert ports == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4444"}]}


def test_a_container_comes_back_after_a_reboot_but_not_after_it_was_stopped():
    assert config_of()["HostConfig"]["RestartPolicy"] == {"Name": "unless-stopped"}


def test_the_order_s_ids_are_labels():
    labels = config_of()["Labels"]

    assert labels["boreas.application"] == "app_1"
    assert labels["boreas.target"] == "tgt_1"
    assert labels["boreas.deployment"] == "dep_1"


@pytest.mark.parametrize(
    ("spec", "check", "port"),
    [
        ({"ports": ["8080:80"]}, {"url": "http://127.0.0.1:8080/"}, 80),
        ({"ports": ["8080:80", "9000"]}, {"url": "http://127.0.0.1:9000/"}, 9000),
        ({"ports": ["80"]}, {"url": "http://shop/"}, 80),
        ({"ports": ["443"]}, {"url": "https://shop/"}, 443),
        ({"ports": ["5000"]}, {"url": "http://elsewhere:1/"}, 5000),
        ({}, {"url": "http://127.0.0.1:7000/"}, 7000),
        ({"proxy": {**PROXY, "port": 3000}}, {"url": "http://127.0.0.1/"}, 3000),
    ],
)
def test_the_port_people_wrote_is_found_in_the_container(spec, check, port):
    asked = HealthCheck(type=ProbeKind.HTTP, **check)

    assert port_to_check(asked, a_spec(**spec)) == port


def test_the_container_itself_is_asked_where_no_lasting_address_is_known():
    assert asks_the_container(a_spec(ports=["80"]))
    assert not asks_the_container(a_spec(ports=["8080:80"]))
    assert not asks_the_container(a_spec(ports=["80"], proxy=PROXY))


def test_a_published_port_is_preferred_to_the_container_s_own_address():
    container = a_container(published={80: ("127.0.0.1", 32768)}, networks={"bridge": "10.0.0.2"})

    assert address_of(container, 80) == ("127.0.0.1", 32768)
    assert address_of(container, 81) == ("10.0.0.2", 81)
    assert address_of(a_container(), 80) is None


def test_the_engine_s_answer_is_read_as_a_value():
    seen = seen_from(
        {
            "Id": "abc",
            "Name": "/shop",
            "Created": "2026-01-01T00:00:00Z",
            "Image": "sha256:1",
            "RestartCount": 2,
            "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "starting"}},
            "Config": {"Image": "shop:v1", "Labels": {"boreas.release": "rel_1"}},
            "NetworkSettings": {
                "Ports": {
                    "80/tcp": [
                        {"HostIp": "0.0.0.0", "HostPort": "8080"},
                        {"HostIp": "::", "HostPort": "8080"},
                    ],
                    "81/tcp": None,
                    "53/udp": [{"HostIp": "", "HostPort": "53"}],
                },
                "Networks": {"bridge": {"IPAddress": "10.0.0.2"}},
            },
        }
    )

    assert (seen.name, seen.release_id, seen.health, seen.is_running) == (
        "shop",
        "rel_1",
        "starting",
        True,
    )
    assert seen.published == {80: ("127.0.0.1", 8080)}


# --- the proxy -----------------------------------------------------------------------------------

addresses = st.tuples(st.just("127.0.0.1"), st.integers(1, 5))
slots = st.tuples(
    st.builds(Slot, name=st.just("blue"), address=addresses, takes_requests=st.booleans()),
    st.builds(Slot, name=st.just("green"), address=addresses, takes_requests=st.booleans()),
)


@given(slots, addresses)
def test_a_switch_fills_one_slot_and_empties_the_other(both, address):
    plan = plan_switch(both, address)

    assert {plan.fill, *plan.empty} == {"blue", "green"}


@given(slots, addresses)
def test_the_only_slot_that_takes_requests_is_never_filled_with_another_address(both, address):
    busy = [one for one in both if one.takes_requests]
    if len(busy) != 1 or busy[0].address == address:
        return

    assert plan_switch(both, address).fill != busy[0].name


@given(slots, addresses)
def test_an_address_that_is_served_already_stays_where_it_is(both, address):
    there = [one.name for one in both if one.address == address]

    if there:
        assert plan_switch(both, address).fill in there


def test_haproxy_s_state_is_read_by_its_column_names():
    text = (
        "1\n# be_id srv_name srv_addr srv_admin_state srv_port\n"
        "3 blue 127.0.0.1 4 8080\n3 green 127.0.0.1 5 1\n3 red 127.0.0.1 12 2\n"
    )

    found = parse_servers_state(text)

    assert found["blue"] == Slot(name="blue", address=("127.0.0.1", 8080), takes_requests=True)
    assert not found["green"].takes_requests
    assert not found["red"].takes_requests


def test_what_haproxy_does_not_know_is_said_in_its_words():
    with pytest.raises(ProxyTrouble, match="Can't find backend"):
        parse_servers_state("Can't find backend.\n")


def test_open_requests_are_the_running_and_the_queued_ones():
    text = "# pxname,svname,qcur,scur\nshop,FRONTEND,,9\nshop,blue,1,2\nother,blue,5,5\n"

    assert open_sessions(text, "shop", "blue") == 3
    assert open_sessions(text, "shop", "green") == 0


def test_releases_whose_ids_end_alike_have_different_names_beside():
    assert name_beside("shop", "dep_1.app_7") != name_beside("shop", "dep_2.app_7")
