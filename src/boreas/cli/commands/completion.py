"""`boreas completion SHELL`: the script that lets a shell complete Boreas' words."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from boreas.cli.verbs import new_app

app = new_app()


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


# The words after COMP_WORDS are read by Typer, whose completion answers when _BOREAS_COMPLETE asks.
SCRIPTS: Final = {
    Shell.BASH: """\
_boreas_completion() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _BOREAS_COMPLETE=complete_bash boreas ) )
}
complete -o default -F _boreas_completion boreas
""",
    Shell.ZSH: """\
#compdef boreas
_boreas_completion() {
    eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _BOREAS_COMPLETE=complete_zsh boreas)
}
compdef _boreas_completion boreas
""",
    Shell.FISH: """\
complete --command boreas --no-files --arguments "(env _BOREAS_COMPLETE=complete_fish \\
    _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS=(commandline -cp) boreas)" \\
    --condition "env _BOREAS_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=is-args \\
    _TYPER_COMPLETE_ARGS=(commandline -cp) boreas"
""",
}


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(help="Which shell.")] = Shell.BASH,
) -> None:
    """Print the completion script of a shell: eval "$(boreas completion bash)"."""
    typer.echo(SCRIPTS[shell], nl=False)
