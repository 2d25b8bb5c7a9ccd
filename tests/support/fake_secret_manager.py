"""Google Secret Manager in its REST format: secrets with versions, labels and an end. FakeGcp lists them.

`machine` is the bearer token of a hub: it may read versions and nothing else.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from support.fake_gcp import PROJECT, FakeGcp, refusal
from support.rest_server import Answer, Request

_PATH = re.compile(rf"/v1/projects/{PROJECT}/secrets(?:/([^/:]+))?(?:/versions/([^/:]+))?(?::(\w+))?")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


class FakeSecretManager(FakeGcp):
    """The secrets of one project."""

    def __init__(self, machine: str = "ya29.fake") -> None:
        super().__init__()
        self.machine = machine
        self.versions: dict[str, list[bytes]] = {}

    def value(self, secret: str) -> str:
        """Return the newest value of a secret."""
        return self.versions[secret][-1].decode()

    def respond(self, request: Request) -> Answer:
        match = _PATH.fullmatch(request.path)
        if match is None:
            return super().respond(request)
        secret, version, verb = match.groups()
        if verb == "access":
            return self._access(request, secret, version)
        if request.method in ("POST", "PATCH"):
            self._admit(request, "secretmanager")
            self._allow(f"secretmanager.{'versions.add' if verb else 'secrets.create'}", request.path)
            if verb == "addVersion":
                return self._add_version(request, secret)
            if request.method == "PATCH":
                return self._patch(request, secret)
            return self._create(request)
        return super().respond(request)

    def _allow(self, permission: str, resource: str) -> None:
        if permission in self.denied:
            message = f"Permission '{permission}' denied for resource '{resource}' (or it may not exist)."
            raise refusal(403, message, "forbidden", info="IAM_PERMISSION_DENIED", permission=permission)

    def _create(self, request: Request) -> Answer:
        secret = request.query.get("secretId", "")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", secret):
            raise refusal(400, "The provided Secret ID does not match the expected format.", "badRequest")
        path = f"projects/{PROJECT}/secrets/{secret}"
        if path in self.secrets:
            raise refusal(409, f"Secret [projects/123456/secrets/{secret}] already exists.", "alreadyExists")
        if "replication" not in request.body:
            raise refusal(400, "Secret.replication must be provided.", "badRequest")
        self.secrets[path] = {"name": path.replace(PROJECT, "123456"), **_checked(request.body)}
        self.versions[secret] = []
        return Answer(200, self.secrets[path])

    def _patch(self, request: Request, secret: str) -> Answer:
        held = self._held(secret)
        for name in request.query["updateMask"].split(","):
            held[name] = _checked(request.body)[name]
        return Answer(200, held)

    def _add_version(self, request: Request, secret: str) -> Answer:
        self._held(secret)
        data = base64.b64decode(request.body["payload"]["data"], validate=True)
        if not 0 < len(data) <= 65536:
            raise refusal(400, "The payload is empty or too large.", "badRequest")
        self.versions[secret].append(data)
        return Answer(
            200, {"name": f"projects/123456/secrets/{secret}/versions/{len(self.versions[secret])}"}
        )

    def _access(self, request: Request, secret: str, version: str) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.machine}":
            raise refusal(401, "Request had invalid authentication credentials.", "authError")
        self._allow("secretmanager.versions.access", request.path)
        self._held(secret)
        found = self.versions[secret]
        number = len(found) if version == "latest" else int(version)
        if not 0 < number <= len(found):
            raise refusal(404, f"Secret Version [{version}] not found.", "notFound")
        data = base64.b64encode(found[number - 1]).decode()
        name = f"projects/123456/secrets/{secret}/versions/{number}"
        return Answer(200, {"name": name, "payload": {"data": data}})

    def _held(self, secret: str) -> dict[str, Any]:
        path = f"projects/{PROJECT}/secrets/{secret}"
        if path not in self.secrets:
            raise refusal(404, f"Secret [projects/123456/secrets/{secret}] not found.", "notFound")
        return self.secrets[path]


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    for name, value in body.get("labels", {}).items():
        if not (_LABEL.fullmatch(name) and _LABEL_VALUE.fullmatch(value)):
            raise refusal(400, f"Invalid label: {name}={value}", "badRequest")
    if "expireTime" in body and datetime.fromisoformat(body["expireTime"]) < datetime.now(UTC) + timedelta(
        seconds=50
    ):
        raise refusal(400, "Secret.expire_time must be at least 60s in the future.", "badRequest")
    return body
