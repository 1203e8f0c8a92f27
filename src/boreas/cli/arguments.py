"""Arguments that several verbs take, said once."""

from typing import Annotated

import typer

DeploymentArgument = Annotated[
    str, typer.Argument(metavar="DEPLOYMENT", help="An id, a number such as 12, or `latest`.")
]
ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="Name or id.")]
EnvironmentArgument = Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="Name or id.")]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="Name or id.")]
ProjectOption = Annotated[
    str | None, typer.Option("--project", "-p", metavar="PROJECT", help="Only of this project.")
]
WatchOption = Annotated[
    bool, typer.Option("--watch", "-w", help="Watch it; leave with the exit code of its result.")
]
CommentOption = Annotated[
    str | None, typer.Option("--comment", "-m", metavar="TEXT", help="Kept with the answer.")
]
