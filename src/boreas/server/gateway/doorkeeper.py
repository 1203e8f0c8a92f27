"""Who may come in: tokens are spent and agents made here, known ones are looked up.

Certificate and proof were checked before (boreas.transport.admission); this asks the registry.
"""

from collections.abc import Awaitable, Callable

from cryptography import x509

from boreas.domain.errors import Conflict, Unauthenticated
from boreas.domain.fleet import Agent
from boreas.domain.ids import AgentId, ServerId
from boreas.kit.clock import Clock
from boreas.kit.ids import new_id
from boreas.server.gateway.ports import Registry
from boreas.transport.admission import Admission
from boreas.transport.authority import CertificateAuthority
from boreas.transport.frames import Hello, Welcome
from boreas.transport.keys import der, spki_sha256
from boreas.transport.proof import ProvenAgent
from boreas.transport.refusals import Refusal, RefusalCode
from boreas.transport.tokens import secret_hash

# RFC 9308: network address translators may forget a silent UDP flow after 30 s.
HEARTBEAT_SECONDS = 15.0
BUSY_HEARTBEAT_SECONDS = 2.0

AnotherAnswers = Callable[[AgentId, str], Awaitable[bool]]
"""Does another instance of this agent's program (not the one named) hang here and answer?"""

_NEW_TOKEN = "make a new one: boreas agents token"


class RegistryDoorkeeper:
    """Decides by the registry of agents; fits `transport.admission.Doorkeeper`."""

    def __init__(
        self,
        *,
        registry: Registry,
        authority: CertificateAuthority,
        server_id: ServerId,
        clock: Clock,
        another_answers: AnotherAnswers,
    ) -> None:
        self._registry = registry
        self._authority = authority
        self._server_id = server_id
        self._clock = clock
        self._another_answers = another_answers

    async def enrol(
        self, hello: Hello, *, token_secret: str, csr_pem: bytes, peer_address: str
    ) -> Admission:
        """Spend the token, make the agent, sign its certificate."""
        now = self._clock.now()
        newcomer = Agent(
            id=AgentId(new_id("agt")),
            name=hello.name,
            labels=hello.labels,
            version=hello.agent_version,
            key_sha256=spki_sha256(x509.load_pem_x509_csr(csr_pem)).hex(),
            enrolled_at=now,
            address=peer_address,
        )
        try:
            agent = await self._registry.enrol(
                secret_sha256=secret_hash(token_secret), agent=newcomer, now=now
            )
        except Unauthenticated as error:
            raise Refusal(RefusalCode.TOKEN_USED, error.message, _NEW_TOKEN) from error
        except Conflict as error:
            mend = "choose another --name, or revoke the other one first"
            raise Refusal(RefusalCode.NAME_TAKEN, error.message, mend) from error
        certificate = self._authority.sign_agent(csr_pem, agent.id, now)
        return Admission(welcome=await self._welcome(agent.id), certificate_der=der(certificate))

    async def admit(self, hello: Hello, *, agent: ProvenAgent, peer_address: str) -> Admission:
        """Is the agent enrolled with this key, not revoked, and not here already?"""
        known = await self._registry.agent(AgentId(agent.agent_id))
        if known is None:
            raise Refusal(
                RefusalCode.AGENT_UNKNOWN,
                "this server knows no such agent; it was deleted, or the database is another one",
                "enrol it again with a new token and an empty data directory",
            )
        if known.revoked_at is not None:
            raise Refusal(
                RefusalCode.AGENT_REVOKED,
                f"agent {known.name} was revoked",
                "enrol it again with a new token and an empty data directory",
            )
        if known.key_sha256 != agent.key_sha256.hex():
            raise Refusal(RefusalCode.KEY_UNKNOWN, "another key was enrolled for this agent")
        welcome = await self._welcome(known.id)
        return Admission(welcome=welcome, unless=lambda: self._must_be_alone(known, hello))

    async def _must_be_alone(self, known: Agent, hello: Hello) -> None:
        if await self._another_answers(known.id, hello.instance):
            raise Refusal(
                RefusalCode.ALREADY_CONNECTED,
                f"agent {known.name} is connected already and answers",
                "two agents run with a copy of one data directory: stop one and enrol it anew",
                retry_after=15.0,
            )

    async def _welcome(self, agent_id: AgentId) -> Welcome:
        return Welcome(
            agent_id=agent_id,
            server_id=self._server_id,
            server_time=self._clock.now().timestamp(),
            heartbeat_seconds=HEARTBEAT_SECONDS,
            busy_heartbeat_seconds=BUSY_HEARTBEAT_SECONDS,
            servers=tuple(await self._registry.server_addresses()),
        )
