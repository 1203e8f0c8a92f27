"""Builds against a real engine and a real registry; hostile repositories are refused in words."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boreas.domain.builds import PUSH, BuildCache, BuildPlan
from boreas.domain.delivery import OpenedCredential, OpenedSecrets
from boreas.domain.orders import Verb
from boreas.drivers.build import Builder
from boreas.testing.workbench import FakeWorkbench, KilledHere, Scope, a_release, an_order

PASSWORD = "open sesame"
ADA = OpenedCredential(type="username_token", fields={"username": "ada", "password": PASSWORD})
DOCKERFILE = """\
FROM scratch
ARG GREETING=hello
LABEL greeting=$GREETING
COPY page.html /www/index.html
"""


class Sources:
    """A repository to build from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        told = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ["git", *told, *arguments], cwd=self.path, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            path = self.path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "more")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    found = Sources(tmp_path / "sources")
    found.commit(Dockerfile=DOCKERFILE, **{"page.html": "page one"})
    return found


@pytest.fixture
def builder(docker: Any) -> Builder:
    return Builder(engine=docker.url)


Order = Callable[..., FakeWorkbench]


@pytest.fixture
def order(scope: Scope, sources: Sources, guarded_registry: str) -> Order:
    """A workbench for one build; `plan` changes are given by name."""
    number = 0

    def make(*, opened: OpenedSecrets | None = None, **changes: Any) -> FakeWorkbench:
        nonlocal number
        number += 1
        image = f"{guarded_registry}/shop/web:v{number}"
        plan = BuildPlan(
            repository=str(sources.path),
            usual_repository=str(sources.path),
            commit=sources.git("rev-parse", "HEAD"),
            image=image,
            usual_image=image,
            dockerfile="Dockerfile",
            build_context=".",
        )
        body = an_order(
            a_release(),
            order_id=f"dep_1.{number}#1",
            verbs=(Verb.BUILD,),
            build=replace(plan, **changes),
        )
        return FakeWorkbench(
            body, scope.directory, opened or OpenedSecrets(credentials={PUSH: ADA})
        )

    return make


async def test_it_is_built_pushed_and_known_by_its_digest(
    builder: Builder, order: Order, docker: Any
) -> None:
    bench = order()

    outcome = await builder.build(bench)

    assert outcome.ok, (outcome.reason, bench.output)
    image, digest = outcome.result["image"], outcome.result["digest"]
    assert digest.startswith("sha256:")
    assert outcome.result["size"] > 0
    known = docker("inspect", image, "--format", "{{index .RepoDigests 0}}")
    assert known == f"{image.rpartition(':')[0]}@{digest}"


async def test_arguments_reach_the_dockerfile(builder: Builder, order: Order, docker: Any) -> None:
    value = "two words; $(touch /tmp/no) --tag=x"
    bench = order(build_args={"GREETING": value})

    outcome = await builder.build(bench)

    assert outcome.ok, bench.output
    labels = docker("inspect", outcome.result["image"], "--format", "{{json .Config.Labels}}")
    assert json.loads(labels)["greeting"] == value


async def test_a_second_build_of_the_same_takes_everything_from_the_cache(
    builder: Builder, order: Order
) -> None:
    await builder.build(order())
    bench = order()

    outcome = await builder.build(bench)

    assert outcome.ok
    assert "CACHED" in bench.output


async def test_layers_come_from_the_registry_where_that_is_wanted(
    builder: Builder, order: Order, docker: Any
) -> None:
    first = await builder.build(order(cache=BuildCache.REGISTRY))
    docker("image", "rm", "--force", first.result["image"])
    docker("builder", "prune", "--all", "--force")
    bench = order(cache=BuildCache.REGISTRY)

    outcome = await builder.build(bench)

    assert outcome.ok
    assert "importing cache manifest" in bench.output


async def test_secrets_are_mounted_and_leave_no_trace(
    builder: Builder, order: Order, sources: Sources, docker: Any
) -> None:
    value = "s3cr3t-of-the-build"
    docker.image("boreas-build-base:v1")
    sources.commit(
        Dockerfile="FROM boreas-build-base:v1\n"
        "RUN --mount=type=secret,id=TOKEN "
        'test "$(cat /run/secrets/TOKEN | sha1sum)" != "" && echo seen > /seen\n'
    )
    opened = OpenedSecrets(variables={"TOKEN": value}, credentials={PUSH: ADA})
    bench = order(opened=opened, secrets=("TOKEN",))

    outcome = await builder.build(bench)

    assert outcome.ok, bench.output
    assert not any(value in part for _, argv in bench.ran for part in argv)
    assert not any(PASSWORD in part for _, argv in bench.ran for part in argv)
    history = docker("history", "--no-trunc", outcome.result["image"])
    assert value not in history


async def test_a_secret_that_is_not_there_is_named(builder: Builder, order: Order) -> None:
    outcome = await builder.build(order(secrets=("TOKEN",)))

    assert outcome.reason == "build.secrets.TOKEN: is no secret variable of this application"


async def test_a_registry_that_refuses_is_told_with_its_words(
    builder: Builder, order: Order
) -> None:
    wrong = OpenedCredential(type="username_token", fields={"username": "ada", "password": "no"})
    bench = order(opened=OpenedSecrets(credentials={PUSH: wrong}))

    outcome = await builder.build(bench)

    assert not outcome.ok
    assert "could not be pushed" in (outcome.reason or "")
    assert "unauthorized" in bench.output or "no basic auth" in bench.output


async def test_a_registry_that_is_gone_is_told(
    builder: Builder, order: Order, free_port: int
) -> None:
    gone = f"127.0.0.1:{free_port}/shop/web:v1"
    bench = order(image=gone, usual_image=gone)

    outcome = await builder.build(bench)

    assert not outcome.ok
    assert "connection refused" in bench.output


async def test_a_failing_build_is_told_by_its_exit_code(
    builder: Builder, order: Order, sources: Sources
) -> None:
    sources.commit(Dockerfile="FROM scratch\nCOPY nothing /\n")
    bench = order()

    outcome = await builder.build(bench)

    assert outcome.reason == "docker build ended with exit code 1"
    assert "nothing" in bench.output


async def test_words_of_success_count_for_nothing(
    builder: Builder, order: Order, sources: Sources, docker: Any
) -> None:
    docker.image("boreas-build-base:v1")
    lie = "RUN echo Successfully built 0123456789ab; echo Successfully tagged x; exit 3\n"
    sources.commit(Dockerfile=f"FROM boreas-build-base:v1\n{lie}")
    bench = order()

    outcome = await builder.build(bench)

    assert "Successfully built" in bench.output
    assert not outcome.ok
    assert outcome.exit_code


async def test_an_engine_that_is_down_is_told(order: Order, tmp_path: Path) -> None:
    bench = order()

    outcome = await Builder(engine=f"unix://{tmp_path}/no.sock").build(bench)

    assert not outcome.ok
    assert "docker" in bench.output.lower()
    assert "no.sock" in bench.output


async def test_the_cache_is_kept_to_the_size_that_the_agent_was_told(
    order: Order, docker: Any
) -> None:
    bench = order()

    await Builder(engine=docker.url, keeps="7GB").build(bench)

    [prune] = [argv for step, argv in bench.ran if step == "build:prune-cache"]
    assert "--keep-storage=7GB" in prune
    assert bench.recorded["build:prune-cache"] == 0


async def test_without_a_registry_the_image_stays_on_the_builder(
    builder: Builder, order: Order, docker: Any
) -> None:
    outcome = await builder.build(
        order(push=False, image="shop/local:v1", usual_image="shop/local:v1")
    )

    assert outcome.ok
    assert outcome.result["digest"] == docker("inspect", "shop/local:v1", "--format", "{{.Id}}")


async def test_an_agent_that_was_killed_in_the_middle_goes_on(
    builder: Builder, order: Order
) -> None:
    bench = order()
    bench.die_after = "build:build"
    with pytest.raises(KilledHere):
        await builder.build(bench)
    bench.die_after = None

    outcome = await builder.build(bench)

    assert outcome.ok
    assert [step for step, _ in bench.ran].count("build:build") == 1


async def test_nothing_of_the_sources_is_left_behind(
    builder: Builder, order: Order, scope: Scope
) -> None:
    await builder.build(order())

    assert list((scope.directory / "builds").iterdir()) == []


# --- hostile repositories ----------------------------------------------------------------------


async def test_a_dockerfile_that_is_a_link_out_of_the_repository_is_refused(
    builder: Builder, order: Order, sources: Sources
) -> None:
    (sources.path / "Dockerfile").unlink()
    (sources.path / "Dockerfile").symlink_to("/etc/shadow")
    sources.commit()

    outcome = await builder.build(order())

    assert "`Dockerfile` is a link out of the repository" in (outcome.reason or "")


async def test_a_context_that_is_a_link_out_of_the_repository_is_refused(
    builder: Builder, order: Order, sources: Sources
) -> None:
    (sources.path / "inner").symlink_to("/etc")
    sources.commit()

    outcome = await builder.build(order(build_context="inner"))

    assert "`inner` is a link out of the repository" in (outcome.reason or "")


async def test_a_link_in_the_context_shows_nothing_of_the_node(
    builder: Builder, order: Order, sources: Sources, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the node")
    (sources.path / "page.html").unlink()
    (sources.path / "page.html").symlink_to(tmp_path / "secret")
    sources.commit()

    outcome = await builder.build(order())

    assert not outcome.ok


async def test_hooks_of_a_repository_never_run(
    builder: Builder, order: Order, sources: Sources, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    sources.commit(**{".gitattributes": "* filter=evil\n"})
    for name in ("post-checkout", "reference-transaction"):
        hook = sources.path / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
        hook.chmod(0o755)

    outcome = await builder.build(order())

    assert outcome.ok
    assert not mark.exists()


async def test_submodules_are_not_fetched(builder: Builder, order: Order, sources: Sources) -> None:
    commit = sources.git("rev-parse", "HEAD")
    sources.commit(**{".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = -x\n'})
    sources.git("update-index", "--add", "--cacheinfo", f"160000,{commit},x")
    sources.git("commit", "--quiet", "--message", "a submodule")

    outcome = await builder.build(order())

    assert outcome.ok


async def test_a_tree_that_is_too_large_is_refused_before_it_is_written(
    docker: Any, order: Order, sources: Sources
) -> None:
    sources.commit(**{"large.bin": "x" * 2_000_000})
    bench = order()

    outcome = await Builder(engine=docker.url, most_bytes=1_000_000).build(bench)

    assert "has 2 MB of files, and a build takes 1 MB" in (outcome.reason or "")
    assert "build:checkout" not in [step for step, _ in bench.ran]


async def test_a_commit_that_is_not_there_is_told(builder: Builder, order: Order) -> None:
    outcome = await builder.build(order(commit="1" * 40))

    assert "has no commit" in (outcome.reason or "")


async def test_no_client_with_buildkit_is_told_with_the_mend(
    order: Order, builder: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = order()
    monkeypatch.setenv("PATH", str(tmp_path))

    outcome = await builder.build(bench)

    assert outcome.reason == "there is no docker client on this builder; install docker.io"
