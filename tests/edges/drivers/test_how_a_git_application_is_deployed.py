"""The git_pull driver on real git, over files and over HTTP."""

import functools
import gzip
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from boreas.domain.orders import GitRef, HealthCheck, ProbeKind
from boreas.drivers.git_pull import GitPullDriver
from boreas.testing.workbench import KilledHere, a_release


class Origin:
    """A git repository that a team pushes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--quiet", "--initial-branch=main", str(path))

    def git(self, *arguments: str) -> str:
        where = [] if arguments[0] == "init" else ["-C", str(self.path)]
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        done = subprocess.run(
            ["git", *where, *who, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, version: str, **files: str) -> str:
        for name, text in {"version": version, **files}.items():
            (self.path / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", version)
        self.git("tag", version)
        return self.git("rev-parse", "HEAD")

    @property
    def url(self) -> str:
        return f"file://{self.path}"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "srv"


@pytest.fixture
def driver(clock) -> GitPullDriver:
    return GitPullDriver(clock)


@pytest.fixture
def release(origin: Origin, path: Path):
    """Makes a release of a version; with a commit unless told otherwise."""

    def make(version: str, commit: str | None = None, *, ref: str | None = None, **spec: object):
        document = {"repository": origin.url, "path": str(path), **spec}
        git = GitRef(repository=origin.url, commit=commit, ref=ref)
        return a_release(version, spec=document, git=git if commit or ref else None)

    return make


@pytest.fixture
def web(origin: Origin) -> Iterator[str]:
    """The repository over plain HTTP, as any web server gives it out."""
    origin.git("update-server-info")
    handler = functools.partial(QuietFiles, directory=str(origin.path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/.git"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def smart_web(origin: Origin) -> Iterator[str]:
    """The repository behind `git http-backend`, as a git host gives it out."""
    if not BACKEND.exists():
        pytest.skip("git http-backend is not installed")
    handler = functools.partial(Backend, root=origin.path.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/origin/.git"
    server.shutdown()
    thread.join()
    server.server_close()


BACKEND = Path("/usr/lib/git-core/git-http-backend")


class Backend(http.server.BaseHTTPRequestHandler):
    """Just enough CGI for git's own server program."""

    def __init__(self, *given: object, root: Path) -> None:
        self.root = root
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            [str(BACKEND)], input=body, env=environment, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().splitlines()]
        status = next((value for name, value in lines if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


async def test_a_commit_becomes_a_release_directory_and_current_points_at_it(
    driver, scope, origin, release, path
):
    commit = origin.commit("v1")
    bench = scope.bench(release("v1", commit))

    assert (await driver.stage(bench)).result == {"commit": commit}
    assert not (path / "current").exists()
    assert (await driver.activate(bench)).ok

    assert os.readlink(path / "current") == f"releases/{commit}"
    assert (path / "current" / "version").read_text() == "v1"


async def test_activate_alone_stages_first_when_needed(driver, scope, origin, release, path):
    bench = scope.bench(release("v1", origin.commit("v1")))

    assert (await driver.activate(bench)).ok
    assert (path / "current" / "version").read_text() == "v1"


async def test_a_branch_is_pinned_when_staged_and_does_not_move_before_it_is_live(
    driver, scope, origin, release, path
):
    first = origin.commit("v1")
    bench = scope.bench(release("v1", ref="main"))
    await driver.stage(bench)
    origin.commit("v2")

    outcome = await driver.activate(bench)

    assert outcome.result == {"commit": first}
    assert (path / "current" / "version").read_text() == "v1"


async def test_a_version_that_names_no_commit_means_the_tag_of_its_name(
    driver, scope, origin, release, path
):
    origin.commit("v1")
    origin.commit("v2")

    assert (await driver.activate(scope.bench(release("v1")))).ok
    assert (path / "current" / "version").read_text() == "v1"


async def test_the_version_s_repository_wins_over_the_application_s(
    driver, scope, origin, release, path
):
    commit = origin.commit("v1")
    outcome = await driver.activate(
        scope.bench(release("v1", commit, repository="file:///nowhere"))
    )

    assert outcome.ok


async def test_it_works_over_http(driver, scope, origin, release, path, web):
    commit = origin.commit("v1")
    origin.git("update-server-info")
    body = release("v1", repository=web)

    outcome = await driver.activate(scope.bench(body))

    assert outcome.result == {"commit": commit}


async def test_it_works_over_http_with_git_s_own_server(
    driver, scope, origin, release, path, smart_web
):
    commit = origin.commit("v1")
    body = release("v1", commit)
    object.__setattr__(body, "git", GitRef(repository=smart_web, commit=commit))

    outcome = await driver.activate(scope.bench(body))

    assert outcome.ok, outcome.reason
    assert (path / "current" / "version").read_text() == "v1"


async def test_a_server_that_sends_git_to_a_file_of_the_node_is_not_followed(
    driver, scope, origin, release, page
):
    origin.commit("v1")
    page.answer = (302, b"", {"Location": f"{origin.url}/info/refs"})
    url = f"http://127.0.0.1:{page.server_address[1]}/x.git"

    outcome = await driver.stage(scope.bench(release("v1", repository=url)))

    assert (outcome.reason or "").startswith(f"git.repository: {url} could not be fetched from")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to somebody else")
async def test_a_repository_of_another_user_of_the_node_can_be_read(
    driver, scope, origin, release, path
):
    commit = origin.commit("v1")
    for one in (origin.path, *origin.path.rglob("*")):
        os.chown(one, 65534, 65534)

    outcome = await driver.activate(scope.bench(release("v1", commit)))

    assert outcome.ok, outcome.reason


async def test_a_commit_on_no_branch_is_fetched_by_its_id(driver, scope, origin, release, path):
    commit = origin.commit("lost")
    origin.git("tag", "--delete", "lost")
    origin.git("update-ref", "-d", "refs/heads/main")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")

    assert (await driver.activate(scope.bench(release("lost", commit)))).ok


async def test_post_deploy_runs_in_current_and_its_failure_is_the_verb_s(
    driver, scope, origin, release, path
):
    commit = origin.commit("v1")
    text = 'echo "$PWD|$BOREAS_COMMIT|$BOREAS_CHECKOUT"; cat version; exit 4'
    bench = scope.bench(release("v1", commit, post_deploy=text))

    outcome = await driver.activate(bench)

    here = path / "releases" / commit
    assert bench.output.endswith(f"\n{here}|{commit}|{here}\nv1")
    assert (outcome.ok, outcome.exit_code) == (False, 4)
    assert outcome.reason == "`post_deploy` ended with exit code 4"


async def test_going_back_needs_no_network_and_runs_post_deploy_again(
    driver, scope, origin, release, path
):
    text = "cat version"
    v1 = release("v1", origin.commit("v1"), post_deploy=text)
    v2 = release("v2", origin.commit("v2"), post_deploy=text)
    await driver.activate(scope.bench(v1))
    await driver.activate(scope.bench(v2, previous=v1))
    origin.path.rename(origin.path.with_name("gone"))

    bench = scope.bench(v1, previous=v1)
    outcome = await driver.revert(bench)

    assert outcome.ok
    assert bench.output.endswith("v1")
    assert (path / "current" / "version").read_text() == "v1"


async def test_going_back_makes_a_checkout_again_that_is_gone(driver, scope, origin, release, path):
    v1, v2 = release("v1", origin.commit("v1")), release("v2", origin.commit("v2"))
    await driver.activate(scope.bench(v1))
    await driver.activate(scope.bench(v2))
    shutil.rmtree(path / "releases" / v1.git.commit)

    assert (await driver.revert(scope.bench(v1))).ok
    assert (path / "current" / "version").read_text() == "v1"


@pytest.mark.parametrize("step", ["mirror", "fetch", "clear", "prune", "checkout"])
@pytest.mark.parametrize("when", ["die_before", "die_after"])
async def test_an_agent_killed_while_staging_goes_on_where_it_was(
    driver, scope, origin, release, path, step, when
):
    bench = scope.bench(release("v1", origin.commit("v1")))
    setattr(bench, when, f"stage:{step}")
    with pytest.raises(KilledHere):
        await driver.stage(bench)

    setattr(bench, when, None)
    assert (await driver.stage(bench)).ok
    assert (await driver.activate(bench)).ok

    assert (path / "current" / "version").read_text() == "v1"
    assert len({name for name, _ in bench.ran}) == len(bench.ran)


async def test_a_half_made_checkout_is_made_again(driver, scope, origin, release, path):
    commit = origin.commit("v1")
    half = path / "releases" / commit
    half.mkdir(parents=True)
    (half / "rubbish").touch()

    await driver.activate(scope.bench(release("v1", commit)))

    assert sorted(one.name for one in half.iterdir()) == [".git", "version"]


async def test_a_broken_mirror_is_made_again(driver, scope, origin, release, path):
    await driver.activate(scope.bench(release("v1", origin.commit("v1"))))
    (scope.directory / "mirror.git" / "HEAD").write_text("rubbish")
    (scope.directory / "mirror.git" / "config").write_text("[core")

    outcome = await driver.activate(scope.bench(release("v2", origin.commit("v2"))))

    assert outcome.ok
    assert (path / "current" / "version").read_text() == "v2"


async def test_locks_left_by_a_crash_do_not_stop_a_deployment(driver, scope, origin, release, path):
    await driver.activate(scope.bench(release("v1", origin.commit("v1"))))
    (scope.directory / "mirror.git" / "refs" / "heads" / "main.lock").touch()
    (scope.directory / "mirror.git" / "packed-refs.lock").touch()

    assert (await driver.activate(scope.bench(release("v2", origin.commit("v2"))))).ok


async def test_hooks_and_submodules_of_a_repository_never_run(
    driver, scope, origin, release, path, tmp_path
):
    evidence = tmp_path / "evidence"
    commit = origin.commit("v1", **{".gitmodules": '[submodule "x"]\n\turl = -x\n\tpath = x\n'})
    bench = scope.bench(release("v1", commit))
    hooks = scope.directory / "mirror.git" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {evidence}\n")
        (hooks / name).chmod(0o755)

    assert (await driver.activate(bench)).ok
    assert not evidence.exists()


@pytest.mark.parametrize(
    "repository",
    [
        "ext::sh -c touch% /tmp/owned",
        "fd::3",
        "-uwhatever",
        "--upload-pack=touch /tmp/owned",
        "ssh://-oProxyCommand=touch/x",
        "git@-host:x",
        "https://ann:secret@example.org/x.git",
        "file:///x\n",
    ],
)
async def test_an_address_that_could_run_something_is_refused_before_git_starts(
    driver, scope, path, repository
):
    spec = {"repository": "https://example.org/x.git", "path": str(path)}
    version = a_release("v1", spec=spec, git=GitRef(repository=repository, ref="main"))
    bench = scope.bench(version)

    outcome = await driver.stage(bench)

    assert not outcome.ok
    assert "git.repository" in (outcome.reason or "")
    assert bench.ran == []


@pytest.mark.parametrize(
    "ref", ["--upload-pack=x", "a b", "main;id", "$(id)", "x..y", "a\nb", "@{"]
)
async def test_a_ref_is_a_name_or_it_is_refused(driver, scope, origin, release, ref):
    origin.commit("v1")
    outcome = await driver.stage(scope.bench(release("v1", ref=ref)))

    assert not outcome.ok
    assert "git.ref" in (outcome.reason or "")


async def test_a_ref_that_is_not_there_is_named_in_the_reason(driver, scope, origin, release):
    origin.commit("v1")

    outcome = await driver.stage(scope.bench(release("v1", ref="nope")))

    assert outcome.reason == (
        f"git.ref: {origin.url} has no tag and no branch `nope`; "
        "name one, or a full commit, in the version's `git`"
    )


async def test_a_repository_that_is_not_there_is_named_in_the_reason(driver, scope, path):
    spec = {"repository": "file:///nowhere/at/all", "path": str(path)}

    outcome = await driver.stage(scope.bench(a_release("v1", spec=spec)))

    assert (outcome.reason or "").startswith("git.repository: file:///nowhere/at/all could not be")


async def test_a_directory_named_current_is_never_replaced(driver, scope, origin, release, path):
    (path / "current").mkdir(parents=True)

    outcome = await driver.activate(scope.bench(release("v1", origin.commit("v1"))))

    assert (outcome.reason or "").endswith("is not a link; move it away, then deploy again")


async def test_retire_keeps_what_was_asked_for_and_what_a_rollback_needs(
    driver, scope, origin, release, path
):
    commits = []
    for number in range(1, 7):
        commits.append(origin.commit(f"v{number}"))
        await driver.activate(scope.bench(release(f"v{number}", commits[-1], keep=2)))
    (path / "releases" / "not-ours").mkdir()

    await driver.retire(scope.bench(release("v6", commits[-1], keep=2), keep_releases=("rel_v1",)))

    kept = {one.name for one in (path / "releases").iterdir()}
    assert kept == {commits[0], commits[4], commits[5], "not-ours"}


async def test_observe_says_the_commit_and_notices_a_foreign_hand(
    driver, scope, origin, release, path
):
    first, second = origin.commit("v1"), origin.commit("v2")
    await driver.activate(scope.bench(release("v1", first)))
    await driver.activate(scope.bench(release("v2", second)))

    seen = (await driver.observe(scope.bench(None))).result
    assert (seen["commit"], seen["version"], seen["certain"]) == (second, "v2", True)

    (path / "current").unlink()
    (path / "current").symlink_to(f"releases/{first}")
    seen = (await driver.observe(scope.bench(None))).result
    assert (seen["commit"], seen["certain"]) == (first, False)


async def test_a_look_names_tracked_files_that_somebody_changed(
    driver, scope, origin, release, path
):
    commit = origin.commit("v1", page="one", other="two")
    body = release("v1", commit)
    await driver.activate(scope.bench(body))
    assert (await driver.observe(scope.bench(body))).result["changed_files"] == ()

    current = path / "current"
    (current / "page").write_text("ONE")
    (current / "other").unlink()
    (current / "a-cache").write_text("not git's business")
    seen = (await driver.observe(scope.bench(body))).result
    assert seen["changed_files"] == ("other", "page")

    again = release("v1", commit)
    await driver.activate(scope.bench(again))
    assert (await driver.observe(scope.bench(again))).result["changed_files"] == ()
    assert ((current / "page").read_text(), (current / "other").read_text()) == ("one", "two")
    assert (current / "a-cache").exists()


async def test_a_look_that_was_stopped_leaves_nothing_in_the_way_of_the_next(
    driver, scope, origin, release
):
    commit = origin.commit("v1", page="one")
    body = release("v1", commit)
    await driver.activate(scope.bench(body))
    looks = scope.directory / "looks"
    looks.mkdir()
    (looks / f"{commit}.lock").touch()

    assert (await driver.observe(scope.bench(body))).result["changed_files"] == ()


async def test_a_look_does_not_believe_the_checkout_s_own_git_file(
    driver, scope, origin, release, path, tmp_path
):
    body = release("v1", origin.commit("v1", page="one"))
    await driver.activate(scope.bench(body))
    hostile = tmp_path / "hostile"
    Origin(hostile)
    proof = tmp_path / "proof"
    settings = f'[core]\n\tfsmonitor = "touch {proof}"\n'
    (hostile / ".git" / "config").write_text(settings)
    (path / "current" / ".git").write_text(f"gitdir: {hostile}/.git\n")
    (path / "current" / "page").write_text("changed")

    seen = (await driver.observe(scope.bench(body))).result

    assert seen["changed_files"] == ("page",)
    assert not proof.exists()


async def test_what_post_deploy_writes_is_recorded_and_not_a_change(
    driver, scope, origin, release, path
):
    body = release("v1", origin.commit("v1", page="one"), post_deploy="echo mine > page")
    await driver.activate(scope.bench(body))

    seen = (await driver.observe(scope.bench(body))).result

    assert (seen["changed_files"], seen["recorded"]["changed_files"]) == (("page",), ["page"])


async def test_two_targets_of_one_machine_are_kept_apart_by_their_names(
    driver, scope, origin, release, path
):
    commit = origin.commit("v1")
    body = release("v1", commit, path=f"{path}/{{target}}")

    await driver.activate(scope.bench(body, target="web 1/../x"))

    assert (path / "web-1-..-x" / "current" / "version").read_text() == "v1"


async def test_health_is_asked_in_current(driver, scope, origin, release, path):
    check = HealthCheck(type=ProbeKind.COMMAND, command='test "$(cat version)" = v1', retries=1)
    body = release("v1", origin.commit("v1"))
    bench = scope.bench(body)
    object.__setattr__(body, "health_check", check)

    assert not (await driver.check(bench)).ok
    await driver.activate(bench)
    assert (await driver.check(bench)).ok
