"""Schemas that the OpenAPI document names beside those of FastAPI's own: one component for each model."""

from __future__ import annotations

from pydantic import BaseModel

from securetag.records import JsonObject

_COMPONENTS = "#/components/schemas/"
_models: dict[str, type[BaseModel]] = {}


def refer_to(model: type[BaseModel]) -> JsonObject:
    """Return the reference to a model's component, which the document gets."""
    _models[model.__name__] = model
    return {"$ref": f"{_COMPONENTS}{model.__name__}"}


def describe_components() -> JsonObject:
    """Return name → schema of every model that was referred to, and of what these consist of."""
    components: JsonObject = {}
    for name, model in _models.items():
        schema = model.model_json_schema(ref_template=f"{_COMPONENTS}{{model}}")
        components |= {**schema.pop("$defs", {}), name: schema}
    return components
