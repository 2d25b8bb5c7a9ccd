"""What hubs on Google Cloud need, looked at one by one for `harchos doctor`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from harchos_infra.clouds.cloud import Finding
from harchos_infra.clouds.gcp_error import GcpError
from harchos_infra.clouds.gcp_quotas import EVERYWHERE
from harchos_infra.clouds.gcp_session import GcpSession
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings
from harchos_infra.share import share_directory

_IN_MAILBOX = (
    "storage.buckets.getIamPolicy",
    "storage.buckets.setIamPolicy",
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
)


def role_file() -> Path:
    """Return the least role of whoever runs `harchos` in a project."""
    return share_directory("configs") / "iam" / "gcp-controller-role.yaml"


def least_permissions() -> list[str]:
    """Return what that role grants: all that making, listing and deleting hubs takes."""
    import yaml

    permissions: list[str] = yaml.safe_load(role_file().read_text(encoding="utf-8"))["includedPermissions"]
    return permissions


def check(session: GcpSession) -> list[Finding]:
    """Return the findings; where nobody is signed in, or not to a project, that is the only one."""
    try:
        who = f"{session.principal} in project {session.project}"
        project = session.compute("ProjectsClient", "get", {})
    except HarchosError as error:
        return [Finding("credentials", False, error.what, error.hint)]
    gpus = next((q.limit for q in project.quotas if q.metric == EVERYWHERE), None)
    return [
        Finding("credentials", True, who),
        _of("permissions", lambda: _permissions(session)),
        _of("service accounts", lambda: _service_accounts(session)),
        _gpu_quota(session.project, gpus),
        _of("mailbox", lambda: _mailbox(session)),
        _of("secrets", lambda: _secrets(session), required=False),
        _of("prices", lambda: _prices(session), required=False),
    ]


def _of(subject: str, look: Callable[[], Finding], *, required: bool = True) -> Finding:
    """Return what `look` finds; a refusal is a finding, too."""
    try:
        return look()
    except HarchosError as error:
        return Finding(subject, False, error.what, error.hint, required)


def _permissions(session: GcpSession) -> Finding:
    """Ask Google which of the least permissions the principal has in the project."""
    needed = least_permissions()
    path = f"v1/projects/{session.project}:testIamPermissions"
    answer = session.call("POST", "cloudresourcemanager", path, body={"permissions": needed})
    granted = set(answer.get("permissions", ()))
    missing = [permission for permission in needed if permission not in granted]
    if not missing:
        return Finding("permissions", True, f"all {len(needed)} that hubs need")
    return Finding(
        "permissions",
        False,
        f"{session.principal} lacks {len(missing)} of {len(needed)} in project {session.project}: "
        f"{', '.join(missing)}",
        f"gcloud iam roles create harchosController --project {session.project} --file {role_file()}, "
        f"then grant that role to {session.principal}",
    )


def _service_accounts(session: GcpSession) -> Finding:
    session.call("GET", "iam", f"v1/projects/{session.project}/serviceAccounts", pageSize=1)
    return Finding("service accounts", True, "can be listed")


def _gpu_quota(project: str, limit: float | None) -> Finding:
    if limit:
        return Finding("quota", True, f"{limit:.0f} GPUs in all regions together")
    said = "no quota for GPUs is told" if limit is None else "0 GPUs may be rented in all regions together"
    return Finding(
        "quota",
        False,
        f"{EVERYWHERE}: {said}",
        "ask for more: https://console.cloud.google.com/iam-admin/quotas?project=" + project,
    )


def _mailbox(session: GcpSession) -> Finding:
    """Look at the bucket, and ask what the principal may do in it; nothing is written."""
    url = Settings.load().gcp_mailbox
    if not url:
        return Finding(
            "mailbox", False, "no mailbox is set", "harchos config set gcp.mailbox gs://BUCKET/PREFIX"
        )
    name = urlsplit(url).netloc
    try:
        bucket = session.call("GET", "storage", f"storage/v1/b/{name}")
    except GcpError as error:
        if error.status != 404:
            raise
        hint = f"gcloud storage buckets create gs://{name} --uniform-bucket-level-access"
        return Finding("mailbox", False, f"there is no bucket {name}", hint)
    if not bucket.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {}).get("enabled"):
        return Finding(
            "mailbox",
            False,
            f"bucket {name} is without uniform access: hubs cannot be kept to their run's prefix in it",
            f"gcloud storage buckets update gs://{name} --uniform-bucket-level-access",
        )
    path = f"storage/v1/b/{name}/iam/testPermissions"
    answer = session.call("GET", "storage", path, permissions=_IN_MAILBOX)
    missing = [needed for needed in _IN_MAILBOX if needed not in answer.get("permissions", ())]
    if missing:
        return Finding(
            "mailbox",
            False,
            f"{session.principal} lacks {', '.join(missing)} in bucket {name}",
            f"gcloud storage buckets add-iam-policy-binding gs://{name}, with the role of "
            f"{role_file().with_name('gcp-mailbox-role.yaml')}",
        )
    return Finding(
        "mailbox", True, f"{url} in {bucket.get('location', '?')}: may be listed, written and shared"
    )


def _secrets(session: GcpSession) -> Finding:
    session.call("GET", "secretmanager", f"v1/projects/{session.project}/secrets", pageSize=1)
    return Finding("secrets", True, "Secret Manager answers", required=False)


def _prices(session: GcpSession) -> Finding:
    from harchos_infra.clouds.gcp_prices import price_list_answers

    price_list_answers(session)
    return Finding("prices", True, "the price list answers", required=False)
