"""CEL texts: checked when they are written, answered when their task's turn comes.

CEL is a language without loops, effects or a clock; Google's own implementation (cel-cpp) checks
types beforehand, counts the steps of an evaluation and gives up at its budget. What a text may ask
is declared here name by name, so that a slip of the pen is found when the text is saved.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cel_expr_python import cel

LONGEST: Final = 2_000
"""Characters of one text: what does not fit belongs into a script."""

FACTS: Final[Mapping[str, str]] = {
    "version.name": "the version's name",
    "version.source": "where the version came from: `manual`, `build` or `webhook`",
    "version.git.repository": "the repository, empty without git",
    "version.git.ref": "the branch or tag, empty if a commit was named",
    "version.git.commit": "the full commit, empty without git",
    "environment.name": "the environment's name",
    "environment.kind": "`dev`, `test`, `staging` or `prod`",
    "trigger.kind": "how it came about: `manual`, `automatic`, `retry` or `rollback`",
    "trigger.by": "the name of whoever asked for it",
}
"""What every condition may ask; each is a text."""
OF_APPLICATION: Final[Mapping[str, str]] = {
    "application.name": "the name of the task's application",
    "application.driver": "`container`, `kubernetes`, `script` or `git_pull`",
}
"""What conditions of an application's task may ask besides."""
MAPS: Final[Mapping[str, str]] = {
    "variables": 'texts by name: `variables.NAME`, `"NAME" in variables`',
    "tasks": 'results of earlier tasks: `tasks.build.status`, `tasks["unit-test"].exit_code`',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextProblem:
    """What is wrong with a text, counted from line 1 and column 1 of the text itself."""

    line: int
    column: int
    problem: str
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that a text asks for: `environment.kind`, `variables.X`, `tasks["a-b"].status`."""

    root: str
    parts: tuple[str, ...]
    spelled: str
    line: int
    column: int


class Unanswerable(Exception):
    """Evaluating came to nothing; the message says why."""


def problems_of(text: str, *, of_application: bool) -> tuple[TextProblem, ...]:
    """Everything that is wrong with a text, whoever the earlier tasks may be; empty if nothing."""
    if len(text) > LONGEST:
        problem = f"has {len(text)} characters, at most {LONGEST} are taken"
        return (TextProblem(line=1, column=1, problem=problem, mend="move the logic to a script"),)
    unnamed = [it for it in asked_in(text) if it.root == "tasks" and not it.parts]
    if unnamed:
        mend = 'name the task: `tasks.build` or `tasks["unit-test"]`'
        at = unnamed[0]
        problem = "asks for `tasks` as a whole"
        return (TextProblem(line=at.line, column=at.column, problem=problem, mend=mend),)
    compiled = _compiled(text, of_application)
    return compiled if isinstance(compiled, tuple) else ()


def answer(text: str, facts: Mapping[str, Any], *, of_application: bool) -> bool:
    """Whether the text holds; `Unanswerable` if it asks for what is not there."""
    compiled = _compiled(text, of_application)
    if isinstance(compiled, tuple):
        raise Unanswerable(compiled[0].problem)
    try:
        found = compiled.eval(data=dict(facts))
    except RuntimeError as error:
        raise Unanswerable(_said(str(error))) from None
    value = found.value()
    if isinstance(value, bool):
        return value
    if str(found.type()) == "ERROR":
        raise Unanswerable(_said(str(value)))
    raise Unanswerable(f"its answer is {value!r}, which is neither true nor false"[:200])


def asked_in(text: str) -> tuple[Asked, ...]:
    """What a text asks for, in its order; strings and comments are passed over."""
    tokens = [it for it in _TOKEN.finditer(text) if it.lastgroup not in ("space", "comment")]
    return tuple(_asked(text, tokens))


_TOKEN: Final = re.compile(
    r"""(?P<string>[rRbB]{0,2}(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<comment>//[^\n]*)|(?P<word>[A-Za-z_]\w*)|(?P<space>\s+)|(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_ROOTS: Final = frozenset(name.partition(".")[0] for name in (*FACTS, *OF_APPLICATION, *MAPS))


def _asked(text: str, tokens: Sequence[re.Match[str]]) -> Iterator[Asked]:
    before = ""
    for at, token in enumerate(tokens):
        if token[0] in _ROOTS and token.lastgroup == "word" and before != ".":
            parts, end = _parts_after(tokens, at + 1)
            line, column = place_in(text, token.start())
            yield Asked(
                root=token[0],
                parts=parts,
                spelled=text[token.start() : end or token.end()],
                line=line,
                column=column,
            )
        before = token[0]


def _parts_after(tokens: Sequence[re.Match[str]], at: int) -> tuple[tuple[str, ...], int]:
    """`.a["b"].c` -> a, b, c and where it ends in the text; a method's name is no part."""
    parts: list[str] = []
    end = 0
    while at + 1 < len(tokens):
        mark, name = tokens[at], tokens[at + 1]
        follower = tokens[at + 2][0] if at + 2 < len(tokens) else ""
        if mark[0] == "." and name.lastgroup == "word" and follower != "(":
            parts.append(name[0])
            at, end = at + 2, name.end()
        elif mark[0] == "[" and name.lastgroup == "string" and follower == "]":
            parts.append(name[0].strip("rRbB").strip("\"'"))
            end = tokens[at + 2].end()
            at += 3
        else:
            break
    return tuple(parts), end


def place_in(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a place in a text, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


@cache
def _environment(of_application: bool) -> "cel.Env":
    # Imported when the first condition is met: most deployments have none, and the agent never.
    from cel_expr_python import cel

    kind = cel.Type
    texts = dict.fromkeys([*FACTS, *(OF_APPLICATION if of_application else ())], kind.STRING)
    results = kind.Map(kind.STRING, kind.Map(kind.STRING, kind.DYN))
    maps = {"variables": kind.Map(kind.STRING, kind.STRING), "tasks": results}
    return cel.NewEnv(variables={**texts, **maps})


@lru_cache(maxsize=2048)
def _compiled(text: str, of_application: bool) -> "cel.Expression | tuple[TextProblem, ...]":
    try:
        compiled = _environment(of_application).compile(text)
    except RuntimeError as error:
        return _problems_in(str(error), of_application)
    kind = str(compiled.return_type())
    if kind in ("BOOL", "DYN"):
        return compiled
    problem = f"answers with {_KINDS.get(kind, kind.lower())}, not with true or false"
    return (TextProblem(line=1, column=1, problem=problem, mend="compare it: `… == …`"),)


_KINDS: Final = {"STRING": "a text", "INT": "a number", "UINT": "a number", "DOUBLE": "a number"}
_ERROR: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")


def _problems_in(said: str, of_application: bool) -> tuple[TextProblem, ...]:
    found = tuple(
        TextProblem(
            line=int(line),
            column=int(column),
            problem=f"is no CEL condition: {problem}",
            mend=_mend(problem, of_application),
        )
        for line, column, problem in _ERROR.findall(said)
    )
    return found or (TextProblem(line=1, column=1, problem=f"is no CEL condition: {_said(said)}"),)


def _mend(problem: str, of_application: bool) -> str:
    if "undeclared reference" in problem:
        if "'application" in problem and not of_application:
            return "only tasks of an application know `application`"
        known = [*FACTS, *(OF_APPLICATION if of_application else ()), *MAPS]
        return "known here: " + ", ".join(f"`{name}`" for name in known)
    if "no matching overload" in problem:
        return "compare things of one kind; texts stand in quotes"
    return 'write something like `environment.kind == "prod"`'


def _said(text: str) -> str:
    """The library's message without its own marks, in one line."""
    missing = re.search(r'Key not found in map : "([^"]*)"', text)
    if missing:
        return f"there is no `{missing[1]}`"
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", text.splitlines()[0])
