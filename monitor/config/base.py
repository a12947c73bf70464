"""What all models of the configuration have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from monitor.config.values import wrong
from monitor.config.yamlfile import EMPTY

KEY = "<name>"  # under which `load` adds a declared thing's own name to its keys; no YAML key is called so


class Part(BaseModel):
    """A frozen piece of the configuration: made from YAML under the keys of the files, from code under its own names.

    The two differ where a key says `name` or `from`; the alias is the key of the file.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: Any) -> Any:
        if value is EMPTY:
            return {}
        if isinstance(value, str | list):
            # Its text is not shown: it may be a secret in the wrong place.
            kind = "text" if isinstance(value, str) else "a list"
            fix = "indent its keys below it; see docs/reference/configuration.md"
            raise wrong(f"must be a mapping (`key: value`), not {kind}", fix)
        return value
