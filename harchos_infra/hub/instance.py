"""What a rented machine does before it has the agent, and after: its identity, signed reads, its own removal.

Standard library only. Cloud-init puts this file on the machine as it is (`terraform/modules/hub-boot`), where
`instance.py boot` fetches the agent and becomes it, and `instance.py leave` gives the machine back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

_METADATA = "http://169.254.169.254"
"""Where all three clouds answer a machine that asks who it is; `HARCHOS_METADATA` is another address."""
_AZURE = "https://management.azure.com"
"""Azure's own interface; `HARCHOS_MANAGEMENT` is another address of it, or of Google's."""

_T = TypeVar("_T")
_PATIENCE_S = 120.0
_LONGEST_PAUSE_S = 15.0
_ANSWER_S = 60.0
_LEAVE_S, _LEAVE_PATIENCE_S = 8.0, 15.0
_ASK_S = 5.0
_CONTROLLER_S = 45.0
"""What a controller that lives has, after the job's end, to take the hub down by itself."""
_GROUPS, _MACHINES = "api-version=2021-04-01", "api-version=2024-07-01"
_CGROUPS = Path("/sys/fs/cgroup/harchos")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class MissingError(Exception):
    """There is no such object: waiting does not help."""


def object_request(mailbox: str, name: str, region: str | None = None) -> urllib.request.Request:
    """Return the signed GET of an object under a mailbox root (`s3://`, `gs://`, `az://`).

    Credentials are those of the environment (`AWS_ACCESS_KEY_ID`…), else the machine's own; `region` is that
    of an S3 bucket where it is not the machine's. Raises OSError where the metadata service does not answer,
    ValueError for another scheme.
    """
    root = urlsplit(mailbox)
    key = quote("/".join(filter(None, [root.path.strip("/"), name])), safe="/-_.~")
    if root.scheme == "s3":
        return _s3_request(root.netloc, key, region)
    if root.scheme == "gs":
        emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
        base = emulator or os.environ.get("GOOGLE_BASE_URL", "https://storage.googleapis.com")
        base = base if "://" in base else f"http://{base}"
        headers = {} if emulator else {"Authorization": gcp_bearer()}
        return urllib.request.Request(f"{base.rstrip('/')}/{root.netloc}/{key}", headers=headers)
    if root.scheme == "az":
        default = f"https://{root.netloc}.blob.core.windows.net"
        base = os.environ.get("AZURE_STORAGE_ENDPOINT", default)
        bearer = azure_bearer("https://storage.azure.com/")
        return urllib.request.Request(
            f"{base.rstrip('/')}/{key}", headers={"Authorization": bearer, "x-ms-version": "2021-12-02"}
        )
    raise ValueError(f"{mailbox}: a machine can read s3://, gs:// and az:// only")


def fetch(mailbox: str, name: str, path: Path) -> None:
    """Write an object to a file, trying for two minutes: a new machine's role may not count at once.

    Raises MissingError if there is no such object, OSError with the last reason for anything else.
    """

    region: str | None = None

    def get() -> bytes:
        nonlocal region
        request = object_request(mailbox, name, region)
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise MissingError(f"there is no {name} in {mailbox}") from error
            region = error.headers.get("x-amz-bucket-region")
            said = error.read(300).decode(errors="replace")
            raise OSError(f"{name} in {mailbox}: {error}: {said}") from error

    path.write_bytes(_patiently(get, _PATIENCE_S))


def metadata(path: str, headers: Mapping[str, str], method: str = "GET") -> bytes:
    """Return what the machine's metadata service says, never through a proxy. Raises OSError."""
    address = os.environ.get("HARCHOS_METADATA", _METADATA)
    request = urllib.request.Request(address + path, headers=dict(headers), method=method)
    with _DIRECT.open(request, timeout=_ASK_S) as answer:
        data: bytes = answer.read()
        return data


def aws_metadata(path: str) -> bytes:
    """Return a path of the AWS metadata service, version 2. Raises OSError."""
    token = metadata("/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, "PUT")
    return metadata(f"/latest/{path}", {"X-aws-ec2-metadata-token": token.decode()})


def gcp_metadata(path: str) -> str:
    """Return a path of Google's metadata service. Raises OSError."""
    return metadata(f"/computeMetadata/v1/{path}", {"Metadata-Flavor": "Google"}).decode()


def azure_metadata(path: str) -> Any:
    """Return a path of Azure's metadata service, parsed. Raises OSError."""
    return json.loads(metadata(f"/metadata/{path}", {"Metadata": "true"}))


def give_back(hub: Mapping[str, Any]) -> None:
    """Have the cloud delete this machine where being powered off does not end its bill. Raises OSError.

    AWS terminates what powers itself off. Google bills the disk on until the machine's termination time, and
    deletes it now if its service account may. Azure bills on what powers itself off: the hub's resource group
    is deleted, a further node's machine alone; where that is not allowed the machine is deallocated.
    """
    if hub["cloud"] == "gcp":
        _patiently(_leave_google, _LEAVE_PATIENCE_S)
    elif hub["cloud"] == "azure":
        if datetime.fromisoformat(hub["expires"]) > datetime.now(UTC):
            time.sleep(_CONTROLLER_S)
        _patiently(_leave_azure, _LEAVE_PATIENCE_S)


def _leave_google() -> None:
    address = os.environ.get("HARCHOS_MANAGEMENT", "https://compute.googleapis.com")
    project, zone, name = map(gcp_metadata, ("project/project-id", "instance/zone", "instance/name"))
    where = f"/compute/v1/projects/{project}/zones/{zone.rpartition('/')[2]}/instances/{name}"
    _call("DELETE", address + where, gcp_bearer())


def _leave_azure() -> None:
    address = os.environ.get("HARCHOS_MANAGEMENT", _AZURE)
    said = azure_metadata("instance/compute?api-version=2021-02-01")
    group = f"{address}/subscriptions/{said['subscriptionId']}/resourceGroups/{said['resourceGroupName']}"
    machine = f"{group}/providers/Microsoft.Compute/virtualMachines/{said['name']}"
    bearer = azure_bearer(f"{_AZURE}/")
    first = os.environ.get("HARCHOS_NODE", "0") == "0"
    target = f"{group}?{_GROUPS}" if first else f"{machine}?{_MACHINES}"
    if not _call("DELETE", target, bearer):
        _call("POST", f"{machine}/deallocate?{_MACHINES}", bearer)


def _s3_request(bucket: str, key: str, region: str | None) -> urllib.request.Request:
    access_key, secret_key, token = aws_credentials()
    region = region or os.environ.get("AWS_REGION") or aws_region()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    url = f"{(endpoint or f'https://s3.{region}.amazonaws.com').rstrip('/')}/{bucket}/{key}"
    headers = aws_signature(url, region, access_key, secret_key, token, datetime.now(UTC))
    return urllib.request.Request(url, headers=headers)


def aws_signature(
    url: str,
    region: str,
    access_key: str,
    secret_key: str,
    token: str | None,
    at: datetime,
    *,
    service: str = "s3",
    post: bytes | None = None,
    signed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the headers that sign a request by Signature Version 4: a GET, or a POST of `post`.

    `signed` are further headers, in lower case, that are signed and returned with the others.
    """
    parts = urlsplit(url)
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    content = hashlib.sha256(post or b"").hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": content, "x-amz-date": moment, **(signed or {})}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    method = "GET" if post is None else "POST"
    canonical = f"{method}\n{parts.path}\n\n{lines}\n{names}\n{content}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode(), "sha256").hexdigest()
    credential = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}"
    return {**headers, "Authorization": f"{credential}, SignedHeaders={names}, Signature={signature}"}


def aws_region() -> str:
    """Return the region that the machine is in."""
    return aws_metadata("meta-data/placement/region").decode()


def aws_credentials() -> tuple[str, str, str | None]:
    """Return access key, secret key and session token: of the environment, else the machine's."""
    if "AWS_ACCESS_KEY_ID" in os.environ:
        environment = os.environ
        return (
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN"),
        )
    roles = "meta-data/iam/security-credentials/"
    said = json.loads(aws_metadata(roles + aws_metadata(roles).decode().split()[0]))
    return said["AccessKeyId"], said["SecretAccessKey"], said["Token"]


def gcp_bearer() -> str:
    """Return the `Authorization` of the machine's service account."""
    said = json.loads(gcp_metadata("instance/service-accounts/default/token"))
    return f"Bearer {said['access_token']}"


def azure_bearer(resource: str) -> str:
    """Return the `Authorization` of the machine's managed identity for a resource of Azure."""
    query = f"api-version=2018-02-01&resource={quote(resource, safe='')}"
    return f"Bearer {azure_metadata(f'identity/oauth2/token?{query}')['access_token']}"


def _call(method: str, url: str, bearer: str) -> bool:
    """Ask the cloud's own interface for something; return False where that is not allowed. Raises OSError."""
    body = b"" if method == "POST" else None
    request = urllib.request.Request(url, data=body, method=method, headers={"Authorization": bearer})
    try:
        urllib.request.urlopen(request, timeout=_LEAVE_S).close()
    except urllib.error.HTTPError as error:
        if error.code != 403:
            raise
        return False
    return True


def _patiently(action: Callable[[], _T], patience_s: float) -> _T:
    """Do it again and again, with longer and longer pauses, while it raises OSError."""
    until, pause_s = time.monotonic() + patience_s, 0.5
    while True:
        try:
            return action()
        except OSError as error:
            if time.monotonic() + pause_s > until:
                raise
            print(f"harchos: {error}; tried again", file=sys.stderr, flush=True)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def boot(hub: Mapping[str, Any], program: Path) -> None:
    """Fetch the agent that the controller left in the hub's mailbox, and become it."""
    for name in ("agent.pyz", "obstore.whl"):
        fetch(hub["mailbox"], f"{hub['run']}/{hub['hub']}/{name}", program / name)
    with zipfile.ZipFile(program / "obstore.whl") as wheel:
        wheel.extractall(program / "site")
    os.environ["PYTHONPATH"] = str(program / "site")
    if hub["cloud"] == "aws" and "AWS_REGION" not in os.environ:
        os.environ["AWS_REGION"] = aws_region()
    options = [f"--{name}={hub[name]}" for name in ("cloud", "mailbox", "run", "hub", "expires")]
    agent = [sys.executable, str(program / "agent.pyz"), "run", "--dir=/var/lib/harchos", *options]
    os.execv(sys.executable, agent)


def kill_rest(hub: Mapping[str, Any]) -> None:
    """Kill what is left of the hub in its cgroup, frozen or not: the machine is not to wait for it."""
    switch = _CGROUPS / hub["hub"] / "cgroup.kill"
    if switch.exists():
        switch.write_text("1")


def main(words: list[str]) -> int:
    """`boot`: become the agent. `leave`: give this machine back."""
    program = Path(__file__).resolve().parent
    try:
        hub = json.loads((program / "boot.json").read_text(encoding="utf-8"))
        os.environ.update(hub["environment"])
        if words == ["boot"]:
            boot(hub, program)
        elif words == ["leave"]:
            kill_rest(hub)
            give_back(hub)
        else:
            raise ValueError("usage: instance.py boot | leave")
    except (OSError, ValueError, KeyError, IndexError, MissingError) as error:
        print(f"harchos: error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
