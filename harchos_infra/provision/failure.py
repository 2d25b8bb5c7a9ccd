"""Why a hub could not be made: what went wrong, where, what to do next, and whether another place may do."""

from __future__ import annotations

from typing import Literal

from harchos_infra.errors import HarchosError
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.refusals import REFUSALS, Refusal

Code = Literal[
    "capacity",
    "quota",
    "permission",
    "credentials",
    "region",
    "image",
    "price",
    "user-data",
    "state-locked",
    "timeout",
    "crash",
    "agent",
    "bucket",
    "other",
]


_OF_STORES = ("credentials", "bucket", "permission")


class ProvisionError(HarchosError):
    """A hub could not be made. `elsewhere`: another candidate of the plan may still work."""

    def __init__(self, what: str, *, hint: str | None, code: Code, elsewhere: bool) -> None:
        super().__init__(what, hint=hint)
        self.code = code
        self.elsewhere = elsewhere


def provision_error(error: HarchosError, spec: HubSpec) -> ProvisionError:
    """Return an error with its cause recognised, its place named, and what was said by Terraform kept.

    What is not recognised keeps its words, with the code `other`.
    """
    refusal, said = _recognise(error.what, spec)
    if refusal is None:
        return ProvisionError(error.what, hint=error.hint, code="other", elsewhere=spec.cloud != "local")
    words = {"machine": _machine(spec), "region": spec.region, "type": spec.instance_type, "said": said}
    return ProvisionError(
        f"{spec.cloud}/{spec.region}: {refusal.what.format(**words)}\n  {error.what}",
        hint=refusal.hint.format(**words, cloud=spec.cloud, workspace=spec.workspace),
        code=refusal.code,
        elsewhere=refusal.elsewhere,
    )


def _recognise(text: str, spec: HubSpec) -> tuple[Refusal | None, str]:
    """Return the first refusal that a text is, and what it names: a permission, a quota, a holder.

    Those of its own cloud come first; the store of the states may be another cloud's.
    """
    own = [refusal for refusal in REFUSALS if refusal.cloud in (None, spec.cloud)]
    of_stores = [refusal for refusal in REFUSALS if refusal not in own and refusal.code in _OF_STORES]
    for refusal in (*own, *of_stores):
        match = refusal.pattern.search(text)
        if match:
            return refusal, next(filter(None, match.groups()), match.group(0))
    return None, ""


def _machine(spec: HubSpec) -> str:
    nodes = f"{spec.nodes} x " if spec.nodes > 1 else ""
    zone = f" in {spec.availability_zone}" if spec.availability_zone else ""
    return f"{nodes}{spec.instance_type} ({spec.market}){zone}"
