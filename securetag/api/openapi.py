"""The OpenAPI document: groups with descriptions, readable operation ids, an example of every answer.

The examples lie in `examples.yaml`, one for each kind of answer; a test reads each back as its kind.
"""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from pathlib import Path

import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute

from securetag.api.errors import MEDIA_TYPE
from securetag.api.schemas import describe_components
from securetag.errors import PROBLEM_TYPE
from securetag.records import JsonObject

EXAMPLES = Path(__file__).with_name("examples.yaml")
#: Group → what its calls are for, in the order in which a client meets them. `queue` is for workers alone.
TAGS = {
    "codeaudit": "Scan an archive of code.",
    "scans": "Scans of any kind: state, events, findings, exports, what the tools wrote.",
    "findings": "What is in the code, and what people say of it.",
    "suppressions": "What people have chosen not to hear of.",
    "projects": "Projects and their settings.",
    "targets": "Web applications that may be scanned, and the proof that they are yours.",
    "usage": "What a tenant has used of its quotas.",
    "tools": "How scanners, queue and workers are doing.",
    "consent": "Whether anything is learned from this tenant.",
    "erasure": "Have findings, projects or everything forgotten.",
    "audit": "Who did what. For administrators.",
    "webhooks": "Where events of the tenant are sent, signed. For administrators.",
    "keys": "API keys of the tenant. For administrators.",
    "tenants": "Tenants of the installation. An operator sees and makes all.",
    "health": "Health checks and metrics. They need no key.",
    "queue": "For workers alone: lease tasks, report on them, store what tools wrote.",
}
#: Groups of groups, for readers that know `x-tagGroups`.
GROUPS = {
    "For people and their programs": [name for name in TAGS if name not in {"queue", "health"}],
    "For workers": ["queue"],
    "For operators": ["health"],
}
_SENTENCE_END = re.compile(r"(?<=\.)\s+")
_PAGE = re.compile(r"Page_(\w+)_")


def name_operation(route: APIRoute) -> str:
    """Return the operation's id: the name of the function."""
    return route.name


def describe(app: FastAPI) -> JsonObject:
    """Return the document, made at the first call."""
    if app.openapi_schema is None:
        app.openapi_tags = [{"name": name, "description": text} for name, text in TAGS.items()]
        document = FastAPI.openapi(app)
        document["x-tagGroups"] = [{"name": name, "tags": tags} for name, tags in GROUPS.items()]
        document["components"]["schemas"] |= describe_components()
        for operations in document["paths"].values():
            for operation in operations.values():
                # FastAPI puts the function's name into the summary.
                first, *rest = _SENTENCE_END.split(operation["description"], maxsplit=1)
                operation["summary"], operation["description"] = first.rstrip("."), "".join(rest)
                for status, answer in operation["responses"].items():
                    _add_examples(int(status), answer)
    return FastAPI.openapi(app)


@cache
def load_examples() -> JsonObject:
    """Return kind of answer, or media type → an example of it."""
    examples: JsonObject = yaml.safe_load(EXAMPLES.read_text("utf-8"))
    return examples


def _add_examples(status: int, answer: JsonObject) -> None:
    for media_type, content in answer.get("content", {}).items():
        if media_type == MEDIA_TYPE:
            content.setdefault("example", _show_problem(status))
            continue
        name = str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
        example = find_example(name or media_type)
        if example is not None:
            content.setdefault("example", example)


def find_example(name: str) -> object:
    """Return the example of a kind of answer, or of a page of them; None where there is none."""
    if page := _PAGE.fullmatch(name):
        item = load_examples().get(page[1])
        return None if item is None else {"items": [item], "next_cursor": None}
    example: object = load_examples().get(name)
    return example


def _show_problem(status: int) -> JsonObject:
    slug, detail, hint = load_examples()["problems"][status]
    return {
        "type": f"{PROBLEM_TYPE}{slug}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "hint": hint,
        "instance": "/findings",
        "request_id": "01939f6e-7c1a-7d3e-8f00-2b6f0c1d9a11",
    }
