"""Bases and field types of what is sent over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T", bound=BaseModel)


class Wire(BaseModel):
    """Base: unknown fields are refused, so that a typo is an error and not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


#: RFC 3339 in UTC with `Z`, whatever zone the database session speaks.
Time = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


def _in_future(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise ValueError("the time has passed already")
    return moment


#: When something that is made now ends.
Expiry = Annotated[AwareDatetime, AfterValidator(_in_future)]


def _no_nul(value: object) -> object:
    # PostgreSQL's text can't hold U+0000; a name or comment has no use for it either.
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("the text holds a NUL character")
    return value


#: Text of a client that ends in a text column.
Text = Annotated[str, BeforeValidator(_no_nul)]
#: A name: one line of 1 to 200 characters.
Name = Annotated[
    str,
    BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
]


class Body(BaseModel):
    """Base of request bodies: an unknown field is an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """Base of answers; read from database rows by attribute."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` is null on the last."""

    items: Sequence[T]
    next_cursor: UUID | None = None


class _AsJson:
    """Has pydantic read and write a msgspec struct of `securetag.records`, so that it is defined once."""

    def __get_pydantic_core_schema__(
        self, source: type[msgspec.Struct], _: GetCoreSchemaHandler
    ) -> CoreSchema:
        def convert(value: object) -> object:
            if isinstance(value, Mapping) and (unknown := value.keys() - set(source.__struct_fields__)):
                raise ValueError(f"unknown fields: {', '.join(sorted(map(str, unknown)))}")
            try:
                return value if isinstance(value, source) else msgspec.convert(value, source)
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error

        return core_schema.no_info_plain_validator_function(
            convert,
            serialization=core_schema.plain_serializer_function_ser_schema(msgspec.to_builtins),
            metadata={"struct": source},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchemaValue:
        document = msgspec.json.schema(schema["metadata"]["struct"])
        described: JsonSchemaValue = _inline(document, document["$defs"])
        return described


def _inline(node: object, definitions: Mapping[str, JsonSchemaValue]) -> Any:
    """Return a JSON schema with each `$ref` replaced by what it refers to; none refers to itself."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if reference is not None:
        node = {**definitions[reference.rsplit("/", 1)[1]], **{k: v for k, v in node.items() if k != "$ref"}}
    # A tuple's `items: false` says no more than its `maxItems`, and generators of clients can't read it.
    left_out = {"$defs", *(["items"] if node.get("items") is False and "maxItems" in node else [])}
    return {name: _inline(value, definitions) for name, value in node.items() if name not in left_out}


#: `Annotated[Finding, AS_JSON]`: a field of a pydantic model that holds a struct.
AS_JSON = _AsJson()
