"""What carries our marks in a Google Cloud project, in the order in which it can be deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from harchos_infra.clouds.cloud import Resource
from harchos_infra.clouds.gcp_error import NOT_ENABLED, GcpError
from harchos_infra.clouds.gcp_session import GcpSession
from harchos_infra.clouds.list_price import list_price_usd_hour
from harchos_infra.clouds.marks import Marks, label_value, of_description, of_labels
from harchos_infra.settings import Settings

_PAGE = 500
SETTLE_S = 60.0
PAUSE_S = 2.0
_SETTLING = (
    "resourceInUseByAnotherResource",
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
    "resourceNotReady",
    "RESOURCE_NOT_READY",
)
_GONE = ("notFound", "NOT_FOUND", "RESOURCE_NOT_FOUND")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of compute resource: `client` of google-cloud-compute, and where its names are unique."""

    name: str
    client: str
    scope: Literal["zone", "region", "global"]
    labelled: bool

    @property
    def field(self) -> str:
        """What requests call it: `resource_policy`."""
        return self.name.replace("-", "_")

    @property
    def listed(self) -> str:
        """What answers call many of them: `resource_policies`, `addresses`."""
        if self.field.endswith("y"):
            return f"{self.field[:-1]}ies"
        return f"{self.field}es" if self.field.endswith("s") else f"{self.field}s"

    @property
    def collection(self) -> str:
        """What addresses call many of them: `resourcePolicies`."""
        first, *rest = self.listed.split("_")
        return first + "".join(word.title() for word in rest)


_KINDS = (
    _Kind("instance", "InstancesClient", "zone", labelled=True),
    _Kind("disk", "DisksClient", "zone", labelled=True),
    _Kind("address", "AddressesClient", "region", labelled=True),
    _Kind("resource-policy", "ResourcePoliciesClient", "region", labelled=False),
    _Kind("firewall", "FirewallsClient", "global", labelled=False),
    _Kind("router", "RoutersClient", "region", labelled=False),
    _Kind("subnetwork", "SubnetworksClient", "region", labelled=False),
    _Kind("network", "NetworksClient", "global", labelled=False),
)
"""In deletion order: each is used by those before it, never by those after it."""


def list_resources(session: GcpSession, *, run: str | None, hub: str | None) -> list[Resource]:
    """Return what is ours in the project; raises GcpError unless every listing is complete."""
    return [
        *(found for kind in _KINDS for found in _compute(session, kind, run, hub)),
        *_bucket_grants(session, run, hub),
        *_service_accounts(session, run, hub),
        *_secrets(session, run, hub),
    ]


def delete_resource(session: GcpSession, resource: Resource) -> None:
    """Delete one resource and wait until it is gone; one that is gone already is no error.

    What was just in use is not free at once: such a refusal is waited out for `SETTLE_S`.
    """
    if not resource.id.startswith((f"projects/{session.project}/", "buckets/")):
        raise GcpError(f"{resource.kind} {resource.id} is not in project {session.project}")
    until = time.monotonic() + SETTLE_S
    while True:
        try:
            return _delete(session, resource)
        except GcpError as error:
            if error.reason in _GONE:
                return None
            if error.reason not in _SETTLING or time.monotonic() > until:
                raise
        time.sleep(PAUSE_S)


def _delete(session: GcpSession, resource: Resource) -> None:
    if resource.kind == "service-account":
        session.call("DELETE", "iam", f"v1/{resource.id}")
    elif resource.kind == "bucket-grant":
        _withdraw(session, resource)
    elif resource.kind == "secret":
        session.call("DELETE", "secretmanager", f"v1/{resource.id}")
    else:
        _delete_compute(session, resource)


def _delete_compute(session: GcpSession, resource: Resource) -> None:
    kind = next((k for k in _KINDS if k.name == resource.kind), None)
    if kind is None:
        raise GcpError(f"Google Cloud hubs have no {resource.kind}")
    parts = resource.id.split("/")
    request = {kind.field: parts[-1]}
    if kind.scope != "global":
        request[kind.scope] = parts[3]
    session.finish(session.compute(kind.client, "delete_unary", request))


def _compute(session: GcpSession, kind: _Kind, run: str | None, hub: str | None) -> Iterator[Resource]:
    request: dict[str, Any] = {"max_results": _PAGE}
    if kind.labelled:
        request["filter"] = f"labels.harchos-hub={label_value(hub)}" if hub else "labels.harchos-hub:*"
    method = "list" if kind.scope == "global" else "aggregated_list"
    for page in session.compute_pages(kind.client, method, request):
        for item in _items(page, kind):
            marks = of_labels(item.labels) if kind.labelled else of_description(item.description)
            if marks is not None and marks.match(run, hub):
                yield _resource(session, kind, item, marks)


def _items(page: Any, kind: _Kind) -> Iterator[Any]:
    """Yield the items of a page; a place that says more than that it has none is an error."""
    if kind.scope == "global":
        _check(page.warning, "the project")
        yield from page.items
        return
    for place, scoped in page.items.items():
        _check(scoped.warning, place)
        yield from getattr(scoped, kind.listed)


def _check(warning: Any, place: str) -> None:
    if warning and warning.code and warning.code != "NO_RESULTS_ON_PAGE":
        raise GcpError(
            f"Google Cloud listed only a part: {place}: {warning.message or warning.code}",
            hint="try again in a few minutes; what is there may still be billed",
            reason=warning.code,
        )


def _resource(session: GcpSession, kind: _Kind, item: Any, marks: Marks) -> Resource:
    place = (getattr(item, kind.scope) if kind.scope != "global" else "").rsplit("/", 1)[-1]
    path = f"{kind.scope}s/{place}" if place else "global"
    region = place.rpartition("-")[0] if kind.scope == "zone" else place or None
    return Resource(
        provider="gcp",
        kind=kind.name,
        id=f"projects/{session.project}/{path}/{kind.collection}/{item.name}",
        run=marks.run,
        hub=marks.hub,
        expires=marks.expires,
        detail=_detail(kind, item),
        price_usd_hour=_price(item, region) if kind.name == "instance" and region else None,
        region=region,
    )


def _detail(kind: _Kind, item: Any) -> str:
    if kind.name == "instance":
        return f"{item.name} ({_last(item.machine_type)}, {item.status.lower()})"
    if kind.name == "disk":
        return f"{item.name} ({item.size_gb} GiB)"
    return str(item.name)


def _price(instance: Any, region: str) -> float | None:
    """Return what an hour costs; a machine that is stopped costs nothing by itself."""
    if instance.status in ("TERMINATED", "SUSPENDED"):
        return None
    spot = instance.scheduling.provisioning_model == "SPOT" or instance.scheduling.preemptible
    return list_price_usd_hour("gcp", region, _last(instance.machine_type), "spot" if spot else "on-demand")


def _bucket_grants(session: GcpSession, run: str | None, hub: str | None) -> Iterator[Resource]:
    """Yield what hubs may do in the mailbox's bucket, whether or not their accounts still exist."""
    bucket = urlsplit(Settings.load().gcp_mailbox or "").netloc
    if not bucket:
        return
    for binding in _policy(session, bucket).get("bindings", ()):
        marks = of_description(binding.get("condition", {}).get("description"))
        if marks is not None and marks.match(run, hub):
            for member in binding["members"]:
                detail = f"{member.partition(':')[2]} in gs://{bucket}"
                yield _global("bucket-grant", f"buckets/{bucket}/{member}", marks, detail)


def _withdraw(session: GcpSession, resource: Resource) -> None:
    """Take one member's conditional roles out of a bucket's policy, unless another wrote it meanwhile."""
    _, bucket, member = resource.id.split("/", 2)
    policy = _policy(session, bucket)
    kept = []
    for binding in policy.get("bindings", ()):
        ours = of_description(binding.get("condition", {}).get("description")) is not None
        members = [m for m in binding["members"] if not (ours and m == member)]
        kept += [{**binding, "members": members}] if members else []
    if kept != policy.get("bindings", []):
        body = {**policy, "version": 3, "bindings": kept}
        session.call("PUT", "storage", f"storage/v1/b/{bucket}/iam", body=body)


def _policy(session: GcpSession, bucket: str) -> dict[str, Any]:
    return session.call("GET", "storage", f"storage/v1/b/{bucket}/iam", optionsRequestedPolicyVersion=3)


def _service_accounts(session: GcpSession, run: str | None, hub: str | None) -> Iterator[Resource]:
    path = f"v1/projects/{session.project}/serviceAccounts"
    for account in session.pages("iam", path, "accounts", pageSize=100):
        marks = of_description(account.get("description", ""))
        if marks is not None and marks.match(run, hub):
            yield _global("service-account", account["name"], marks, account["email"])


def _secrets(session: GcpSession, run: str | None, hub: str | None) -> Iterator[Resource]:
    """Yield secrets; where Secret Manager is not enabled none of ours can have been written.

    All are listed and ours picked here: nobody says what Secret Manager makes of a filter it does not know.
    """
    path = f"v1/projects/{session.project}/secrets"
    try:
        listed = list(session.pages("secretmanager", path, "secrets", pageSize=250))
    except GcpError as error:
        if error.reason in NOT_ENABLED:
            return
        raise
    for secret in listed:
        marks = of_labels(secret.get("labels", {}))
        if marks is not None and marks.match(run, hub):
            name = _last(secret["name"])
            yield _global("secret", f"projects/{session.project}/secrets/{name}", marks, name)


def _global(kind: str, id: str, marks: Marks, detail: str) -> Resource:
    return Resource("gcp", kind, id, marks.run, marks.hub, marks.expires, detail, price_usd_hour=None)


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]
