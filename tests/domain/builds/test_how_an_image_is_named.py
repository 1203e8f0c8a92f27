"""An application's build configuration: defaults, what is refused, the image's name."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boreas.domain.builds import BuildCache, BuildConfig, image_named, parse_build, plan_of
from boreas.domain.errors import InvalidInput
from boreas.domain.images import image_problem

WORDS = {
    "registry": "registry.example.org",
    "project": "My Shop",
    "app": "user-service",
    "application": "user-service",
    "version": "v1.2.5+build.7",
    "commit": "0123456789abcdef" * 2 + "01234567",
}


def test_the_documents_form_is_taken():
    config = parse_build(
        {
            "enabled": True,
            "dockerfile": "docker/Dockerfile",
            "build_context": "services/web",
            "build_args": {"LEVEL": 3},
            "target_image": "{{registry}}/{{project}}/{{app}}:{{version}}-{{commit}}",
            "registry_id": "crd_1",
        }
    )

    assert config is not None
    assert config.build_args == {"LEVEL": "3"}
    assert config.cache is BuildCache.LOCAL
    assert image_named(config, WORDS) == (
        "registry.example.org/my-shop/user-service:v1.2.5-build.7-0123456789ab"
    )


def test_without_a_build_there_is_none():
    assert parse_build(None) is None
    assert parse_build({}) is None


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ({"dockerfile": "../Dockerfile"}, "build.dockerfile", "climbs out"),
        ({"dockerfile": "/etc/shadow"}, "build.dockerfile", "does not lie inside"),
        ({"dockerfile": "-f"}, "build.dockerfile", "does not lie inside"),
        ({"build_context": "a/../../b"}, "build.build_context", "climbs out"),
        ({"build_context": "a\0b"}, "build.build_context", "control characters"),
        ({"build_args": {"--x": "1"}}, "build.build_args.--x", "is not a name"),
        ({"build_args": {"X": "a\nb"}}, "build.build_args.X", "control characters"),
        ({"target_image": "{{secret}}/x"}, "build.target_image", "has {{secret}}"),
        ({"target_image": "-x:{{version}}"}, "build.target_image", "is not the name"),
        ({"secrets": ["a b"]}, "build.secrets[0]", "is not a name"),
        ({"cache": "everywhere"}, "build.cache", "is `everywhere`"),
        ({"repository": "ext::sh -c id"}, "build.repository", "is not an address"),
        ({"git_credential_id": "crd_1"}, "build.repository", "is missing"),
        ({"dockerfle": "x"}, "build.dockerfle", "is not known"),
        ({"enabled": "yes"}, "build.enabled", "is neither true nor false"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(document, field, words):
    with pytest.raises(InvalidInput) as caught:
        parse_build({"registry": "r.example.org", **document})

    assert (field, True) in [(it.field, words in it.problem) for it in caught.value.fields]


def test_an_image_that_names_a_registry_needs_one():
    with pytest.raises(InvalidInput, match=r"build\.registry: is missing"):
        parse_build({"enabled": True})

    assert parse_build({"enabled": True, "target_image": "shop/{{app}}:{{version}}"})


def test_a_plan_has_nothing_left_to_fill_in():
    config = parse_build({"registry": "registry.example.org"})
    assert config is not None

    plan = plan_of(config, repository="/srv/shop.git", commit="a" * 40, words=WORDS)

    assert plan.image == "registry.example.org/my-shop/user-service:v1.2.5-build.7-aaaaaaaaaaaa"
    assert plan.usual_repository == "/srv/shop.git"


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=200))
@example("0:.0", "a..b", "v1")
@example("a._b", "x__y", "")
def test_whatever_people_call_their_things_the_image_has_a_name(project, app, version):
    words = WORDS | {"project": project, "app": app, "application": app, "version": version}

    assert image_problem(image_named(BuildConfig(registry="r:5000"), words)) is None
