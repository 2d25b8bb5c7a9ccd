"""The genuine schemas, reduced to the types that the modules need (see schemas/README.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROVIDERS = ("aws", "google", "azurerm")

Json = dict[str, Any]
AttributePath = tuple[str, ...]
Change = Callable[[AttributePath, Json, Any], Any]
"""From the path of an attribute (`("root_block_device", "volume_id")`), its schema and value to a value."""


@dataclass(frozen=True)
class ProviderSchema:
    """One provider: its name, its registry address and its schemas by type, in Terraform's own JSON."""

    name: str
    address: str
    configuration: Json
    resources: dict[str, Json]
    data_sources: dict[str, Json]


@cache
def load(provider: str) -> ProviderSchema:
    """Read the schemas of `aws`, `google` or `azurerm`."""
    file = Path(__file__).with_name("schemas") / f"{provider}.json"
    ((address, schemas),) = json.loads(file.read_text())["provider_schemas"].items()
    return ProviderSchema(
        name=provider,
        address=address,
        configuration=schemas["provider"],
        resources=schemas["resource_schemas"],
        data_sources=schemas["data_source_schemas"],
    )


def mapped(block: Json, value: Any, change: Change, path: AttributePath = ()) -> Any:
    """Return a value of a block with `change` made to each attribute, in the blocks within it too.

    What is not a mapping (null, or not known yet) is returned as it is.
    """
    if not isinstance(value, dict):
        return value
    result = dict(value)
    for name, attribute in block.get("attributes", {}).items():
        result[name] = change((*path, name), attribute, value.get(name))
    for name, nested in block.get("block_types", {}).items():
        inner, inner_path, held = nested["block"], (*path, name), value.get(name)
        if isinstance(held, list):
            result[name] = [mapped(inner, each, change, inner_path) for each in held]
        elif isinstance(held, dict) and nested["nesting_mode"] == "map":
            result[name] = {key: mapped(inner, each, change, inner_path) for key, each in held.items()}
        else:
            result[name] = mapped(inner, held, change, inner_path)
    return result
