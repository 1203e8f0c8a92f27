"""A first look: the app starts, a deployment can be asked for."""

import json
from typing import Any


async def test_a_deployment_is_answered_whole(admin: Any, deploy: Any) -> None:
    found = await deploy(autoStart=False)

    again = await admin.get(f"/api/v1/deployments/{found['id']}")

    print(json.dumps(again.json(), indent=1))
    assert again.json()["id"] == found["id"]
