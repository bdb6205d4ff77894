"""JSON Schema of the settings file, with which editors complete and check it while somebody writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from appliance.sections import Shape, leaves
from appliance.settings import Settings


def json_schema(plugin_models: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the settings file with these plugins."""
    roots: list[type[BaseModel]] = [Settings, *(plugin_models[name] for name in sorted(plugin_models))]
    sections = list(dict.fromkeys(section for root in roots for section in _sections(root)))
    references, document = models_json_schema([(section, "validation") for section in sections])
    definitions = document["$defs"]
    names = {section: references[section, "validation"]["$ref"].rpartition("/")[2] for section in sections}
    for section in sections:
        _allow_nothing(definitions[names[section]]["properties"], section)
    core = definitions.pop(names[Settings])
    core["properties"]["plugins"] = _plugins(core["properties"]["plugins"], plugin_models, names)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **core, "$defs": definitions}


def _plugins(
    schema: Mapping[str, Any], models: Mapping[str, type[BaseModel]], names: Mapping[type[BaseModel], str]
) -> dict[str, Any]:
    """The section of the plugins: only these, each with its own settings or with nothing."""
    named = sorted(models.items())
    sections = {name: _or_nothing({"$ref": f"#/$defs/{names[model]}"}) for name, model in named}
    kept = {key: schema[key] for key in ("title", "description")}
    return {**kept, "type": ["object", "null"], "properties": sections, "additionalProperties": False}


def _sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        section = Shape.of_field(field).section
        if section is not None:
            yield from _sections(section)


def _allow_nothing(properties: dict[str, Any], section: type[BaseModel]) -> None:
    """Sections and lists may be named with nothing below them."""
    lists = {leaf.keys[0] for leaf in leaves(section) if len(leaf.keys) == 1 and leaf.collection}
    for name, field in section.model_fields.items():
        if name in lists or Shape.of_field(field).section is not None:
            properties[name] = _or_nothing(properties[name])


def _or_nothing(schema: Mapping[str, Any]) -> dict[str, Any]:
    about = ("title", "description", "default")
    kept = {key: schema[key] for key in about if key in schema}
    return {**kept, "anyOf": [{key: schema[key] for key in schema if key not in about}, {"type": "null"}]}
