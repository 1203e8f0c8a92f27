"""Ask the six services themselves what they run: the demo believes no record of its own."""

from collections.abc import Mapping

from boreas.cli.demo.world import HOSTS, World


async def what_runs(world: World) -> Mapping[str, str]:
    """What each node's web application answers."""
    import aiohttp

    answers: dict[str, str] = {}
    patience = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=patience) as session:
        for host in HOSTS:
            try:
                async with session.get(f"http://{host}:{world.web_port}/") as answer:
                    answers[host] = (await answer.text()).strip()
            except (aiohttp.ClientError, TimeoutError) as error:
                answers[host] = f"no answer: {error}"
    return answers
