"""What hubs on AWS need of an account: credentials, regions, a mailbox, permissions, quotas."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harchos_infra.catalog.live import Quota
from harchos_infra.clouds.aws_quotas import gpu_quotas
from harchos_infra.clouds.aws_session import AwsError, AwsSession
from harchos_infra.clouds.cloud import Finding
from harchos_infra.settings import Settings
from harchos_infra.share import share_directory

_SIMULATED_AT_ONCE = 50


def policy_file() -> Path:
    """Return the least policy of whoever runs `harchos` against AWS."""
    return share_directory("configs") / "iam" / "aws-controller-policy.json"


def check(
    session: AwsSession, identity: Callable[[], str], regions: Callable[[], Sequence[str]]
) -> list[Finding]:
    """Return every finding; without credentials there is one."""
    try:
        account, _, arn = identity().partition(" ")
    except AwsError as error:
        return [Finding("credentials", False, error.what, error.hint)]
    found = [Finding("credentials", True, f"account {account}, {arn}")]
    if arn.endswith(":root"):
        hint = "use a role with the least policy instead: docs/clouds/aws.md"
        found.append(Finding("credentials", False, "they are the account's root user", hint, required=False))
    bucket, prefix = _mailbox()
    found += _check_mailbox(session, bucket, prefix)
    found += _check_permissions(session, account, arn, bucket)
    try:
        enabled = regions()
    except AwsError as error:
        return [*found, Finding("regions", False, error.what, error.hint)]
    return [
        *found,
        Finding("regions", bool(enabled), f"{len(enabled)} enabled"),
        *_check_quotas(session, enabled),
    ]


def _mailbox() -> tuple[str, str]:
    """Return bucket and prefix of the setting; empty where it is not set."""
    bucket, _, prefix = (Settings.load().aws_mailbox or "").removeprefix("s3://").partition("/")
    return bucket, prefix.strip("/")


def _check_mailbox(session: AwsSession, bucket: str, prefix: str) -> Iterator[Finding]:
    if not bucket:
        hint = "harchos config set aws.mailbox s3://BUCKET/PREFIX"
        yield Finding("mailbox", False, "no bucket is set for hubs to write to", hint)
        return
    region = session.home_region
    key = f"{prefix}/harchos-doctor".lstrip("/")
    try:
        answer = session.call("s3", region, "head_bucket", Bucket=bucket)
        session.call("s3", region, "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
        session.call("s3", region, "put_object", Bucket=bucket, Key=key, Body=b"")
        session.call("s3", region, "delete_object", Bucket=bucket, Key=key)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            hint = f"make it: aws s3 mb s3://{bucket}; or name another: harchos config set aws.mailbox s3://…"
            yield Finding("mailbox", False, f"there is no bucket {bucket}", hint)
        else:
            yield Finding("mailbox", False, f"bucket {bucket}: {error.what}", error.hint)
        return
    where = answer.get("BucketRegion") or region
    yield Finding("mailbox", True, f"s3://{bucket} in {where}: listed, written and deleted an object")


def _check_permissions(session: AwsSession, account: str, arn: str, bucket: str) -> Iterator[Finding]:
    """Ask IAM whether it would allow what each statement of the least policy grants."""
    file = policy_file()
    if arn.endswith(":root"):
        return
    try:
        principal = _principal(session, arn)
        denied: set[str] = set()
        asked: set[str] = set()
        for statement in json.loads(file.read_text(encoding="utf-8"))["Statement"]:
            names = [name for name in _listed(statement["Action"]) if "*" not in name]
            asked |= set(names)
            denied |= _denied(session, principal, names, statement, account, bucket)
    except AwsError as error:
        hint = "grant iam:SimulatePrincipalPolicy on yourself to have them checked"
        yield Finding("permissions", False, f"not checked: {error.what}", hint, required=False)
        return
    if denied:
        missing = ", ".join(sorted(denied))
        hint = f"the least policy that grants them, with your bucket in place of BUCKET: {file}"
        yield Finding("permissions", False, f"missing {len(denied)} of {len(asked)}: {missing}", hint)
    else:
        yield Finding("permissions", True, f"all {len(asked)} that hubs need")


def _denied(
    session: AwsSession,
    principal: str,
    names: Sequence[str],
    statement: Mapping[str, Any],
    account: str,
    bucket: str,
) -> set[str]:
    """Return which of a statement's actions IAM would allow on nothing that the statement names."""
    allowed: set[str] = set()
    region = session.home_region
    resources = [_example(arn, region, account, bucket) for arn in _listed(statement.get("Resource", "*"))]
    for start in range(0, len(names), _SIMULATED_AT_ONCE):
        for result in session.items(
            "iam",
            region,
            "simulate_principal_policy",
            "EvaluationResults",
            PolicySourceArn=principal,
            ActionNames=list(names[start : start + _SIMULATED_AT_ONCE]),
            ResourceArns=resources,
            ContextEntries=_context(statement.get("Condition", {})),
        ):
            if result["EvalDecision"] == "allowed":
                allowed.add(str(result["EvalActionName"]))
    return set(names) - allowed


def _context(condition: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a request that meets a statement's condition."""
    met: dict[str, list[str]] = {}
    for operator, keys in condition.items():
        for key, value in keys.items():
            wanted = (
                ["doctor"]
                if operator == "Null"
                else [v.replace("?*", "doctor").replace("*", "doctor") for v in _listed(value)]
            )
            met.setdefault(key, wanted)
    return [
        {"ContextKeyName": key, "ContextKeyValues": values, "ContextKeyType": "string"}
        for key, values in met.items()
    ]


def _example(arn: str, region: str, account: str, bucket: str) -> str:
    """Return an ARN that a pattern of the policy matches; `BUCKET` there is the mailbox's."""
    if arn == "*":
        return arn
    parts = arn.replace("BUCKET", bucket or "doctor").split(":", 5)
    where = [own if part == "*" else part for part, own in zip(parts[3:5], (region, account), strict=True)]
    return ":".join([*parts[:3], *where, parts[5].replace("*", "doctor")])


def _principal(session: AwsSession, arn: str) -> str:
    """Return the ARN that IAM simulates: of an assumed role, the role's, whose path only IAM knows."""
    kind = arn.split(":", 5)[-1]
    if not kind.startswith("assumed-role/"):
        return arn
    name = kind.split("/")[1]
    answer = session.call("iam", session.home_region, "get_role", RoleName=name)
    return str(answer["Role"]["Arn"])


def _check_quotas(session: AwsSession, regions: Sequence[str]) -> Iterator[Finding]:
    try:
        listed = session.each_region(regions, lambda region: gpu_quotas(session, region))
    except AwsError as error:
        yield Finding("quota", False, f"not checked: {error.what}", error.hint, required=False)
        return
    by_code: dict[str, list[Quota]] = defaultdict(list)
    for quotas in listed:
        for quota in quotas:
            by_code[quota.code].append(quota)
    machines = {code: q for code, q in by_code.items() if q[0].unit == "vcpu"}
    if not any(quota.limit > 0 for quotas in machines.values() for quota in quotas):
        yield Finding(
            "quota",
            False,
            f"no vCPU for GPU machines in any of {len(regions)} regions: that is where accounts begin",
            _request(next(iter(machines), "L-DB2E81BA"), "ec2", regions[0] if regions else "REGION"),
        )
    for code, quotas in by_code.items():
        yield _of_quota(code, quotas)


def _of_quota(code: str, quotas: Sequence[Quota]) -> Finding:
    service, unit = ("vpc", "VPCs") if quotas[0].unit == "hub" else ("ec2", "vCPUs")
    free = [quota for quota in quotas if quota.limit > (quota.used or 0.0)]
    full = [quota.region for quota in quotas if quota not in free]
    shown = [f"{q.region} {q.used or 0:g} of {q.limit:g}" for q in free[:4]]
    if len(free) > 4:
        shown.append(f"{len(free) - 4} more regions")
    if full:
        shown.append(f"none left in {len(full)} of {len(quotas)} regions")
    what = f"{quotas[0].name} ({code}), {unit} used: {', '.join(shown)}"
    hint = _request(code, service, full[0]) if full and (service == "vpc" or not free) else None
    return Finding("quota", bool(free), what, hint, required=False)


def _request(code: str, service: str, region: str) -> str:
    return (
        f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} "
        f"--region {region} --desired-value N"
    )


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
