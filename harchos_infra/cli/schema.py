"""`harchos schema`: the JSON Schema of workload documents, for editors."""

from __future__ import annotations

from harchos_infra.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of workload documents (draft 2020-12), for editors and CI."""
    from harchos_infra.workload.json_schema import json_schema

    print_json(json_schema())
