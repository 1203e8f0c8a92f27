"""Addresses, refs and images that are let through, and those that never are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.errors import InvalidInput
from boreas.domain.git_names import (
    check_git,
    commit_problem,
    protocols_of,
    ref_problem,
    repository_problem,
)
from boreas.domain.images import image_of, names_a_registry, without_tag
from boreas.domain.placeholders import filled_safely


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/shop.git",
        "http://10.0.0.1:3000/a/b",
        "ssh://git@example.org:2222/shop.git",
        "git@example.org:team/shop.git",
        "file:///srv/git/shop.git",
        "/srv/git/shop.git",
        "https://ann@example.org/shop.git",
    ],
)
def test_plain_addresses_are_let_through(address):
    assert repository_problem(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        " https://example.org/x",
        "ext::sh -c id",
        "fd::17/foo",
        "-uid",
        "--upload-pack=id",
        "ssh://-oProxyCommand=id/x",
        "ssh://ann@-oProxyCommand=id/x",
        "git@-host:x",
        "-x@host:y",
        "git@host:-x",
        "git://example.org/x",
        "ftp://example.org/x",
        "HTTPS+ext://x/y",
        "https:///path",
        "https://ann:secret@example.org/x",
        "relative/path",
        "https://example.org/\n",
        "https://example.org/\0",
    ],
)
def test_addresses_that_could_run_or_leak_something_are_refused(address):
    assert repository_problem(address)


@pytest.mark.parametrize("ref", ["main", "v1.2", "feature/x", "refs/heads/main", "发布", "a-b"])
def test_plain_refs_are_let_through(ref):
    assert ref_problem(ref) is None


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "-x",
        "a b",
        "a..b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[",
        "a\\",
        "@",
        "a@{1}",
        "/a",
        "a/",
        "a.",
        ".a",
        "a/.b",
        "a.lock",
        "a//b",
        "a\n",
        "a\0",
        "a\x1b",
    ],
)
def test_refs_that_git_itself_forbids_are_refused(ref):
    assert ref_problem(ref)


@given(st.text())
def test_no_text_that_is_let_through_could_be_an_option_or_a_second_line(text):
    for problem in (repository_problem(text), ref_problem(text)):
        if problem is None:
            assert not text.startswith("-")
            assert not any(letter in text for letter in "\n\r\0")


def test_a_commit_is_written_in_full():
    assert commit_problem("a" * 40) is None
    assert commit_problem("a" * 64) is None
    assert commit_problem("abc123")
    assert commit_problem("A" * 40)


def test_a_refused_name_says_which_field_it_was():
    with pytest.raises(InvalidInput) as caught:
        check_git(repository="https://example.org/x", ref="-x", commit=None)

    assert caught.value.fields[0].field == "git.ref"


@pytest.mark.parametrize(
    ("address", "protocols"),
    [
        ("https://example.org/x", "https"),
        ("http://example.org/x", "http:https"),
        ("ssh://example.org/x", "ssh"),
        ("git@example.org:x", "ssh"),
        ("file:///x", "file"),
        ("/x", "file"),
    ],
)
def test_git_may_speak_the_address_s_own_protocol_only(address, protocols):
    assert protocols_of(address) == protocols


def test_a_digest_wins_over_every_tag():
    digest = "sha256:" + "a" * 64
    artifact = {"image": "r.example.org:5000/shop:v9", "digest": digest}

    assert image_of("shop:{version}", version="v1", artifact={}) == "shop:v1"
    assert image_of("shop:{version}", version="v1", artifact={"image": "other:2"}) == "other:2"
    assert image_of("shop:{version}", version="v1", artifact=artifact) == (
        f"r.example.org:5000/shop@{digest}"
    )


@pytest.mark.parametrize("version", ["a b", "v1@sha256:x", "../x", "v1:v2", "", "-x", "x" * 200])
def test_a_version_s_name_cannot_make_another_image_of_it(version):
    with pytest.raises(InvalidInput):
        image_of("shop:{version}", version=version, artifact={})


def test_a_wrong_digest_is_refused():
    with pytest.raises(InvalidInput):
        image_of("shop", version="v1", artifact={"digest": "md5:x"})


def test_the_tag_is_told_from_the_port():
    assert without_tag("localhost:5000/shop:v1") == "localhost:5000/shop"
    assert without_tag("localhost:5000/shop") == "localhost:5000/shop"
    assert without_tag("shop:v1") == "shop"


def test_a_registry_is_told_from_a_team():
    assert names_a_registry("localhost:5000/shop")
    assert names_a_registry("example.org/shop")
    assert not names_a_registry("team/shop:v1")
    assert not names_a_registry("shop")


@given(st.text())
def test_a_filled_path_never_climbs_whatever_people_call_their_targets(name):
    parts = filled_safely("/srv/{target}/x", {"target": name}).split("/")

    assert len(parts) == 4
    assert parts[2] not in ("", ".", "..")
