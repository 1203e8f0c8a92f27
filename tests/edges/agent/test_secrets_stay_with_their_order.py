"""Hazards 36, 48-50, 84 on the node: used, masked, and gone when the order has ended."""

import base64
import stat
from dataclasses import replace
from pathlib import Path

from structlog.testing import capture_logs

from boreas.agent import steps
from boreas.domain.delivery import OpenedCredential, OpenedSecrets
from boreas.domain.orders import OrderBody, Verb, VerbOutcome
from boreas.domain.secrets import SecretRef
from boreas.drivers.script import ScriptDriver
from boreas.kit.clock import SystemClock
from boreas.testing.fake_gateway import an_order

TOKEN = "hunter2-s3cr3t/+tök€n"
SECRETS = OpenedSecrets(variables={"TOKEN": TOKEN}, masks=("the-new-token-99",))


class Partial:
    """A driver of which a test needs one verb."""

    def __getattr__(self, name: str) -> None:
        return None


def with_secret(order: OrderBody) -> OrderBody:
    return replace(order, secret_variables={"TOKEN": SecretRef(owner_id="var_1", revision=1)})


def traces_of_secrets(directory: Path) -> set[str]:
    """Files below the agent's directory in which a secret stands in any easy form."""
    forms = [TOKEN.encode(), b"the-new-token-99", base64.b64encode(TOKEN.encode())]
    found = set()
    for path in directory.rglob("*"):
        if path.is_file() and any(form in path.read_bytes() for form in forms):
            found.add(path.name)
    return found


def argv_of_everything() -> bytes:
    return b"".join(
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )


async def test_a_command_gets_its_secret_and_its_log_does_not(bench, gateway):
    bench.start()
    text = 'echo "is $TOKEN"; echo "$TOKEN" | base64 >&2; set -x; : "$TOKEN"; test ${#TOKEN} = 21'

    await gateway.order(with_secret(an_order(command=text)), secrets=SECRETS)
    report = await gateway.finished()

    said = gateway.log_text()
    assert report.outcome == "success", said
    assert said.splitlines()[0] == "is ***"
    assert TOKEN not in said
    assert base64.b64encode(TOKEN.encode()).decode()[:10] not in said
    assert "***" in gateway.log_text(stream=2)


async def test_a_secret_printed_in_pieces_and_with_pauses_is_masked(bench, gateway):
    bench.start()
    pieces = (
        'for p in "${TOKEN:0:5}" "${TOKEN:5:6}" "${TOKEN:11}"; do printf %s "$p"; sleep 0.4; done'
    )

    await gateway.order(with_secret(an_order(command=pieces)), secrets=SECRETS)
    await gateway.finished()

    assert gateway.log_text() == "***\n"


async def test_what_replaced_a_secret_is_masked_too(bench, gateway):
    bench.start()

    await gateway.order(with_secret(an_order(command="echo the-new-token-99")), secrets=SECRETS)
    await gateway.finished()

    assert gateway.log_text() == "***\n"


async def test_reasons_and_results_are_masked_before_they_are_journalled(bench, gateway):
    class Talkative(Partial):
        async def stage(self, bench) -> VerbOutcome:
            await bench.say(f"logging in with {TOKEN}")
            _, said = await bench.probe(("cat", "/proc/self/environ"), at_most=5, tell_secrets=True)
            return VerbOutcome(ok=True, result={"url": f"https://x:{TOKEN}@host", "env": [said]})

        async def activate(self, bench) -> VerbOutcome:
            return VerbOutcome(ok=False, reason=f"cannot log in with {TOKEN}", result={TOKEN: 1})

    bench.drivers = lambda kind: Talkative()
    bench.start()
    order = an_order(verbs=(Verb.STAGE, Verb.ACTIVATE), scripts={"deploy": "true"})

    await gateway.order(with_secret(order), secrets=SECRETS)
    report = await gateway.finished()

    assert report.reason == "cannot log in with ***"
    assert report.result["url"] == "https://x:***@host"
    assert "TOKEN=***" in report.result["env"][0]
    assert "***" in report.result
    assert gateway.log_text() == "logging in with ***\n"
    assert traces_of_secrets(bench.data_dir) == set()


async def test_while_it_runs_the_secret_is_in_one_file_for_the_agent_s_user_only(
    bench, gateway, tmp_path
):
    bench.start()
    text = f'echo "$TOKEN"; until [ -e {tmp_path}/go ]; do sleep 0.02; done'
    await gateway.order(with_secret(an_order(command=text)), secrets=SECRETS)
    await gateway.until(lambda: "***" in gateway.log_text())

    assert traces_of_secrets(bench.data_dir) == {"secrets"}
    path = bench.layout.secrets("dep_1.1#1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TOKEN.encode() not in argv_of_everything()

    (tmp_path / "go").touch()
    await gateway.finished()
    while path.exists():
        await bench.pause()
    assert traces_of_secrets(bench.data_dir) == set()


async def test_the_next_agent_process_goes_on_with_them_and_masks(bench, gateway, tmp_path):
    bench.drivers = lambda kind: ScriptDriver(SystemClock())
    bench.start()
    wait = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    scripts = {
        "stage": f'echo "begin $TOKEN"; {wait}; echo "$TOKEN"',
        "deploy": 'echo "deploy $TOKEN"; test -n "$TOKEN"',
    }
    order = an_order(verbs=(Verb.STAGE, Verb.ACTIVATE), scripts=scripts)
    await gateway.order(with_secret(order), secrets=SECRETS)
    await gateway.until(lambda: "begin ***" in gateway.log_text())
    await bench.kill()
    (tmp_path / "go").touch()
    stage = str(bench.layout.step_dir("dep_1.1#1", "script:stage"))
    while not isinstance(steps.fate(stage), steps.Exited):
        await bench.pause()

    bench.start()
    report = await gateway.finished()

    assert report.outcome == "success"
    assert gateway.log_text() == "begin ***\n***\ndeploy ***\n"
    while bench.layout.secrets("dep_1.1#1").exists():
        await bench.pause()
    assert traces_of_secrets(bench.data_dir) == set()


async def test_what_a_killed_agent_left_is_gone_after_the_next_start(bench, gateway):
    bench.layout.prepare()
    left = bench.layout.order_dir("dep_9.1#1")
    (left / "private").mkdir(parents=True)
    for name in ("secrets", "secrets.new", "private/key"):
        (left / name).write_text(TOKEN)

    bench.start()
    await gateway.until(lambda: gateway.inventories)

    assert traces_of_secrets(bench.data_dir) == set()


async def test_an_order_whose_secrets_are_lost_fails_with_that_reason(bench, gateway, tmp_path):
    bench.start()
    text = f"touch {tmp_path}/ran"

    await gateway.order(with_secret(an_order(command=text)))
    report = await gateway.finished()

    assert report.outcome == "failed"
    assert "the secrets of this order are not on the node any more (TOKEN)" in report.reason
    assert not (tmp_path / "ran").exists()


async def test_an_order_whose_secrets_the_server_cannot_open_says_the_server_s_words(
    bench, gateway, tmp_path
):
    bench.start()
    order = with_secret(an_order(command=f"touch {tmp_path}/ran"))

    await gateway.order(order, trouble="the server has no key")
    report = await gateway.finished()

    assert (report.outcome, report.reason) == ("failed", "the server has no key")
    assert not (tmp_path / "ran").exists()


async def test_a_cancelled_order_leaves_no_secrets_behind(bench, gateway):
    bench.start()
    text = 'echo "$TOKEN"; trap "echo stopped $TOKEN; exit" TERM; while true; do sleep 0.05; done'
    await gateway.order(with_secret(an_order(command=text)), secrets=SECRETS)
    await gateway.until(lambda: "***" in gateway.log_text())

    await gateway.cancel("dep_1.1#1", grace_seconds=5)
    await gateway.finished()

    assert "stopped ***" in gateway.log_text()
    while bench.layout.secrets("dep_1.1#1").exists():
        await bench.pause()
    assert traces_of_secrets(bench.data_dir) == set()


async def test_tools_of_boreas_do_not_get_the_secret_variables(bench, gateway):
    class Tool(Partial):
        async def stage(self, bench) -> VerbOutcome:
            await bench.run("tool", ("env",))
            _, said = await bench.probe(("env",), at_most=5)
            return VerbOutcome(ok=True, result={"said": said})

    bench.drivers = lambda kind: Tool()
    bench.start()
    order = an_order(verbs=(Verb.STAGE,), scripts={"deploy": "true"})

    await gateway.order(with_secret(order), secrets=SECRETS)
    report = await gateway.finished()

    assert "TOKEN" not in gateway.log_text()
    assert "TOKEN" not in report.result["said"]


async def test_a_fault_of_a_driver_tells_no_secret(bench, gateway):
    class Broken(Partial):
        async def stage(self, bench) -> VerbOutcome:
            raise ZeroDivisionError(f"while holding {bench.secrets.variables['TOKEN']}")

    bench.drivers = lambda kind: Broken()
    bench.start()
    order = an_order(verbs=(Verb.STAGE,), scripts={"deploy": "true"})

    with capture_logs() as logged:
        await gateway.order(with_secret(order), secrets=SECRETS)
        report = await gateway.finished()

    told = next(entry for entry in logged if entry.get("action") == "driver_bug")
    assert "ZeroDivisionError: while holding ***" in told["exception"]
    assert TOKEN not in repr(logged) + report.reason


async def test_variables_cannot_lead_a_tool_with_a_credential_elsewhere(bench, gateway):
    class Tool(Partial):
        async def stage(self, bench) -> VerbOutcome:
            await bench.run("tool", ("env",), env={"GIT_ASKPASS": "ours"})
            await bench.run("theirs", ("/usr/bin/env",), tell_secrets=True)
            return VerbOutcome(ok=True)

    bench.drivers = lambda kind: Tool()
    bench.start()
    steering = {"GIT_SSL_NO_VERIFY": "1", "https_proxy": "http://evil", "PATH": "/evil", "A": "1"}
    order = replace(an_order(verbs=(Verb.STAGE,), scripts={"deploy": "true"}), variables=steering)
    forge = OpenedCredential(type="access_token", fields={"token": TOKEN})

    await gateway.order(order, secrets=OpenedSecrets(credentials={"git": forge}))
    await gateway.finished()

    said = gateway.log_text().splitlines()
    assert said.count("GIT_SSL_NO_VERIFY=1") == 1
    assert said.count("https_proxy=http://evil") == 1
    assert said.count("PATH=/evil") == 1
    assert said.count("A=1") == 2
