"""The script driver on real bash."""

import pytest

from boreas.domain.errors import CommandLost
from boreas.domain.orders import HealthCheck, ProbeKind
from boreas.domain.secrets import SecretRef
from boreas.drivers.script import ScriptDriver
from boreas.kit.clock import SystemClock
from boreas.testing.workbench import KilledHere, a_release


@pytest.fixture
def driver(clock: SystemClock) -> ScriptDriver:
    return ScriptDriver(clock)


def scripts(**texts: str) -> dict[str, object]:
    return {"scripts": {"deploy": "true", **texts}}


async def test_deploy_runs_in_the_release_directory_with_the_order_s_variables(driver, scope):
    spec = scripts(deploy='echo "$PWD $BOREAS_VERSION $BOREAS_TARGET $COLOUR $REPLICAS $DEEP"')
    release = a_release("v1", spec=spec, config={"REPLICAS": 3, "DEEP": {"a": 1}, "COLOUR": "no"})
    bench = scope.bench(release, variables={"COLOUR": "blue"})

    outcome = await driver.activate(bench)

    assert outcome.ok
    assert bench.output == f"{bench.release_dir} v1 web-1 blue 3 \n"


async def test_configuration_cannot_take_the_place_of_boreas_own_names(driver, scope):
    release = a_release(spec=scripts(deploy="echo $BOREAS_VERSION"), config={"BOREAS_VERSION": "x"})
    bench = scope.bench(release)

    await driver.activate(bench)

    assert bench.output == "v1\n"


async def test_no_user_text_reaches_the_arguments_of_a_process(driver, scope):
    bench = scope.bench(a_release(spec=scripts(deploy="echo SECRET-TEXT")))

    await driver.activate(bench)

    ((_, argv),) = bench.ran
    assert argv == ("bash", str(bench.release_dir / "scripts" / "deploy.sh"))
    assert (bench.release_dir / "scripts" / "deploy.sh").stat().st_mode & 0o777 == 0o700


async def test_a_script_is_never_written_through_a_link(driver, scope, tmp_path):
    bench = scope.bench(a_release())
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (bench.release_dir / "scripts").mkdir()
    (bench.release_dir / "scripts" / "deploy.sh").symlink_to(victim)
    (bench.release_dir / "scripts" / ".deploy.sh.new").symlink_to(victim)

    await driver.activate(bench)

    assert victim.read_text() == "precious"


async def test_a_failing_script_fails_the_verb_with_its_exit_code(driver, scope):
    outcome = await driver.activate(scope.bench(a_release(spec=scripts(deploy="exit 7"))))

    assert (outcome.ok, outcome.exit_code) == (False, 7)
    assert outcome.reason == "the `deploy` script ended with exit code 7"


async def test_a_script_that_takes_too_long_is_stopped_and_says_so(driver, scope):
    spec = {"scripts": {"deploy": "sleep 60"}, "timeout_seconds": 1}

    outcome = await driver.activate(scope.bench(a_release(spec=spec)))

    assert outcome.reason == "the `deploy` script took longer than its 1 s and was stopped"


async def test_going_back_runs_deploy_with_the_previous_version(driver, scope):
    live = scope.directory / "live"
    spec = scripts(deploy=f'echo -n "$BOREAS_VERSION" > {live}')
    v1, v2 = a_release("v1", spec=spec), a_release("v2", spec=spec)
    await driver.activate(scope.bench(v1))
    await driver.activate(scope.bench(v2, previous=v1))

    outcome = await driver.revert(scope.bench(v1, previous=v1))

    assert outcome.ok
    assert live.read_text() == "v1"


async def test_a_revert_script_is_preferred_for_going_back(driver, scope):
    bench = scope.bench(a_release(spec=scripts(deploy="echo deploy", revert="echo revert")))

    await driver.revert(bench)

    assert bench.output == "revert\n"


async def test_nothing_is_staged_without_a_stage_script_and_that_is_said(driver, scope):
    bench = scope.bench(a_release())

    outcome = await driver.stage(bench)

    assert outcome.ok
    assert bench.said == ["There is no `stage` script: nothing to bring beside the live version."]


async def test_the_check_script_runs_after_the_health_check(driver, scope):
    check = HealthCheck(type=ProbeKind.COMMAND, command="test -f up && echo asked >> log")
    spec = scripts(deploy="touch up", check="echo script >> log; cat log")
    bench = scope.bench(a_release(spec=spec, health_check=check))
    await driver.activate(bench)

    outcome = await driver.check(bench)

    assert outcome.ok
    assert bench.output == "asked\nscript\n"


async def test_an_unhealthy_application_fails_its_check_with_the_last_words(driver, scope):
    check = HealthCheck(
        type=ProbeKind.COMMAND, command="echo out of cheese >&2; exit 3", retries=2, interval=0.05
    )
    bench = scope.bench(a_release(health_check=check))

    outcome = await driver.check(bench)

    assert outcome.reason == (
        "unhealthy: the command check failed 2 times in a row: exit code 3, out of cheese"
    )
    assert any("failed 1 of 2 times" in line for line in bench.said)


async def test_an_application_without_any_check_counts_as_healthy_and_says_so(driver, scope):
    bench = scope.bench(a_release())

    assert (await driver.check(bench)).ok
    assert bench.said == ["This application has no health check, so it counts as healthy."]


async def test_observe_says_which_version_is_live(driver, scope):
    await driver.activate(scope.bench(a_release("v1")))

    seen = (await driver.observe(scope.bench(None))).result

    assert seen == {"release_id": "rel_v1", "version": "v1", "certain": True}


async def test_a_look_asks_the_check_script_once(driver, scope):
    body = a_release("v1", spec=scripts(deploy="true", check="echo too hot; exit 3"))
    await driver.activate(scope.bench(body))

    seen = (await driver.observe(scope.bench(body))).result

    told = "the `check` script ended with exit code 3, too hot"
    assert (seen["healthy"], seen["health_reason"]) == (False, told)


async def test_a_look_asks_the_health_check_once(driver, scope, page):
    url = f"http://127.0.0.1:{page.server_port}/"
    check = HealthCheck(type=ProbeKind.HTTP, url=url)
    body = a_release("v1", health_check=check)
    assert (await driver.observe(scope.bench(body))).result["healthy"] is True
    page.answer = (500, b"", {})
    seen = (await driver.observe(scope.bench(body))).result
    assert (seen["healthy"], seen["health_reason"]) == (False, "HTTP 500")
    assert len(page.asked) == 2


async def test_a_look_runs_no_command_that_is_to_get_secrets(driver, scope):
    body = a_release("v1", spec=scripts(deploy="true", check="touch asked; false"))
    bench = scope.bench(body, secret_variables={"TOKEN": SecretRef(owner_id="v", revision=1)})

    seen = (await driver.observe(bench)).result

    assert seen["healthy"] is None
    assert not (bench.release_dir / "asked").exists()


async def test_a_failed_deploy_leaves_it_uncertain_what_is_live(driver, scope):
    await driver.activate(scope.bench(a_release("v1")))
    await driver.activate(scope.bench(a_release("v2", spec=scripts(deploy="false"))))

    seen = (await driver.observe(scope.bench(None))).result

    assert seen == {"release_id": "rel_v2", "version": "v2", "certain": False}


async def test_retire_keeps_the_last_five_and_what_a_rollback_needs(driver, scope):
    for number in range(1, 10):
        await driver.activate(scope.bench(a_release(f"v{number}")))

    bench = scope.bench(a_release("v9"), keep_releases=("rel_v2",))
    await driver.retire(bench)

    kept = sorted(one.name for one in (scope.directory / "releases").iterdir())
    assert kept == ["rel_v2", "rel_v5", "rel_v6", "rel_v7", "rel_v8", "rel_v9"]


async def test_retire_removes_nothing_when_the_record_is_broken(driver, scope):
    for number in range(1, 10):
        await driver.activate(scope.bench(a_release(f"v{number}")))
    (scope.directory / "current.json").write_text("{")

    bench = scope.bench(a_release("v9"))
    await driver.retire(bench)

    assert len(list((scope.directory / "releases").iterdir())) == 9
    assert bench.said == ["The record of what is live cannot be read: nothing is removed."]


async def test_retire_never_follows_a_link_out_of_a_release(driver, scope, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    for number in range(1, 8):
        bench = scope.bench(a_release(f"v{number}"))
        await driver.activate(bench)
        (bench.release_dir / "link").symlink_to(outside)
    (scope.directory / "releases" / "elsewhere").symlink_to(outside)

    await driver.retire(scope.bench(a_release("v7")))

    assert (outside / "precious").exists()


async def test_a_verb_entered_again_after_the_agent_was_killed_does_not_run_twice(driver, scope):
    bench = scope.bench(a_release(spec=scripts(deploy="echo once >> log; cat log")))
    bench.die_after = "script:deploy"
    with pytest.raises(KilledHere):
        await driver.activate(bench)

    bench.die_after = None
    outcome = await driver.activate(bench)

    assert outcome.ok
    assert (bench.release_dir / "log").read_text() == "once\n"


async def test_a_command_whose_fate_is_unknown_is_left_for_the_agent_to_report(driver, scope):
    bench = scope.bench(a_release())
    bench.lose = "script:deploy"

    with pytest.raises(CommandLost):
        await driver.activate(bench)


async def test_a_spec_that_cannot_be_used_fails_in_words_and_not_with_a_traceback(driver, scope):
    outcome = await driver.activate(scope.bench(a_release(spec={"scripts": {"deploi": "x"}})))

    assert not outcome.ok
    assert "spec.scripts.deploi: is not known; did you mean `deploy`?" in (outcome.reason or "")


async def test_what_the_node_refuses_is_the_reason_in_words(driver, scope):
    bench = scope.bench(a_release())
    (bench.release_dir / "scripts").write_text("in the way")

    outcome = await driver.activate(bench)

    assert (outcome.reason or "").startswith("the node says: ")
