"""`harchos schema`: the JSON Schema of documents, for editors."""

from __future__ import annotations

from enum import StrEnum

import typer

from harchos_infra.cli.output import print_json


class Document(StrEnum):
    """A kind of document."""

    WORKLOAD = "workload"
    POLICY = "policy"


def schema(
    document: Document = typer.Argument(Document.WORKLOAD, help="Which kind of document."),
) -> None:
    """Print the JSON Schema of workload or policy documents (draft 2020-12), for editors and CI."""
    if document is Document.POLICY:
        from harchos_infra.policy import json_schema as policy

        print_json(policy.json_schema())
        return
    from harchos_infra.workload.json_schema import json_schema

    print_json(json_schema())
