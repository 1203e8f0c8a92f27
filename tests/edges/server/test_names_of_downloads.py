"""A download's name is the user's words: in the header they are never more than a name."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

NAMES = [
    "=cmd|' C calc'!A0",
    '"; filename=evil.exe',
    "日志.txt",
    "a;b.txt",
    "name\\with\\backslashes",
    "%0d%0aSet-Cookie: x=1",
]


def must_be_one_plain_name(answer: httpx.Response) -> None:
    (value,) = answer.headers.get_list("content-disposition")
    kind, _, name = value.partition("; ")
    assert kind == "attachment"
    assert name.startswith(("filename*=", 'filename="'))
    text = name.partition("''")[2] if name.startswith("filename*=") else name[10:-1]
    assert text.isascii()
    assert not set(text) & set("\"\\;\r\n =|'"), name
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("name", NAMES)
async def test_of_a_log(admin: httpx.AsyncClient, deploy: Any, name: str) -> None:
    task = {"id": name, "type": "custom", "payload": {"command": "true"}}
    deployment = (await deploy(tasks=[task], autoStart=False))["id"]
    path = f"/api/v1/deployments/{deployment}/tasks/{quote(name, safe='')}/logs/download"

    answer = await admin.get(path)

    assert answer.status_code == 200, answer.text
    must_be_one_plain_name(answer)


@pytest.mark.parametrize("name", NAMES)
async def test_of_a_file(admin: httpx.AsyncClient, deploy: Any, name: str) -> None:
    task = {"id": "one", "type": "custom", "payload": {"command": "true"}}
    deployment = (await deploy(tasks=[task], autoStart=False))["id"]
    path = f"/api/v1/deployments/{deployment}/tasks/one/files/{quote(name, safe='')}"
    kept = await admin.put(path, content=b"x")
    if kept.status_code != 200:
        assert kept.status_code in (415, 422), kept.text
        return

    answer = await admin.get(path)

    assert answer.content == b"x"
    must_be_one_plain_name(answer)


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x=1", "a\nb", "a\0b"])
async def test_a_name_with_a_line_break_is_no_name(
    admin: httpx.AsyncClient, site: Any, name: str
) -> None:
    task = {"id": name, "type": "custom", "payload": {"command": "true"}}
    body = {"versionId": site.version, "environmentId": site.environment, "tasks": [task]}

    answer = await admin.post("/api/v1/deployments", json=body)

    assert answer.status_code in (400, 422), answer.text
