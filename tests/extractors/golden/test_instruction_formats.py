"""Five Records of each form of instruction data, read off the rows: Alpaca, ShareGPT, chat messages."""

from __future__ import annotations

import json

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.folder import FolderReader
from securetag.records import Record

#: A row → the question and the answer of its Record, and what of its text comes after them.
Case = tuple[dict[str, object], str, str, str]

ALPACA: list[Case] = [
    (
        {"instruction": "Name a port of HTTPS.", "input": "", "output": "443."},
        "Name a port of HTTPS.",
        "443.",
        "",
    ),
    (
        {"instruction": "Is this call safe?", "input": "os.system('ls ' + name)", "output": "No: name runs."},
        "Is this call safe?\n\nos.system('ls ' + name)",
        "No: name runs.",
        "",
    ),
    (
        {"instruction": "¿Qué es una sal?", "output": "Un valor que se añade a la clave.", "input": None},
        "¿Qué es una sal?",
        "Un valor que se añade a la clave.",
        "",
    ),
    (
        {"instruction": "Explain.", "input": "line 1\n\n    line 2 <b>&amp;</b>", "output": "Two\nlines."},
        "Explain.\n\nline 1\n\n    line 2 <b>&amp;</b>",
        "Two\nlines.",
        "",
    ),
    (
        {
            "instruction": "List two headers.",
            "input": "",
            "output": "CSP and HSTS.",
            "topic": ["http", "web"],
        },
        "List two headers.",
        "CSP and HSTS.",
        "\n\n- **topic**: http, web",
    ),
]


def share(*turns: tuple[str, str], **others: object) -> dict[str, object]:
    return {"conversations": [{"from": role, "value": text} for role, text in turns], **others}


def chat(*turns: tuple[str, str], **others: object) -> dict[str, object]:
    return {"messages": [{"role": role, "content": text} for role, text in turns], **others}


SHAREGPT: list[Case] = [
    (
        share(("human", "What is a nonce?"), ("gpt", "A number used once.")),
        "What is a nonce?",
        "A number used once.",
        "",
    ),
    (
        share(("system", "Answer in one word."), ("human", "Hash for passwords?"), ("gpt", "Argon2id.")),
        "Answer in one word.\n\nHash for passwords?",
        "Argon2id.",
        "",
    ),
    (
        share(("human", "Is MD5 fine?"), ("gpt", "No."), ("human", "Why?"), ("gpt", "Collisions are cheap.")),
        "User: Is MD5 fine?\n\nAssistant: No.\n\nUser: Why?",
        "Collisions are cheap.",
        "",
    ),
    (
        share(("human", "Show a query."), ("gpt", "```sql\nSELECT 1;\n```"), id="q-4"),
        "Show a query.",
        "```sql\nSELECT 1;\n```",
        "",
    ),
    (
        share(("human", "Is a salt secret?"), ("gpt", "It isn't."), ("human", "Thanks!"), source="forum"),
        "Is a salt secret?",
        "It isn't.",
        "\n\nThanks!\n\n- **source**: forum",
    ),
]
MESSAGES: list[Case] = [
    (
        chat(("user", "What is CSRF?"), ("assistant", "A forged request.")),
        "What is CSRF?",
        "A forged request.",
        "",
    ),
    (
        chat(("system", "Be brief."), ("user", "And XSS?"), ("assistant", "Script of another.")),
        "Be brief.\n\nAnd XSS?",
        "Script of another.",
        "",
    ),
    (
        chat(
            ("user", "Review f."),
            ("assistant", "Which f?"),
            ("user", "The one of a.py."),
            ("assistant", "It joins paths."),
            ("user", "So?"),
            ("assistant", "Names with .. leave the folder."),
        ),
        "User: Review f.\n\nAssistant: Which f?\n\n"
        "User: The one of a.py.\n\nAssistant: It joins paths.\n\nUser: So?",
        "Names with .. leave the folder.",
        "",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Read"}, {"type": "text", "text": "this."}],
                },
                {"role": "assistant", "content": "Read."},
            ]
        },
        "Read\n\nthis.",
        "Read.",
        "",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": "Look the advisory up."},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}
                    ],
                },
                {"role": "tool", "content": "It is fixed in 2.0."},
                {"role": "assistant", "content": "Version 2.0 mends it."},
            ]
        },
        "User: Look the advisory up.\n\nAssistant:"
        ' [{"type":"function","function":{"name":"find","arguments":"{\\"id\\": 7}"}}]\n\n'
        "Tool: It is fixed in 2.0.",
        "Version 2.0 mends it.",
        "",
    ),
]
KINDS = {"alpaca": ALPACA, "sharegpt": SHAREGPT, "messages": MESSAGES}


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows(kind: str, ending: str, make_source: MakeSource, make_file: MakeFile) -> None:
    cases = KINDS[kind]
    rows = [row for row, *_ in cases]
    content = json.dumps(rows) if ending == "json" else "\n".join(map(json.dumps, rows))
    items = list(FolderReader(make_source(reader="folder")).read([make_file(f"rows.{ending}", content)]))
    assert len(items) == len(cases)
    for item, (_, question, answer, rest) in zip(items, cases, strict=True):
        assert isinstance(item, Record)
        assert (item.facts.instruction, item.facts.response) == (question, answer)
        assert item.text == f"{question}\n\n{answer}{rest}"
