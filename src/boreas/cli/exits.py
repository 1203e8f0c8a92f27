"""Exit codes: a promise to scripts (docs/reference/cli.md lists them)."""

from enum import IntEnum

from boreas.domain.deployments import DeploymentState


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """What was asked for was tried and failed, such as a deployment."""
    USAGE = 2
    """The arguments or a document cannot be used as they are."""
    NOT_SIGNED_IN = 3
    """Nobody is signed in, or the caller may not do this."""
    NOT_FOUND = 4
    CONFLICT = 5
    """The present state does not allow it, or somebody else was faster."""
    UNREACHABLE = 6
    """No server answers, or it is not ready."""
    ROLLED_BACK = 7
    CANCELLED = 8
    TIMED_OUT = 9
    """`--timeout` passed; what was watched goes on."""
    DRIFTED = 10
    """What is live is not what was deployed."""
    UNSURE = 11
    """Nobody can say whether it is."""
    DIFFERS = 12
    """`boreas diff`: the server is not as the files say."""
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_OF_STATE = {
    DeploymentState.SUCCESS: ExitCode.OK,
    DeploymentState.FAILED: ExitCode.FAILED,
    DeploymentState.ROLLED_BACK: ExitCode.ROLLED_BACK,
    DeploymentState.CANCELLED: ExitCode.CANCELLED,
}
