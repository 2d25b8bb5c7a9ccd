"""The four object stores that a mailbox can lie in, each behind a `Front`: S3 on moto's server, Google Cloud
Storage on a fake of its XML interface, Azure Blob on Azurite, and a directory.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from harchos_infra.hub.invocation import dying_with
from support.fake_gcs import FakeGcs
from support.front import Front

KINDS = ("file", "s3", "gs", "az")
REMOTE = ("s3", "gs", "az")
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's well-known account; it opens nothing else."""
_START_S = 30.0
_VERSION = "2021-12-02"


@dataclass(frozen=True)
class Service:
    """A server of one kind: how to make a bucket in it, and the address of the server itself."""

    kind: str
    url: str
    gcs: FakeGcs | None = None

    def make_bucket(self, name: str, region: str = "us-east-1") -> None:
        if self.gcs:
            self.gcs.buckets[name] = {}
        elif self.kind == "s3":
            import boto3

            keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
            client = boto3.client("s3", endpoint_url=self.url, region_name=region, **keys)
            place = (
                {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            )
            client.create_bucket(Bucket=name, **place)
        else:
            address, headers = _signed_container(self.url, name)
            request = urllib.request.Request(address, method="PUT", headers=headers)
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=10) as answer:
                answer.read()


@dataclass(frozen=True)
class Store:
    """A new bucket: its mailbox URL, and the environment that leads a client to it through the front."""

    kind: str
    url: str
    bucket: str
    environment: dict[str, str]
    front: Front
    service: Service


@contextmanager
def service(kind: str) -> Iterator[Service]:
    """Start the server of one kind; skip the test where it is missing."""
    if kind == "s3":
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield Service("s3", f"http://{host}:{port}")
        finally:
            server.stop()
    elif kind == "gs":
        with FakeGcs(page=7) as fake:
            yield Service("gs", fake.url, fake)
    else:
        with _azurite() as url:
            yield Service("az", url)


@contextmanager
def bucket(where: Service) -> Iterator[Store]:
    """Make a new bucket and a front before it."""
    name = f"mail-{uuid.uuid4().hex[:12]}"
    where.make_bucket(name)
    with Front(where.url) as front:
        url = {"s3": f"s3://{name}/team", "gs": f"gs://{name}/team", "az": f"az://{ACCOUNT}/{name}/team"}[
            where.kind
        ]
        yield Store(where.kind, url, name, environment(where.kind, front.url), front, where)


def environment(kind: str, endpoint: str) -> dict[str, str]:
    """Return what leads obstore, boto3 and the agent to a local server."""
    return {
        "s3": {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        },
        "gs": {"STORAGE_EMULATOR_HOST": endpoint},
        "az": {"AZURE_STORAGE_ENDPOINT": f"{endpoint}/{ACCOUNT}", "AZURE_STORAGE_ACCOUNT_KEY": KEY},
    }[kind]


def azurite_server() -> Path:
    """Return Azurite's script where `scripts/setup_object_stores.sh` puts it."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    root = Path(os.environ.get("HARCHOS_TEST_CACHE") or Path(cache) / "harchos-tests")
    return root / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


@contextmanager
def _azurite() -> Iterator[str]:
    script = azurite_server()
    if not script.exists():
        pytest.skip(f"Azurite is missing: {script}; run scripts/setup_object_stores.sh")
    with ExitStack() as stack:
        process = subprocess.Popen(
            [
                *("node", str(script), "--silent", "--blobHost", "127.0.0.1", "--blobPort", "0"),
                *(
                    "--inMemoryPersistence",
                    "--skipApiVersionCheck",
                    "--disableTelemetry",
                    "--disableProductStyleUrl",
                ),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=dying_with(os.getpid()),  # a test run that is killed leaves no server
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield f"http://127.0.0.1:{_listening_port(process.pid)}"


def _listening_port(pid: int) -> int:
    """Return the port that a process listens on: it chose a free one itself."""
    until = time.monotonic() + _START_S
    inodes: set[str] = set()
    while time.monotonic() < until:
        with suppress(FileNotFoundError):  # a descriptor that was closed meanwhile
            inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                return int(words[1].split(":")[1], 16)
        time.sleep(0.05)
    raise AssertionError("Azurite did not start")


def _signed_container(url: str, name: str) -> tuple[str, dict[str, str]]:
    """Return address and headers of the request that makes a container (shared key)."""
    date = formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": _VERSION}
    canonical = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical + resource
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()
    return f"{url}/{ACCOUNT}/{name}?restype=container", {
        **headers,
        "Authorization": f"SharedKey {ACCOUNT}:{signature}",
    }


class Services:
    """The servers of all kinds, each started once and only if a test wants it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[str, Service] = {}

    def __getitem__(self, kind: str) -> Service:
        if kind not in self._running:
            self._running[kind] = self._stack.enter_context(service(kind))
        return self._running[kind]

    def close(self) -> None:
        self._stack.close()
