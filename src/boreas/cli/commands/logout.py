"""`boreas logout`: forget the token of a server."""

from boreas.cli.settings import remember, remembered
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def logout(session: Session) -> None:
    """Forget the API token of --server. (Revoke it on the server if it may have leaked.)"""
    server = session.client.server
    remember(remembered().without_token(server))
    session.out.result({"server": server}, f"The token for {server} is forgotten.")
