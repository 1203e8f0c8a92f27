"""Levels lie over one another: the nearest to the target wins, and every value can be explained."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.configuration import check_config, leaves, merged, resolved_config
from boreas.domain.errors import InvalidInput
from boreas.domain.secrets import SecretRef
from boreas.domain.variables import (
    LONGEST_VALUE,
    MOST_BYTES,
    MOST_PER_LEVEL,
    Level,
    LevelKind,
    Origin,
    Setting,
    check_variables,
    explained,
    name_problem,
    over,
    plain_settings,
    resolve,
    snapshot_of,
)

NAMES = st.sampled_from(["A", "B", "C", "D"])
SETTINGS = st.one_of(
    st.builds(Setting, value=st.text("xyz", max_size=3), size=st.integers(0, 3)),
    st.builds(
        Setting, secret=st.builds(SecretRef, owner_id=st.text("o"), revision=st.integers(1, 3))
    ),
)
ORIGINS = st.builds(Origin, kind=st.sampled_from(LevelKind), name=st.text("abc", max_size=4))
LEVELS = st.builds(Level, origin=ORIGINS, settings=st.dictionaries(NAMES, SETTINGS))
STACKS = st.lists(LEVELS, max_size=6)
DOCUMENTS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_size=3,
)


def a_level(kind: LevelKind, name: str = "it", **values: str) -> Level:
    return Level(origin=Origin(kind=kind, name=name), settings=plain_settings(values))


@given(STACKS, STACKS, STACKS)
def test_stretches_of_levels_can_be_merged_in_any_grouping(
    one: list[Level], two: list[Level], three: list[Level]
) -> None:
    a, b, c = resolve(one), resolve(two), resolve(three)

    assert over(over(a, b), c) == over(a, over(b, c)) == resolve([*one, *two, *three])


@given(STACKS)
def test_the_last_level_that_names_a_variable_gives_its_value(levels: list[Level]) -> None:
    for name, given_ in resolve(levels).items():
        naming = [level for level in levels if name in level.settings]

        assert [(it.origin, it.setting) for it in given_] == [
            (level.origin, level.settings[name]) for level in reversed(naming)
        ]


@given(STACKS)
def test_no_variable_is_lost_and_none_is_made_up(levels: list[Level]) -> None:
    assert set(resolve(levels)) == {name for level in levels for name in level.settings}


@given(STACKS)
def test_a_snapshot_holds_each_name_once_plain_or_secret(levels: list[Level]) -> None:
    resolution = resolve(levels)
    snapshot = snapshot_of(resolution)

    assert not set(snapshot.plain) & set(snapshot.secret)
    assert snapshot.names == tuple(sorted(resolution))
    assert set(snapshot.origins) == set(resolution)


def test_a_value_is_explained_with_what_it_overrode() -> None:
    levels = [
        a_level(LevelKind.PROJECT, "shop", REPLICAS="2"),
        a_level(LevelKind.ENVIRONMENT, "prod", REPLICAS="3"),
    ]

    words = explained("REPLICAS", resolve(levels)["REPLICAS"])

    assert words == "REPLICAS=3 from environment prod, overrides 2 of project shop"


def test_a_secret_is_never_explained_by_its_value() -> None:
    secret = Setting(secret=SecretRef(owner_id="var-1", revision=1))
    origin = Origin(kind=LevelKind.PROJECT, name="shop")

    words = explained("TOKEN", resolve([Level(origin=origin, settings={"TOKEN": secret})])["TOKEN"])

    assert words == "TOKEN=*** from project shop"


def test_a_plain_value_of_a_task_replaces_a_secret_of_its_project() -> None:
    secret = Setting(secret=SecretRef(owner_id="var-1", revision=1))
    origin = Origin(kind=LevelKind.PROJECT, name="shop")
    snapshot = snapshot_of(resolve([Level(origin=origin, settings={"TOKEN": secret})]))

    under = snapshot.under({"TOKEN": "none"})

    assert (dict(under.plain), dict(under.secret)) == ({"TOKEN": "none"}, {})


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A\n", "BOREAS_X", "boreas_x"])
def test_a_name_that_no_shell_can_read_or_that_is_ours_is_refused(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize("name", ["A", "_", "a1", "BOREAS", "PATH"])
def test_a_plain_name_is_taken(name: str) -> None:
    assert name_problem(name) is None


def test_every_wrong_item_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_variables([("A", "x"), ("1", "y"), ("B", "\0"), ("A", "z")])

    assert [it.field for it in refused.value.fields] == [
        "variables[1].name",
        "variables[2].value",
        "variables[3].name",
    ]


@pytest.mark.parametrize(
    "items",
    [
        [(f"N{n}", "") for n in range(MOST_PER_LEVEL + 1)],
        [("A", "x" * (LONGEST_VALUE + 1))],
        [(f"N{n}", "x" * LONGEST_VALUE) for n in range(MOST_BYTES // LONGEST_VALUE + 1)],
        [("A", "\ud800")],
    ],
    ids=["too many", "too long", "too much", "a lone surrogate"],
)
def test_what_no_order_could_carry_is_refused(items: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidInput):
        check_variables(items)


def test_levels_that_are_too_much_only_together_are_refused_with_the_largest_named() -> None:
    half = "x" * LONGEST_VALUE
    levels = [
        a_level(LevelKind.PROJECT, "shop", A=half, B=half, C=half),
        a_level(LevelKind.ENVIRONMENT, "prod", D=half, E=half),
    ]

    with pytest.raises(InvalidInput, match="the largest is A from project shop"):
        snapshot_of(resolve(levels))


def test_configuration_is_merged_deeply_and_lists_are_replaced() -> None:
    project = {"db": {"host": "a", "port": 1}, "tags": [1, 2]}
    environment = {"db": {"host": "b"}, "tags": [3]}

    assert merged([project, environment]) == {"db": {"host": "b", "port": 1}, "tags": [3]}


@given(st.lists(DOCUMENTS, max_size=4))
def test_each_value_of_the_merged_document_is_explained_by_who_gave_it(
    documents: list[dict[str, Any]],
) -> None:
    levels = [
        (Origin(kind=LevelKind.PROJECT, name=str(n)), config) for n, config in enumerate(documents)
    ]

    origins = resolved_config(levels)

    whole = leaves(merged(documents))
    assert {path: given_[0].value for path, given_ in origins.items()} == whole


@given(DOCUMENTS)
def test_merging_nothing_changes_nothing(document: dict[str, Any]) -> None:
    assert merged([document, {}]) == merged([{}, document]) == document


@pytest.mark.parametrize(
    "config", [{"a": "x" * 40_000}, {"a": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}]
)
def test_configuration_that_no_order_could_carry_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        check_config(config)
