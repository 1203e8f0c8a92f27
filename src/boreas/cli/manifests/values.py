"""Read the secrets that changes need, where the files say. All of them before anything is sent."""

from collections.abc import Iterable, Mapping

from boreas.cli import settings
from boreas.cli.manifests.differences import Change, Need
from boreas.cli.manifests.documents import Item, refused
from boreas.domain.errors import FieldError
from boreas.domain.manifests.sources import Source

Values = Mapping[str, str]
MEND = "write value_from: {env: NAME} or {file: PATH}"


class Missing(Exception):
    """There is no value; says what is wrong and how to mend it, never a value."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.mend = mend


def read_values(changes: Iterable[Change]) -> list[Values]:
    """For each change the values by part; `Failure` names everything that is missing."""
    wrong: list[FieldError] = []
    found = [_values_of(change, wrong) for change in changes]
    if wrong:
        raise refused(wrong)
    return found


def refuse_without_source(changes: Iterable[Change]) -> None:
    """Also where values are not read: a new secret must have a source."""
    wrong = [
        change.item.complaint(_lacks(need))
        for change in changes
        for need in change.needs
        if need.source is None and change.item is not None
    ]
    if wrong:
        raise refused(wrong)


def _lacks(need: Need) -> FieldError:
    problem = "is missing, and the server has no value yet"
    mend = (
        MEND if need.at == "value_from" else f"write `{need.at}`, {{env: NAME}} or {{file: PATH}}"
    )
    return FieldError(field=need.at, problem=problem, mend=mend)


def _values_of(change: Change, wrong: list[FieldError]) -> Values:
    found: dict[str, str] = {}
    for need in change.needs if change.item is not None else ():
        assert change.item is not None
        try:
            if need.source is None:
                wrong.append(change.item.complaint(_lacks(need)))
            else:
                found[need.part] = _read(need, need.source, change.item)
        except Missing as error:
            told = FieldError(field=need.at, problem=error.problem, mend=error.mend)
            wrong.append(change.item.complaint(told))
    return found


def _read(need: Need, source: Source, item: Item) -> str:
    if source.env:
        value = settings.variable(source.env)
        if not value:
            raise Missing(f"the variable {source.env} is not set", "set it, and apply again")
        return value
    path = item.document.path.parent / source.file
    try:
        text = path.expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Missing(
            f"{path} cannot be read: {reason}", "write the file, and apply again"
        ) from None
    return text if need.has_lines else text.rstrip("\r\n")
