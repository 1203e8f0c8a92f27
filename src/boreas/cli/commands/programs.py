"""The two programs besides the command line, listed here for the help page only.

`boreas.__main__` starts them before the command line is even imported.
"""

from boreas.cli.verbs import new_app

server = new_app()
agent = new_app()


@server.command()
def run_server() -> None:
    """Run the server (boreas server --help)."""


@agent.command()
def run_agent() -> None:
    """Run the agent of this node (boreas agent --help)."""
