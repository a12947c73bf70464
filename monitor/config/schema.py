"""The JSON Schema of the configuration files, made of the same models that read them."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from monitor.config.sources import FILES

_FROM_VARIABLE = {"type": "string", "pattern": r"^\$\{[A-Z_][A-Z0-9_]*\}$"}


def json_schema() -> dict[str, Any]:
    """Return one JSON Schema (draft 2020-12) with a property for each file's stem and a definition for each part.

    Editors take the definition of one file: `#/$defs/Settings`, `#/$defs/FeedsFile` and so on.
    """
    wanted = [(model, "validation") for model in FILES.values()]
    _, schema = models_json_schema(wanted, by_alias=True)  # type: ignore[arg-type] # "validation" is a literal there
    definitions = {name: _tidy(definition) for name, definition in schema["$defs"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of News Monitor, by file",
        "type": "object",
        "properties": {stem: {"$ref": f"#/$defs/{model.__name__}"} for stem, model in FILES.items()},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _tidy(schema: Any) -> Any:
    """Say of a part of the schema what holds for YAML: no nulls, `${NAME}` for any value, `*_file` for any key."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # Titles repeat the keys; a default of null says "none".
    tidy = {
        key: {name: _tidy(part) for name, part in value.items()} if key == "properties" else _tidy(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    choices = [part for part in tidy.get("anyOf", ()) if part != {"type": "null"}]
    if len(choices) == 1:
        del tidy["anyOf"]
        tidy = {**choices[0], **tidy}
    elif choices:
        tidy["anyOf"] = choices
    if tidy.get("type") in ("integer", "boolean") or "enum" in tidy:
        about = {key: tidy.pop(key) for key in ("description", "default") if key in tidy}
        tidy = {**about, "anyOf": [tidy, _FROM_VARIABLE]}
    if tidy.get("type") == "object" and tidy.get("additionalProperties") is False:
        tidy["patternProperties"] = {"^.+_file$": {"type": "string"}}
    return tidy
