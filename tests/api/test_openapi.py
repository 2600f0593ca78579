"""The OpenAPI document: valid, in described groups, every answer with an example of its kind."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from openapi_spec_validator import validate
from pydantic import TypeAdapter

from securetag.api import openapi
from securetag.api.app import create_app
from securetag.api.errors import MEDIA_TYPE, Problem
from securetag.api.nouns import NOUNS
from securetag.records import JsonObject
from securetag.settings import Settings


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings())


@pytest.fixture(scope="module")
def operations(app: FastAPI) -> dict[str, JsonObject]:
    """`GET /path` → operation."""
    paths = app.openapi()["paths"]
    return {
        f"{method.upper()} {path}": op for path, methods in paths.items() for method, op in methods.items()
    }


def test_the_document_is_valid(app: FastAPI) -> None:
    validate(app.openapi())


def test_every_reference_is_to_a_component(app: FastAPI) -> None:
    document = app.openapi()
    references = set(re.findall(r"'\$ref': '([^']+)'", str(document)))
    components = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references - components == set()
    assert "#/components/schemas/Problem" in references


def test_every_operation_is_in_one_described_group(app: FastAPI, operations: dict[str, JsonObject]) -> None:
    described = {tag["name"]: tag["description"] for tag in app.openapi()["tags"]}
    assert all(described.values())
    used = {name: operation["tags"] for name, operation in operations.items()}
    assert all(len(tags) == 1 for tags in used.values()), used
    assert {tag for (tag,) in used.values()} == described.keys()
    grouped = [tag for group in app.openapi()["x-tagGroups"] for tag in group["tags"]]
    assert sorted(grouped) == sorted(described)
    workers = {name for name, (tag,) in used.items() if tag == "queue"}
    assert workers == {name for name in operations if " /queue/" in name}


def test_every_operation_has_a_readable_name_of_its_own(operations: dict[str, JsonObject]) -> None:
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    for name, operation in operations.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"]), name
        assert operation["summary"], name


def test_every_answer_has_an_example(operations: dict[str, JsonObject]) -> None:
    for name, operation in operations.items():
        for status, answer in operation["responses"].items():
            contents = answer.get("content", {})
            assert contents or status == "204", f"{name} {status} says nothing of its body"
            for media_type, content in contents.items():
                assert content.get("example") not in (None, ""), f"{name} {status} {media_type}"
                assert content.get("schema"), f"{name} {status} {media_type}"


def test_every_example_is_of_its_kind(operations: dict[str, JsonObject]) -> None:
    checked = set()
    for route in [route for noun in NOUNS.names() for route in NOUNS.get(noun).routes]:
        if isinstance(route, APIRoute) and route.include_in_schema and route.response_model is not None:
            (method,) = route.methods
            answer = operations[f"{method} {route.path_format}"]["responses"][str(route.status_code or 200)]
            example = answer["content"]["application/json"]["example"]
            # An answer ignores fields that it doesn't know: what is read back must be what was written.
            read = TypeAdapter(route.response_model).validate_python(example)
            written = TypeAdapter(route.response_model).dump_python(read, mode="json", exclude_unset=True)
            assert set(written) == set(example), route.name
            checked.add(route.name)
    assert len(checked) > 30
    for operation in operations.values():
        for status, answer in operation["responses"].items():
            if problem := answer.get("content", {}).get(MEDIA_TYPE):
                assert Problem.model_validate(problem["example"]).status == int(status)


def test_no_example_is_left_over(operations: dict[str, JsonObject]) -> None:
    text = str([answer for operation in operations.values() for answer in operation["responses"].values()])
    kinds = {name for name in openapi.load_examples() if name[0].isupper() and not name.endswith("Answer")}
    assert not [name for name in kinds if f"schemas/{name}'" not in text]
