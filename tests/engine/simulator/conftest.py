"""A small installation that a test drives by hand: the real round on the simulator's tables."""

import pytest

from boreas.domain.deployments import Deployment, Execution, ExecutionState
from boreas.domain.fleet import LiveRecord, Target
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ServerId,
    TargetId,
)
from boreas.domain.projects import QueuePolicy
from boreas.domain.workflow import Strategy
from boreas.engine.plan import Ground, PlannedApplication, lay_out
from boreas.testing.builders import a_request
from boreas.testing.simulate.agents import FakeAgent
from boreas.testing.simulate.dice import Dice
from boreas.testing.simulate.drive import BEGINNING, SimClock
from boreas.testing.simulate.ledger import AgentRow, Ledger, Version
from boreas.testing.simulate.server import ServerLife, Wire
from boreas.testing.simulate.truth import Truth
from boreas.testing.simulate.weather import Weather
from boreas.testing.simulate.world import App, release_of

AGENT = AgentId("a1")
APP = App(id=ApplicationId("web"), can_stage=True, health_check=None, already_live=True)
PROD = EnvironmentId("prod")


class Installation:
    """One agent with some targets, one application that runs v0 on all of them."""

    def __init__(self, hosts: int = 1) -> None:
        self.clock = SimClock()
        self.ledger = Ledger(clock=self.clock)
        self.truth = Truth()
        self.agent = FakeAgent(AGENT, self.truth, Dice(1), self.clock)
        self.targets = tuple(_target(number) for number in range(1, hosts + 1))
        self._furnish()
        self.server = ServerLife(ServerId("s1"), self.ledger, self.clock)
        self.wire: Wire = self.server.connect(AGENT, self.agent.greeting())
        self.server.round()

    def _furnish(self) -> None:
        tables = self.ledger
        tables.agents[AGENT] = AgentRow(id=AGENT, name="node-1")
        tables.policies[PROD] = QueuePolicy.QUEUE
        tables.application_names[APP.id] = "web"
        body, view = release_of(APP, "v0")
        tables.releases[view.id] = (body, view)
        for target in self.targets:
            tables.target_names[target.id] = target.name
            self.truth.live[APP.id, target.id] = view.id
            tables.live[APP.id, target.id] = LiveRecord(
                application_id=APP.id,
                target_id=target.id,
                release_id=view.id,
                deployment_id=DeploymentId("d0"),
                since=BEGINNING,
            )

    def asks(self, number: int, version: str, strategy: Strategy | None = None) -> DeploymentId:
        """A deployment `d<number>` of this version, due now."""
        body, view = release_of(APP, version)
        planned = PlannedApplication(id=APP.id, name="web", release=view, targets=self.targets)
        ground = Ground(applications=(planned,), targets=self.targets, live=dict(self.ledger.live))
        request = a_request(
            id=DeploymentId(f"d{number}"), number=number, strategy=strategy or Strategy()
        )
        deployment = lay_out(request, ground, self.clock.now())
        self.ledger.releases[view.id] = (body, view)
        self.ledger.versions[deployment.id] = Version(name=version, sequence=number)
        self.ledger.deployments[deployment.id] = deployment
        self.ledger.due[deployment.id] = self.clock.now()
        return deployment.id

    def works(self, weather: Weather | None = None) -> None:
        """The agent takes what was sent, does it to its end, and says so; no round is run."""
        while self.wire.to_agent:
            self.wire.to_server.extend(self.agent.receive(self.wire.to_agent.popleft()))
        while runnable := self.agent.runnable():
            self.wire.to_server.extend(self.agent.work(runnable[0], weather or Weather()))
        while self.wire.to_server:
            self.server.receive(self.wire)

    def deployment(self, deployment_id: DeploymentId) -> Deployment:
        """As it is saved."""
        return self.ledger.deployments[deployment_id]

    def sent(self, deployment_id: DeploymentId) -> list[Execution]:
        """Executions that are not pending."""
        rows = self.deployment(deployment_id).executions
        return [it for it in rows if it.state is not ExecutionState.PENDING]


def _target(number: int) -> Target:
    return Target(
        id=TargetId(f"t{number}"),
        environment_id=PROD,
        name=f"n{number}",
        agent_id=AGENT,
        position=number,
        created_at=BEGINNING,
    )


@pytest.fixture
def installation() -> Installation:
    """With one target."""
    return Installation()
