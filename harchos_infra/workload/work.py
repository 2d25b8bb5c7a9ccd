"""What a workload does, apart from when, where and for how much: runs of the same work can be compared."""

from __future__ import annotations

import json
from hashlib import sha256

from harchos_infra.workload.document import Workload
from harchos_infra.workload.public import public_document

_WISHES = frozenset(
    {
        "deadline", "earliestStart", "duration", "utilization", "placement", "objective",
        "carbonPrice", "budget", "ttl", "interruptible", "schedule",
    }
)  # fmt: skip
"""Fields that say when, where and for how much: changing them leaves the work as it is."""


def work_sha256(workload: Workload) -> str:
    """Return the sha256 of everything that the document says about the job itself.

    Not seen are values of environment variables and the content of `workdir` and image.
    """
    spec = public_document(workload)["spec"]
    work = {key: value for key, value in spec.items() if key not in _WISHES}
    return sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
