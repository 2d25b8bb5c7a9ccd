"""The metadata services of EC2 (IMDSv2), Google Compute Engine and Azure on a local port.

What each service insists on is insisted on here: EC2 answers 401 without a session token, Google 403 without
`Metadata-Flavor`, Azure 400 without `Metadata: true` or `api-version`; none answers a request that came
through a proxy. `take_back` is the spot notice; `fails` queues statuses that come before the answer.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Tree = dict[str, Any]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of guests that were powered off in the middle of a request."""


class FakeMetadata:
    """The service of one machine on one cloud; a context manager.

    `user_data` is what the machine boots with; `clock_s` puts the service's clock ahead of this machine's.
    """

    def __init__(
        self,
        cloud: str,
        *,
        user_data: bytes = b"",
        name: str = "harchos-test-h1",
        region: str = "us-east-1",
        credentials: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.cloud = cloud
        self.user_data = user_data
        self.name = name
        self.region = region
        self.role = f"{name}-role"
        self.credentials = dict(
            credentials or {"AccessKeyId": "ASIAFAKE", "SecretAccessKey": "fake", "Token": "t"}
        )
        self.access_token = "ya29.fake" if cloud == "gcp" else "eyJfake"
        self.clock_s = 0.0
        self.requests: list[tuple[str, str, int]] = []
        """Method, path and status of each."""
        self.sessions: dict[str, float] = {}
        """EC2's tokens and when they end, s."""
        self._fails: list[int] = []
        self._notice: Any = None
        self._changed = threading.Condition()
        handlers: dict[str, type[_Handler]] = {"aws": _Aws, "gcp": _Google, "azure": _Azure}
        self._server = _Server((host, port), type("Handler", (handlers[cloud],), {"fake": self}))

    def __enter__(self) -> FakeMetadata:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> datetime:
        """Return the time of the service's clock."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_s)

    def take_back(self, in_s: float = 120.0, of: str | None = None, kind: str | None = None) -> None:
        """Give notice: `of` is another machine of the same set (Azure), `kind` another action or event."""
        at = self.now() + timedelta(seconds=in_s)
        with self._changed:
            self._notice = {"at": at, "of": of or self.name, "kind": kind}
            self._changed.notify_all()

    def fail(self, *statuses: int) -> None:
        """Answer the next requests with these statuses."""
        self._fails.extend(statuses)

    def next_failure(self) -> int | None:
        return self._fails.pop(0) if self._fails else None

    @property
    def notice(self) -> Any:
        return self._notice

    def wait_for_notice(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._notice is not None, timeout_s)

    def asked(self, part: str) -> int:
        """Return how many requests had `part` in their path."""
        return sum(part in path for _, path, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeMetadata
    protocol_version = "HTTP/1.1"
    server_name = "EC2ws"

    def log_message(self, *_: object) -> None:
        pass

    def version_string(self) -> str:
        return self.server_name

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.fake.now(), usegmt=True)

    def do_GET(self) -> None:
        self._serve("GET")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        failure = self.fake.next_failure()
        if failure:
            self.answer(failure, "try again")
        elif self.headers.get("X-Forwarded-For"):
            self.answer(403, "forwarded requests are refused")
        else:
            self.respond(method, parts.path, query)

    def respond(self, method: str, path: str, query: dict[str, str]) -> None:
        raise NotImplementedError

    def answer(self, status: int, body: str | bytes, kind: str = "text/plain", **headers: str) -> None:
        self.fake.requests.append((self.command, self.path, status))
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        self.answer(status, json.dumps(value), "application/json", **headers)


class _Aws(_Handler):
    """`http://169.254.169.254/<version>/…`; any version is as good as `latest`."""

    def respond(self, method: str, path: str, query: dict[str, str]) -> None:
        words = path.strip("/").split("/")
        if words[1:] == ["api", "token"]:
            self._token(method)
            return
        if self.fake.sessions.get(self.headers.get("X-aws-ec2-metadata-token") or "", 0.0) < time.monotonic():
            self.answer(401, "Unauthorized")
            return
        if path == "/":
            self.answer(200, "1.0\n2009-04-04\n2021-03-23\nlatest")
            return
        value: Any = self._tree()
        for word in words[1:]:
            value = value.get(word) if isinstance(value, dict) else None
        if value is None:
            self.answer(404, "Not Found")
        elif isinstance(value, dict):
            names = [f"{name}/" if isinstance(value[name], dict) else name for name in value]
            self.answer(200, "\n".join(names))
        else:
            self.answer(200, value)

    def _token(self, method: str) -> None:
        try:
            lasts_s = int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"])
        except (TypeError, ValueError):
            lasts_s = 0
        if method != "PUT" or not 1 <= lasts_s <= 21600:
            self.answer(405 if method != "PUT" else 400, "Bad Request")
            return
        token = base64.b64encode(secrets.token_bytes(36)).decode()
        self.fake.sessions[token] = time.monotonic() + lasts_s
        self.answer(200, token, X_aws_ec2_metadata_token_ttl_seconds=str(lasts_s))

    def _tree(self) -> Tree:
        fake = self.fake
        zone = f"{fake.region}a"
        meta: Tree = {
            "ami-id": "ami-0123456789abcdef0",
            "hostname": fake.name,
            "iam": {"security-credentials": {fake.role: self._credentials()}},
            "instance-id": "i-0123456789abcdef0",
            "instance-life-cycle": "spot",
            "instance-type": "g5.xlarge",
            "local-hostname": fake.name,
            "local-ipv4": "169.254.0.15",
            "placement": {"availability-zone": zone, "region": fake.region},
        }
        if fake.notice:
            action = {
                "action": fake.notice["kind"] or "terminate",
                "time": f"{fake.notice['at']:%Y-%m-%dT%H:%M:%SZ}",
            }
            meta["spot"] = {"instance-action": json.dumps(action)}
        document = {
            "accountId": "123456789012",
            "architecture": "x86_64",
            "availabilityZone": zone,
            "imageId": meta["ami-id"],
            "instanceId": meta["instance-id"],
            "instanceType": meta["instance-type"],
            "privateIp": meta["local-ipv4"],
            "region": fake.region,
            "version": "2017-09-30",
        }
        tree: Tree = {"dynamic": {"instance-identity": {"document": json.dumps(document)}}, "meta-data": meta}
        return {**tree, "user-data": fake.user_data} if fake.user_data else tree

    def _credentials(self) -> str:
        now = self.fake.now()
        return json.dumps(
            {
                "Code": "Success",
                "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "Type": "AWS-HMAC",
                **self.fake.credentials,
                "Expiration": f"{now + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}",
            }
        )


class _Google(_Handler):
    """`http://metadata.google.internal/computeMetadata/v1/…`; folders are lists, or JSON where asked for."""

    server_name = "Metadata Server for VM"

    def respond(self, method: str, path: str, query: dict[str, str]) -> None:
        if path == "/":
            self.answer(200, "computeMetadata/\n", Metadata_Flavor="Google")
            return
        if self.headers.get("Metadata-Flavor") != "Google":
            self.answer(403, "Missing Metadata-Flavor:Google header.")
            return
        if query.get("wait_for_change", "").lower() == "true":
            self.fake.wait_for_notice(float(query.get("timeout_sec", 600)))
        value: Any = {"computeMetadata": {"v1": self._tree()}}
        for word in path.strip("/").split("/"):
            value = value.get(word) if isinstance(value, dict) else None
        etag = f"{hash(repr(value)) & 0xFFFFFFFFFFFFFFFF:016x}"
        if value is None:
            self.answer(404, "Not Found", Metadata_Flavor="Google")
        elif isinstance(value, dict) and path.endswith("/token"):
            self.json(value, Metadata_Flavor="Google")
        elif isinstance(value, dict) and query.get("recursive", "").lower() == "true":
            self.json(value, Metadata_Flavor="Google", ETag=etag)
        elif isinstance(value, dict):
            names = [f"{name}/" if isinstance(value[name], dict) else name for name in value]
            self.answer(200, "".join(f"{name}\n" for name in names), Metadata_Flavor="Google", ETag=etag)
        else:
            self.answer(200, value, "application/text", Metadata_Flavor="Google", ETag=etag)

    def _tree(self) -> Tree:
        fake = self.fake
        account = {
            "aliases": "default",
            "email": "hub@test.iam.gserviceaccount.com",
            "scopes": "https://www.googleapis.com/auth/cloud-platform",
            "token": {"access_token": fake.access_token, "expires_in": 3599, "token_type": "Bearer"},
        }
        return {
            "instance": {
                "attributes": {"user-data": fake.user_data.decode()} if fake.user_data else {},
                "hostname": f"{fake.name}.c.test.internal",
                "id": "4520031799277581759",
                "machine-type": "projects/123/machineTypes/g2-standard-4",
                "name": fake.name,
                "preempted": "TRUE" if fake.notice else "FALSE",
                "service-accounts": {"default": account, account["email"]: account},
                "zone": f"projects/123/zones/{fake.region}-a",
            },
            "project": {"attributes": {}, "numeric-project-id": "123", "project-id": "test"},
        }


class _Azure(_Handler):
    """`http://169.254.169.254/metadata/…?api-version=…`."""

    server_name = "Microsoft-IIS/10.0"

    def respond(self, method: str, path: str, query: dict[str, str]) -> None:
        if self.headers.get("Metadata", "").lower() != "true":
            self.json({"error": "Bad request. Required metadata header not specified"}, 400)
        elif "api-version" not in query:
            self.json({"error": "Bad request. api-version was not specified in the request"}, 400)
        elif path == "/metadata/scheduledevents":
            self.json({"DocumentIncarnation": 1 + bool(self.fake.notice), "Events": self._events()})
        elif path == "/metadata/identity/oauth2/token":
            self._token(query)
        else:
            self._instance(path, query)

    def _events(self) -> list[Tree]:
        notice = self.fake.notice
        if not notice:
            return []
        return [
            {
                "EventId": "f020ba2e-3bc0-4c40-a10b-86575a9eabd5",
                "EventType": notice["kind"] or "Preempt",
                "ResourceType": "VirtualMachine",
                "Resources": [notice["of"]],
                "EventStatus": "Scheduled",
                "NotBefore": format_datetime(notice["at"], usegmt=True),
                "Description": "",
                "EventSource": "Platform",
                "DurationInSeconds": -1,
            }
        ]

    def _token(self, query: dict[str, str]) -> None:
        if "resource" not in query:
            self.json(
                {"error": "invalid_request", "error_description": "Required query variable 'resource'"}, 400
            )
            return
        expires = int(self.fake.now().timestamp()) + 86399
        self.json(
            {
                "access_token": self.fake.access_token,
                "client_id": "00000000-0000-0000-0000-000000000001",
                "expires_in": "86399",
                "expires_on": str(expires),
                "ext_expires_in": "86399",
                "not_before": str(expires - 86699),
                "resource": query["resource"],
                "token_type": "Bearer",
            }
        )

    def _instance(self, path: str, query: dict[str, str]) -> None:
        value: Any = {"metadata": {"instance": self._tree()}}
        for word in path.strip("/").split("/"):
            value = value.get(word) if isinstance(value, dict) else None
        if value is None:
            self.json({"error": "Not found"}, 404)
        elif isinstance(value, dict):
            self.json(value)
        elif query.get("format") == "text":
            self.answer(200, value)
        else:
            self.json({"error": "Bad request. Format must be text for a leaf"}, 400)

    def _tree(self) -> Tree:
        fake = self.fake
        return {
            "compute": {
                "azEnvironment": "AzurePublicCloud",
                "location": fake.region,
                "name": fake.name,
                "priority": "Spot",
                "resourceGroupName": "test",
                "subscriptionId": "00000000-0000-0000-0000-000000000000",
                "userData": base64.b64encode(fake.user_data).decode(),
                "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
                "vmSize": "Standard_NC4as_T4_v3",
            }
        }
