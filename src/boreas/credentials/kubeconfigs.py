"""Is this kubeconfig complete in itself, and does it run nothing?

An agent uses it alone in a private directory: files it points to are not there, and a program that
it names would run with the agent's rights.
"""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from boreas.domain.errors import InvalidInput, invalid

FIELD: Final = "data.kubeconfig"
_FILES: Final = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
}
_RUNS: Final = ("exec", "auth-provider")
_WAYS_IN: Final = ("token", "client-key-data", "password")


def check_kubeconfig(text: str) -> Mapping[str, str]:
    """The cluster's address and the context's name; `InvalidInput` names the part to mend."""
    config = _mapping(_parsed(text), "")
    name = config.get("current-context")
    if not isinstance(name, str) or not name:
        raise _wrong("has no current-context", "set it: `kubectl config use-context NAME`")
    context = _named(config, "contexts", "context", name)
    cluster = _named(config, "clusters", "cluster", context.get("cluster"))
    user = _named(config, "users", "user", context.get("user"))
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith("https://"):
        raise _wrong("its cluster's server does not start with https://")
    for part in (cluster, user):
        _refuse_outside(part)
    if not any(user.get(way) for way in _WAYS_IN):
        raise _wrong("its user has neither a token nor a client key", "embed one of them")
    return {"server": server[:200], "context": name[:200]}


def _parsed(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
    # Outside of `except`: the parser's own words quote the text.
    raise _wrong(f"is not YAML{place}")


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise _wrong(f"{where or 'it'} is not a mapping")


def _named(config: Mapping[str, Any], plural: str, single: str, name: object) -> Mapping[str, Any]:
    """The entry of a list that has this name."""
    entries = config.get(plural)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping) and entry.get("name") == name:
            return _mapping(entry.get(single), f"{plural}[].{single}")
    raise _wrong(f"has no entry in {plural} that the current context names")


def _refuse_outside(part: Mapping[str, Any]) -> None:
    for name, embedded in _FILES.items():
        if part.get(name):
            mend = f"embed it as {embedded}: `kubectl config view --raw --flatten`"
            raise _wrong(f"points to a file ({name}), which no agent has", mend)
    for name in _RUNS:
        if part.get(name):
            mend = "use a service account's token instead"
            raise _wrong(f"runs a program ({name}) to sign in, which agents do not", mend)


def _wrong(problem: str, mend: str = "") -> InvalidInput:
    return invalid(FIELD, problem, mend)
