"""Which column of a row becomes which field of a Record: a catalog row's mapping, or one guessed by names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import msgspec

from securetag.extractors.readers.table_rows import Row, is_conversation

_COLUMN = re.compile(r"\{([^{}]+)\}")
#: Field → usual names of its column; the first that a row has, and that no field before it took, is taken.
COLUMN_NAMES = {
    "key": (
        *("id", "key", "identifier", "uid", "uuid", "cve", "cve_id", "prompt_id", "commit_link"),
        *("issue_key", "issue_id", "ticket", "ticket_id", "bug_id", "number"),
    ),
    "text": ("text", "body", "content", "markdown", "description", "details", "html", "context", "summary"),
    "title": ("title", "name", "subject", "heading", "headline", "summary", "func_name"),
    "url": ("url", "link", "href", "permalink"),
    "instruction": ("instruction", "question", "prompt", "query"),
    "response": ("response", "output", "answer", "completion", "chosen"),
    "vulnerable": ("vulnerable", "vulnerable_code", "func_src_before", "code_before", "before"),
    "fixed": ("fixed", "fixed_code", "func_src_after", "code_after", "after", "patched"),
    "language": ("language", "programming_language", "file_name", "filename"),
    "cwe": ("cwe", "cwe_id", "cwes", "vul_type", "weakness"),
}
#: Columns with the turns of a conversation: of chat messages, of ShareGPT, and of preference pairs.
_CONVERSATIONS = ("messages", "conversations", "conversation", "dialog", "chosen")
#: Columns with an answer that a person found worse: it must not be taught.
REJECTED = frozenset({"rejected", "rejected_response", "rejected_answer"})
#: Names of roles → how a turn is headed.
_ROLES = {
    "human": "User",
    "user": "User",
    "prompter": "User",
    "gpt": "Assistant",
    "assistant": "Assistant",
    "model": "Assistant",
    "bot": "Assistant",
    "chatgpt": "Assistant",
    "system": "System",
}


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The origin of a Record's fields: a column (`a.b` inside nested ones), or a template `{a}: {b}`."""

    key: str = ""
    title: str = ""
    text: str = ""
    url: str = ""
    instruction: str = ""
    #: A column with what the instruction is about, `input` of Alpaca: mostly code, so it is kept as it is.
    subject: str = ""
    response: str = ""
    vulnerable: str = ""
    fixed: str = ""
    language: str = ""
    cwe: str = ""
    #: A column with the turns of a conversation, `{role, content}` or `{from, value}`.
    conversation: str = ""
    #: A column with a list of rows; each becomes a Record with the other columns.
    each: str = ""
    kind: str = "row"
    #: Text in an instruction → template that replaces it: `"<language>": "{Language}"`.
    replace: dict[str, str] = {}
    #: Whether the text ends with the columns that no field takes.
    rest: bool = False

    def list_unmapped(self, row: Row) -> list[str]:
        """Return the columns of `row` with a value that no field is made of."""
        sources = [getattr(self, name) for name in (*COLUMN_NAMES, "subject", "conversation", "each")]
        templates = " ".join([*sources, *self.replace.values()])
        mapped = {*sources, *_COLUMN.findall(templates)}
        mapped |= {path.split(".")[0] for path in mapped}
        return [name for name, value in row.items() if name not in mapped and to_text(value)]


def guess_mapping(row: Row) -> Mapping:
    """Return a mapping by the names of the columns of a row, which keeps the others in the text."""
    plain = {re.sub(r"\W+", "_", str(name).strip().lower()): str(name) for name in row}
    turns = next(
        (plain[name] for name in _CONVERSATIONS if is_conversation(row.get(plain.get(name, "")))), ""
    )
    columns: dict[str, str] = {}
    for field, names in COLUMN_NAMES.items():
        free = (plain[name] for name in names if name in plain and plain[name] != turns)
        if column := next((column for column in free if f"{{{column}}}" not in columns.values()), None):
            columns[field] = f"{{{column}}}"
    if "vulnerable" in columns and "fixed" not in columns:
        del columns["vulnerable"]  # a flag or a score, as often as code
    if turns:
        columns.pop("response", None)  # the conversation holds the answer
        columns.pop("instruction", None)
    elif "input" in plain and "response" in columns:
        columns["subject"] = f"{{{plain['input']}}}"
    return msgspec.convert({**columns, "conversation": turns, "rest": True}, Mapping)


def expand_row(row: Row, column: str) -> Iterator[Row]:
    """Yield the rows that the list in `column` makes of a row, or the row itself where there is none."""
    inner = row.get(column) if column else None
    if not column:
        yield row
    elif isinstance(inner, list):
        yield from ({**row, **item} for item in inner if isinstance(item, dict))


def get_value(row: Row, wanted: str) -> str:
    """Return the text of a column or template; empty where the row has none."""
    if not wanted:
        return ""
    if "{" in wanted:
        return _COLUMN.sub(lambda match: to_text(_get_column(row, match[1])), wanted).strip()
    return to_text(_get_column(row, wanted))


def get_dialogue(row: Row, column: str) -> tuple[str, str, str]:
    """Return what was said before the last answer of a conversation, that answer, and what follows it.

    One question stays as it is; of several turns each is headed by who speaks.
    """
    turns = [_render_turn(turn) for turn in _list_turns(row, column)]
    last = max((number for number, (role, _) in enumerate(turns) if role == "Assistant"), default=None)
    if last is None:
        return "", "", _join(turns)
    return _join(turns[:last]), turns[last][1], _join(turns[last + 1 :])


def _list_turns(row: Row, column: str) -> list[Row]:
    value = _get_column(row, column) if column else None
    return [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []


def _render_turn(turn: Row) -> tuple[str, str]:
    role = str(turn.get("role", turn.get("from", "")))
    content = next((turn[name] for name in ("content", "value", "text") if turn.get(name)), "")
    if isinstance(content, list):  # parts, of which the texts are kept as they are
        parts = [part.get("text") or part if isinstance(part, dict) else part for part in content]
        content = "\n\n".join(to_text(part) for part in parts)
    calls = to_text(turn.get("tool_calls"))
    text = "\n\n".join(part for part in (to_text(content).strip(), calls) if part)
    return _ROLES.get(role.lower(), role.capitalize() or "Unknown"), text


def _join(turns: list[tuple[str, str]]) -> str:
    plain = [text for role, text in turns if role in ("User", "System")]
    if len(plain) == len(turns) and sum(role == "User" for role, _ in turns) <= 1:
        return "\n\n".join(text for text in plain if text)
    return "\n\n".join(f"{role}: {text}" for role, text in turns if text)


def _get_column(row: Row, path: str) -> object:
    value: object = row
    if path in row:
        return row[path]
    for step in path.split("."):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def to_text(value: object) -> str:
    """Return a cell as text: lists of plain values with commas, other structures as JSON."""
    if value is None or (isinstance(value, list | dict) and not value):
        return ""
    if isinstance(value, float) and math.isnan(value):
        return ""  # a missing value in Parquet
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)
