"""Quotas of EC2 that limit GPU machines, counted in vCPUs, and how much of each is taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from harchos_infra.catalog.live import Quota
from harchos_infra.catalog.offer import Market
from harchos_infra.clouds.aws_session import AwsSession


class GpuQuota(NamedTuple):
    """A quota by its code in Service Quotas; `covers` are beginnings of names of instance types."""

    code: str
    name: str
    market: Market
    covers: tuple[str, ...]


GPU_QUOTAS = (
    GpuQuota("L-DB2E81BA", "Running On-Demand G and VT instances", "on-demand", ("g",)),
    GpuQuota("L-417A185B", "Running On-Demand P instances", "on-demand", ("p",)),
    GpuQuota("L-3819A6DF", "All G and VT Spot Instance Requests", "spot", ("g",)),
    GpuQuota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", "spot", ("p4", "p3", "p2")),
    GpuQuota("L-C4BD4855", "All P5 Spot Instance Requests", "spot", ("p5",)),
)
"""P6 on the spot market has no quota that is known here: nothing is said of it."""
_VPCS = "L-F678F1CE"
"""VPCs per Region: each hub has one of its own."""


def gpu_quotas(session: AwsSession, region: str) -> list[Quota]:
    """Return the quotas of a region that limit GPU hubs: the applied value, else AWS's default for it."""
    limits = _limits(session, region, "ec2", [quota.code for quota in GPU_QUOTAS])
    used = _used_vcpus(session, region)
    vpcs = [
        Quota(region, "VPCs per Region", code, ("g", "p"), None, "hub", limit, _used_vpcs(session, region))
        for code, limit in _limits(session, region, "vpc", [_VPCS]).items()
    ]
    return vpcs + [
        Quota(
            region,
            quota.name,
            quota.code,
            quota.covers,
            quota.market,
            "vcpu",
            limits[quota.code],
            sum(
                vcpus
                for (name, market), vcpus in used.items()
                if market == quota.market and name.startswith(quota.covers)
            ),
        )
        for quota in GPU_QUOTAS
        if quota.code in limits
    ]


def _limits(session: AwsSession, region: str, service: str, codes: Sequence[str]) -> dict[str, float]:
    """Return the limits of those of a service's quotas that AWS tells."""
    limits: dict[str, float] = {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        if all(code in limits for code in codes):
            break
        for item in session.items("service-quotas", region, operation, "Quotas", ServiceCode=service):
            if item["QuotaCode"] in codes:
                limits.setdefault(str(item["QuotaCode"]), float(item["Value"]))
    return limits


def _used_vpcs(session: AwsSession, region: str) -> float:
    return float(len(session.items("ec2", region, "describe_vpcs", "Vpcs")))


def _used_vcpus(session: AwsSession, region: str) -> dict[tuple[str, Market], float]:
    """Return the vCPUs of every running G and P machine of the account, ours or not, by type and market."""
    count: dict[tuple[str, Market], int] = defaultdict(int)
    for reservation in session.items(
        "ec2",
        region,
        "describe_instances",
        "Reservations",
        Filters=[
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
            {"Name": "instance-type", "Values": ["g*", "p*"]},
        ],
    ):
        for instance in reservation["Instances"]:
            market: Market = "spot" if instance.get("InstanceLifecycle") == "spot" else "on-demand"
            count[instance["InstanceType"], market] += 1
    if not count:
        return {}
    names = sorted({name for name, _ in count})
    types = session.items("ec2", region, "describe_instance_types", "InstanceTypes", InstanceTypes=names)
    vcpus = {item["InstanceType"]: int(item["VCpuInfo"]["DefaultVCpus"]) for item in types}
    return {key: float(machines * vcpus[key[0]]) for key, machines in count.items()}
