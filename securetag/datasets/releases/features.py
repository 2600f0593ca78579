"""The columns of a release's rows, as Hugging Face's dataset card declares them.

`datasets.load_dataset` otherwise infers a column's type from the first file, so that a column which is
null throughout train and a string in test can't be loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import inspect

from securetag.records import Example, JsonObject, Origin

if TYPE_CHECKING:
    import pyarrow as pa

#: The fields of `Origin` that rows show (`release.as_published`); the others would be columns of nulls.
SHOWN_OF_ORIGIN = ("record_id",)
_DTYPES: dict[type[inspect.Type], str] = {
    inspect.StrType: "string",
    inspect.LiteralType: "string",
    inspect.EnumType: "string",
    inspect.IntType: "int64",
    inspect.BoolType: "bool",
    inspect.FloatType: "float64",
}


def list_features() -> list[JsonObject]:
    """Return `dataset_info.features` of the card: one entry a field of `Example`, in its order.

    Form: https://huggingface.co/docs/datasets/about_dataset_features, as YAML in a card's header.
    """
    return _columns(Example)


def make_arrow_schema() -> pa.Schema:
    """Return the Arrow schema of the same columns."""
    import pyarrow as pa

    return pa.schema([pa.field(column["name"], _arrow_type(column)) for column in list_features()])


def _arrow_type(feature: JsonObject) -> pa.DataType:
    import pyarrow as pa

    if "list" in feature:
        item = feature["list"]
        return pa.list_(_arrow_type({"struct": item} if isinstance(item, list) else {"dtype": item}))
    if "struct" in feature:
        return pa.struct([pa.field(column["name"], _arrow_type(column)) for column in feature["struct"]])
    return pa.type_for_alias(feature["dtype"])


def _columns(struct: type[msgspec.Struct]) -> list[JsonObject]:
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return [
        {"name": field.encode_name, **_feature(field.type)}
        for field in described.fields
        if struct is not Origin or field.name in SHOWN_OF_ORIGIN
    ]


def _feature(kind: inspect.Type) -> JsonObject:
    if isinstance(kind, inspect.Metadata):
        return _feature(kind.type)
    if isinstance(kind, inspect.UnionType):
        # Every Arrow column may be null.
        (kind,) = (member for member in kind.types if not isinstance(member, inspect.NoneType))
        return _feature(kind)
    if isinstance(kind, inspect.ListType):
        item = _feature(kind.item_type)
        return {"list": item.get("struct") or item["dtype"]}
    if isinstance(kind, inspect.StructType):
        return {"struct": _columns(kind.cls)}
    return {"dtype": _DTYPES[type(kind)]}
