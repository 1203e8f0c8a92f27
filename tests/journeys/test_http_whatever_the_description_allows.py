"""Everything that /openapi.json allows, and much that it does not: never a 5xx.

Walks every route of a real server, whatever routes there are, by schemathesis. Half of the calls
name things that exist, so that they reach the code behind the first look-up.
"""

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from unittest import SkipTest

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from pydantic.alias_generators import to_camel
from schemathesis import GenerationMode
from tests.support.installation import Installation

EXAMPLES = 4
# Live streams answer for ever; they have tests of their own.
ENDLESS = re.compile(r"/stream$")


class Shop:
    """An installation in which every kind of thing exists, and their ids by the routes' names."""

    def __init__(self, whole: Installation) -> None:
        self.whole = whole
        self._made = 0
        whole.add_server()
        whole.add_agents(1)
        self._victim = self._agent_that_may_go()

    def _agent_that_may_go(self) -> str:
        self.whole.add_agents(1)
        name = self.whole.agents[-1].name
        agents = self.whole.get("/api/release/agents")["items"]
        return next(str(each["id"]) for each in agents if each["name"] == name)

    def ids(self) -> dict[str, str]:
        """Of things of their own for each route: the one before may have deleted its own."""
        whole = self.whole
        self._made += 1
        whole.make_project(f"shop{self._made}", targets=["n1"])
        application = whole.make_script("web", "true")
        greet = {"id": "greet", "type": "custom", "payload": {"command": "true"}}
        deployment = whole.deploy("v1", autoStart=self._made % 2 == 0, tasks=[greet])
        targets = whole.get(f"/api/release/environments/{whole.environment}/targets")["items"]
        return {
            "project_id": whole.project,
            "environment_id": whole.environment,
            "application_id": application,
            "target_id": targets[0]["id"],
            "version_id": whole.deployment(deployment)["versionId"],
            "agent_id": self._victim,
            "deployment_id": deployment,
            "task_id": "greet",
        }

    def operations(self) -> list[Any]:
        schema = schemathesis.openapi.from_dict(self.whole.get("/openapi.json"))
        schema.config.update(base_url=self.whole.url)
        found = [each.ok() for each in schema.get_all_operations()]
        return [each for each in found if not ENDLESS.search(each.path)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    whole = Installation(tmp_path_factory.mktemp("described"))
    with pytest.MonkeyPatch.context() as environment:
        # Without a key credentials are refused with a 503 on purpose.
        environment.setenv("QUIC_FLOW_SECRET_KEY", b64encode(os.urandom(32)).decode())
        yield from opened(whole)


def opened(whole: Installation) -> Iterator[Shop]:
    try:
        yield Shop(whole)
    finally:
        whole.stop()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_call_ends_in_a_5xx(shop: Shop, mode: GenerationMode) -> None:
    caller = requests.Session()
    caller.headers["Authorization"] = f"Bearer {shop.whole.token}"
    seen: set[int] = set()
    wrong: list[str] = []
    for operation in shop.operations():
        for ids in ({}, shop.ids()):
            wrong += failures_of(operation, mode, ids, caller, seen)
    assert not wrong, "\n\n".join(wrong)
    assert {200, 404, 422} <= seen, "calls must reach more than the door"


def failures_of(
    operation: Any,
    mode: GenerationMode,
    ids: Mapping[str, str],
    caller: requests.Session,
    seen: set[int],
) -> list[str]:
    """Calls of one route, about these things or about random ones, that were not answered well."""
    named = {name: ids[name] for name in re.findall(r"{(\w+)}", operation.path) if name in ids}
    wrong: list[str] = []

    def call(case: Any) -> None:
        case.path_parameters = {**(case.path_parameters or {}), **named}
        case.body = about(case.body, ids)
        answer = case.call(session=caller, timeout=20)
        seen.add(answer.status_code)
        if answer.status_code >= 500:
            asked = f"{case.method} {case.formatted_path} {case.query} {case.body!r}"
            wrong.append(f"{asked[:1500]} -> {answer.status_code} {answer.text[:300]}")

    with suppress(Unsatisfiable, SkipTest):  # nothing can be wrong about a call without input
        bounded(given(case=operation.as_strategy(mode))(call))()
    return wrong[:2]


bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def about(body: Any, ids: Mapping[str, str]) -> Any:
    """The same body, naming things that exist where it names things."""
    spelled = {to_camel(name): each for name, each in ids.items()}
    if not isinstance(body, dict):
        return body
    return {key: spelled.get(key, value) for key, value in body.items()}
