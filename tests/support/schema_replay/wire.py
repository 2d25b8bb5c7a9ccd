"""Plugin protocol 6 on the wire: messages out of tfplugin6.proto, values in MessagePack."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import grpc
import msgpack

from support.schema_replay.schemas import Json, ProviderSchema

pb, services = grpc.protos_and_services("support/schema_replay/tfplugin6.proto")

UNKNOWN = msgpack.ExtType(0, b"\x00")
"""A value that is known only after apply."""
_BLOCK_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}


def is_unknown(value: Any) -> bool:
    """Return whether a value is not known yet; Terraform may say more of such a value, which is not used."""
    return isinstance(value, msgpack.ExtType)


def decode(value: Any) -> Any:
    """Return what a DynamicValue holds."""
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False, ext_hook=msgpack.ExtType)
    return json.loads(value.json or b"null")


def encode(value: Any) -> Any:
    """Return a DynamicValue."""
    return pb.DynamicValue(msgpack=msgpack.packb(value, use_bin_type=True))


def attribute_path(steps: Iterable[str | int]) -> Any:
    """Return an AttributePath: names of attributes and blocks, indexes into lists."""
    step = pb.AttributePath.Step
    return pb.AttributePath(
        steps=[step(element_key_int=s) if isinstance(s, int) else step(attribute_name=s) for s in steps]
    )


def error(summary: str, detail: str = "", steps: Iterable[str | int] = ()) -> Any:
    """Return an error as a Diagnostic."""
    return pb.Diagnostic(severity=1, summary=summary, detail=detail, attribute=attribute_path(steps))


def metadata(provider: ProviderSchema) -> Any:
    """Return the answer to GetMetadata."""
    return pb.GetMetadata.Response(
        server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
        resources=[pb.GetMetadata.TypeName(type_name=name) for name in provider.resources],
        data_sources=[pb.GetMetadata.TypeName(type_name=name) for name in provider.data_sources],
    )


def provider_schema(provider: ProviderSchema) -> Any:
    """Return the answer to GetProviderSchema."""
    answer = pb.GetProviderSchema.Response(
        provider=_schema(provider.configuration),
        server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
    )
    for name, schema in provider.resources.items():
        answer.resource_schemas[name].CopyFrom(_schema(schema))
    for name, schema in provider.data_sources.items():
        answer.data_source_schemas[name].CopyFrom(_schema(schema))
    return answer


def _schema(schema: Json) -> Any:
    return pb.Schema(version=schema["version"], block=_block(schema["block"]))


def _block(block: Json) -> Any:
    return pb.Schema.Block(
        attributes=[_attribute(name, attribute) for name, attribute in block.get("attributes", {}).items()],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=_block(nested["block"]),
                nesting=_BLOCK_NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in block.get("block_types", {}).items()
        ],
        deprecated=block.get("deprecated", False),
    )


def _attribute(name: str, attribute: Json) -> Any:
    flags = ("required", "optional", "computed", "sensitive", "deprecated", "write_only")
    return pb.Schema.Attribute(
        name=name,
        type=json.dumps(attribute["type"]).encode(),
        **{flag: attribute.get(flag, False) for flag in flags},
    )
