"""Strategies as people type them: `canary`, `rolling:2`, `blue-green`, or a YAML or JSON file. Pure
but for the reading of that file. Their meaning is the engine's (docs/reference/cli.md#strategies).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from boreas.cli.failures import Failure, usage

HOW: Final = "write canary[:10%], rolling:2[:SECONDS], rolling:20%, blue-green, or a file's path"


def strategy(text: str, *, approval: bool = True) -> Any:
    """The document that a strategy's short name stands for, or what its file says."""
    name, _, rest = text.partition(":")
    match name:
        case "canary":
            return canary(_ratio(rest or "10%"), approval=approval)
        case "rolling":
            return rolling(rest or "1")
        case "blue-green" | "blue_green":
            return [{"batchSize": 0, "canaryRatio": 0, "autoRollback": True}]
    return _from_file(Path(text))


def canary(ratio: float, *, approval: bool = True) -> list[Mapping[str, Any]]:
    """First a share of the targets, then a person's word (unless not wanted), then the rest."""
    first: dict[str, Any] = {"batchSize": 0, "canaryRatio": ratio, "autoRollback": True}
    if approval:
        first["manualApprovalStatus"] = None
    return [first, {"batchSize": 0, "canaryRatio": 1.0, "autoRollback": True}]


def rolling(text: str) -> list[Mapping[str, Any]]:
    """Batches of a number or a percentage of the targets, with a rest between them."""
    size, _, interval = text.partition(":")
    step = {
        "batchSize": _size(size),
        "batchInterval": _number(interval or "0", "interval"),
        "canaryRatio": 0,
        "autoRollback": True,
    }
    return [step]


def _ratio(text: str) -> float:
    if text.endswith("%"):
        return _number(text[:-1], "canary") / 100
    ratio = _number(text, "canary")
    if not 0 < ratio <= 1:
        raise usage(f"canary:{text} is not a share of the targets", mend="write canary:10%")
    return ratio


def _size(text: str) -> int | str:
    if text.endswith("%"):
        _number(text[:-1], "batch size")
        return text
    if not text.isdigit():
        raise usage(f"{text!r} is not a number of targets", mend=HOW)
    return int(text)


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise usage(f"the {what} {text!r} is not a number", mend=HOW) from None


def _from_file(path: Path) -> Any:
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise usage(f"{path} is no strategy and no file", mend=HOW) from None
    except (OSError, yaml.YAMLError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(found, list | dict):
        raise usage(f"{path} holds no strategy", mend="write a list of steps")
    return found


def _unreadable(path: Path, error: Exception) -> Failure:
    return usage(f"{path} cannot be read: {error}")
