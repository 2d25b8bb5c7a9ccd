"""A workload as others may see it: canonical JSON without the value of any environment variable."""

from __future__ import annotations

from typing import Any

from harchos_infra.workload.document import Workload


def public_document(workload: Workload) -> dict[str, Any]:
    """Return what the document says, in camelCase and canonical quantities; defaults are left out.

    Of `env` only the names are there, `secrets` are references. Equal workloads give equal documents.
    """
    document = workload.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    spec = document["spec"]
    if "env" in spec:
        spec["env"] = [{"name": variable["name"]} for variable in spec["env"]]
    return document
