"""Google Cloud on a local port: Compute Engine, IAM, Secret Manager, billing, in their REST formats.

`resources` maps paths (`projects/p/zones/z/instances/n`) to what Google shows of them. Deletions and
insertions are operations that take `polls` questions until they are done; what is in use cannot be deleted;
listings come in pages of `page_size`. `denied` are permissions that the caller lacks, `disabled` services
that are off.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from support.rest_server import Answer, Request, RestServer

PROJECT = "harchos-test"
PRINCIPAL = f"ci@{PROJECT}.iam.gserviceaccount.com"
KEY = "api-key-5Zq"
REGIONS = ("europe-north1", "us-central1")
ZONES = tuple(f"{region}-{letter}" for region in REGIONS for letter in "ab")
SERVICES = {
    "compute": "Compute Engine API",
    "iam": "Identity and Access Management (IAM) API",
    "secretmanager": "Secret Manager API",
    "cloudbilling": "Cloud Billing API",
    "cloudresourcemanager": "Cloud Resource Manager API",
}
_KINDS = {
    "instances": "zones",
    "disks": "zones",
    "addresses": "regions",
    "resourcePolicies": "regions",
    "routers": "regions",
    "subnetworks": "regions",
    "firewalls": "global",
    "networks": "global",
}
_LINK = "https://www.googleapis.com/compute/v1"
"""What links of resources begin with, wherever they are asked for."""
_VERBS = {"GET": "get", "DELETE": "delete", "POST": "create"}


def refusal(status: int, message: str, reason: str, **metadata: str) -> Answer:
    """Return Google's error document; `metadata` adds the newer details beside the older errors."""
    words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
    words |= {409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}],
        "status": words.get(status, "UNKNOWN"),
    }
    if metadata:
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": metadata.pop("info", reason),
            "domain": "googleapis.com",
            "metadata": metadata,
        }
        error["details"] = [info]
    return Answer(status, {"error": error})


RATE_LIMIT = refusal(403, "Rate Limit Exceeded", "rateLimitExceeded")
TOO_MANY = refusal(429, "Quota exceeded for quota metric 'Queries'", "rateLimitExceeded")
BACKEND = refusal(503, "Internal error. Please try again.", "backendError")
STOCK_OUT = {
    "code": "ZONE_RESOURCE_POOL_EXHAUSTED",
    "message": "The zone 'projects/p/zones/z' does not have enough resources available to fulfill the "
    "request. Try a different zone, or try again later.",
}


class FakeGcp(RestServer):
    """One project in two regions of two zones, with one service account signed in."""

    def __init__(self) -> None:
        super().__init__()
        self.resources: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.machine_types: dict[str, list[dict[str, Any]]] = {zone: [] for zone in ZONES}
        self.skus: list[dict[str, Any]] = []
        self.quotas: dict[str, list[dict[str, Any]]] = {region: [] for region in REGIONS}
        self.project_quotas = [{"metric": "GPUS_ALL_REGIONS", "limit": 8.0, "usage": 1.0}]
        self.buckets: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        """IAM policies of the buckets; their etag is a number that grows."""
        self.granted: set[str] | None = None
        """All permissions that the caller has; None: every one that is not denied."""
        self.denied: set[str] = set()
        self.disabled: set[str] = set()
        self.unreachable: set[str] = set()
        """Zones or regions that a listing says it could not reach."""
        self.operation_errors: dict[str, dict[str, Any]] = {}
        """By a part of the target's path: the error with which its operation ends."""
        self.page_size = 500
        self.polls = 1
        self.hold_s = 0.0
        """How long `wait` holds back its answer; Google's does for up to two minutes."""
        self.signed_in = True
        """False: the token server refuses the key, and the APIs refuse what it signs."""
        self.deleted: list[str] = []
        """What was deleted, in order: the last two parts of each path."""
        self._operations: dict[str, tuple[dict[str, Any], int]] = {}

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the variables that point Google's libraries here, with a key file in `folder`."""
        key_file = folder / "key.json"
        key_file.write_text(json.dumps(_key(self.url)))
        overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{self.url}/" for api in SERVICES}
        return {
            **overrides,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{self.url}/compute/v1/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{self.url}/",
            "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def drop(self, path: str) -> None:
        """Take something away as if it had never been made."""
        if path in self.resources:
            self._remove(path)
            self.deleted.pop()
        self.accounts.pop(path, None)
        self.secrets.pop(path, None)

    def add(self, path: str, **fields: Any) -> str:
        """Put a compute resource at `zones/Z/instances/N` and the like; returns its whole path."""
        whole = f"projects/{PROJECT}/{path}"
        parts = path.split("/")
        where = self.link(f"projects/{PROJECT}/{parts[0]}/{parts[1]}")
        place = {} if parts[0] == "global" else {parts[0][:-1]: where}
        self.resources[whole] = {"name": parts[-1], "selfLink": self.link(whole), **place, **fields}
        return whole

    def add_hub(
        self,
        run: str,
        hub: str,
        *,
        zone: str = "europe-north1-a",
        nodes: int = 1,
        machine: str = "g2-standard-8",
    ) -> None:
        """Put a whole hub there, as the module makes it."""
        region, name, expires = zone[:-2], f"harchos-{hub}", "2026-11-24t06-00-00z"
        labels = {"harchos-run": run, "harchos-hub": hub, "harchos-expires": expires}
        text = {"description": f"harchos-run={run} harchos-hub={hub} harchos-expires=2026-11-24T06:00:00Z"}
        network = self.link(self.add(f"global/networks/{name}", **text))
        subnetwork = self.link(self.add(f"regions/{region}/subnetworks/{name}", network=network, **text))
        self.add(f"global/firewalls/{name}", network=network, **text)
        self.add(f"regions/{region}/routers/{name}", network=network, **text)
        policy = self.link(self.add(f"regions/{region}/resourcePolicies/{name}", **text))
        email = self.add_account(f"harchos-{hub}"[:30], text["description"])
        for n in range(nodes):
            disk = self.link(self.add(f"zones/{zone}/disks/{name}-{n}", labels=labels, sizeGb="100"))
            address = self.add(
                f"regions/{region}/addresses/{name}-{n}", labels=labels, address=f"192.0.2.{n}"
            )
            instance = self.add(
                f"zones/{zone}/instances/{name}-{n}",
                labels=labels,
                machineType=f"{_LINK}/projects/{PROJECT}/zones/{zone}/machineTypes/{machine}",
                status="RUNNING",
                scheduling={"provisioningModel": "STANDARD", "preemptible": False},
                disks=[{"source": disk, "autoDelete": False, "boot": True}],
                networkInterfaces=[{"network": network, "subnetwork": subnetwork}],
                resourcePolicies=[policy],
                serviceAccounts=[{"email": email}],
            )
            self.resources[address]["users"] = [self.link(instance)]
        self.add_secret(run, "hf-token")

    def add_account(self, account_id: str, description: str = "") -> str:
        email = f"{account_id}@{PROJECT}.iam.gserviceaccount.com"
        name = f"projects/{PROJECT}/serviceAccounts/{email}"
        self.accounts[name] = {"name": name, "email": email, "description": description, "projectId": PROJECT}
        return email

    def add_secret(self, run: str, name: str) -> None:
        path = f"projects/{PROJECT}/secrets/harchos-{run}-{name}"
        labels = {"harchos-run": run, "harchos-expires": "2026-11-24t06-00-00z"}
        self.secrets[path] = {"name": path.replace(PROJECT, "123456"), "labels": labels}

    def link(self, path: str) -> str:
        return f"{_LINK}/{path}"

    @property
    def left(self) -> list[str]:
        """Everything that exists, by path."""
        return [*self.resources, *self.accounts, *self.secrets]

    def respond(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._token()
        if request.path.startswith("/compute/v1/projects/"):
            self._admit(request, "compute")
            return self._of_compute(request, request.path.removeprefix("/compute/v1/"))
        if request.path.startswith("/storage/v1/b/"):
            self._admit(request, "storage")
            return self._of_bucket(request, *request.path.removeprefix("/storage/v1/b/").split("/"))
        path = request.path.removeprefix("/v1/")
        if path.startswith("services/"):
            self._admit(request, "cloudbilling")
            return Answer(200, self._page(request, "skus", self.skus))
        if path.endswith(":testIamPermissions"):
            self._admit(request, "cloudresourcemanager")
            return Answer(
                200, {"permissions": [p for p in request.body["permissions"] if not self._lacks(p)]}
            )
        for api, collection, held in (
            ("iam", "serviceAccounts", self.accounts),
            ("secretmanager", "secrets", self.secrets),
        ):
            if f"/{collection}" in path:
                self._admit(request, api)
                return self._of_named(request, path, api, collection, held)
        return Answer(404, None)

    def _token(self) -> Answer:
        if self.signed_in:
            return Answer(200, {"access_token": "token-7Qx", "expires_in": 3599, "token_type": "Bearer"})
        said = "Invalid JWT Signature: the key was deleted."
        return Answer(400, {"error": "invalid_grant", "error_description": said})

    def _admit(self, request: Request, api: str) -> None:
        """Refuse whoever is not signed in, and services that are not enabled."""
        api_key = request.headers.get("x-goog-api-key")
        if api_key == KEY:
            return
        if api_key:
            raise refusal(
                400, "API key not valid. Please pass a valid API key.", "badRequest", info="API_KEY_INVALID"
            )
        if not (self.signed_in and _is_ours(request.headers.get("authorization", ""))):
            message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            raise refusal(
                401, message, "authError", info="ACCESS_TOKEN_EXPIRED", service=f"{api}.googleapis.com"
            )
        if api in self.disabled:
            message = (
                f"{SERVICES[api]} has not been used in project 123456 before or it is disabled. Enable it by "
                f"visiting https://console.developers.google.com/apis/api/{api}.googleapis.com/overview "
                "then retry."
            )
            service = {"service": f"{api}.googleapis.com", "consumer": "projects/123456"}
            raise refusal(403, message, "accessNotConfigured", info="SERVICE_DISABLED", **service)

    def _permit(self, permission: str, resource: str) -> None:
        if self._lacks(permission):
            message = f"Required '{permission}' permission for '{resource}'"
            raise refusal(403, message, "forbidden")

    def _lacks(self, permission: str) -> bool:
        return permission in self.denied or (self.granted is not None and permission not in self.granted)

    def _of_compute(self, request: Request, path: str) -> Answer:
        project, *rest = path.removeprefix("projects/").split("/")
        if project != PROJECT:
            raise refusal(404, f"The resource 'projects/{project}' was not found", "notFound")
        if "operations" in rest:
            return self._operation(rest)
        match rest:
            case []:
                self._permit("compute.projects.get", f"projects/{PROJECT}")
                return Answer(200, {"name": PROJECT, "quotas": self.project_quotas})
            case ["regions", *named]:
                if len(named) < 2:
                    return self._regions(request, named)
            case ["zones", zone, "machineTypes"]:
                self._permit("compute.machineTypes.list", f"projects/{PROJECT}")
                return Answer(200, self._page(request, "items", self.machine_types[zone]))
            case ["aggregated", collection]:
                return self._aggregated(request, collection)
        if rest[-1] in _KINDS:
            return self._collection(request, path, rest[-1])
        return self._resource(request, path, rest[-2])

    def _regions(self, request: Request, named: list[str]) -> Answer:
        def region(name: str) -> dict[str, Any]:
            zones = [f"{_LINK}/projects/{PROJECT}/zones/{z}" for z in ZONES if z.startswith(name)]
            return {"name": name, "status": "UP", "zones": zones, "quotas": self.quotas[name]}

        if not named:
            self._permit("compute.regions.list", f"projects/{PROJECT}")
            return Answer(200, self._page(request, "items", [region(name) for name in REGIONS]))
        self._permit("compute.regions.get", f"projects/{PROJECT}/regions/{named[0]}")
        if named[0] not in REGIONS:
            raise refusal(
                404, f"The resource 'projects/{PROJECT}/regions/{named[0]}' was not found", "notFound"
            )
        return Answer(200, region(named[0]))

    def _aggregated(self, request: Request, collection: str) -> Answer:
        """Answer one page; every place is there, with what it has or a warning that it has nothing."""
        self._permit(f"compute.{collection}.list", f"projects/{PROJECT}")
        kept = [
            p
            for p in sorted(self.resources)
            if f"/{collection}/" in p and _passes(self.resources[p], request)
        ]
        start, size = _window(request, self.page_size)
        places = ("zones", ZONES) if _KINDS[collection] == "zones" else ("regions", REGIONS)
        items: dict[str, Any] = {f"{places[0]}/{place}": _nothing(places[0], place) for place in places[1]}
        for place in self.unreachable:
            items[f"{places[0]}/{place}"] = {
                "warning": {"code": "UNREACHABLE", "message": f"{place} could not be reached."}
            }
        for path in kept[start : start + size]:
            scope = items.setdefault("/".join(path.split("/")[2:4]), {})
            scope.pop("warning", None)
            scope.setdefault(collection, []).append(self.resources[path])
        page: dict[str, Any] = {"kind": f"compute#{collection}AggregatedList", "items": items}
        return Answer(200, page | _next(start + size, len(kept)))

    def _collection(self, request: Request, path: str, collection: str) -> Answer:
        if request.method == "POST":
            self._permit(f"compute.{collection}.create", f"projects/{PROJECT}")
            return self._insert(request, path)
        self._permit(f"compute.{collection}.list", f"projects/{PROJECT}")
        found = [
            r for p, r in sorted(self.resources.items()) if p.startswith(f"{path}/") and _passes(r, request)
        ]
        return Answer(200, self._page(request, "items", found))

    def _insert(self, request: Request, path: str) -> Answer:
        name = request.body["name"]
        whole = f"{path}/{name}"
        if whole in self.resources:
            raise refusal(409, f"The resource '{whole}' already exists", "alreadyExists")
        operation, error = self._begin("insert", whole)
        if error is None:
            self.add("/".join(whole.split("/")[2:]), **{**request.body, "status": "RUNNING"})
        return Answer(200, operation)

    def _resource(self, request: Request, path: str, collection: str) -> Answer:
        self._permit(f"compute.{collection}.{_VERBS[request.method]}", path)
        if path not in self.resources:
            raise refusal(404, f"The resource '{path}' was not found", "notFound")
        if request.method == "GET":
            return Answer(200, self.resources[path])
        if self.resources[path].get("deletionProtection"):
            raise refusal(
                400, f"Invalid resource usage: '{path}' has deletion protection.", "invalidResourceUsage"
            )
        if user := self._user(path):
            message = f"The {collection} resource '{path}' is already being used by '{user}'"
            raise refusal(400, message, "resourceInUseByAnotherResource")
        operation, error = self._begin("delete", path)
        if error is None:
            self._remove(path)
        return Answer(200, operation)

    def _remove(self, path: str) -> None:
        removed = self.resources.pop(path)
        self.deleted.append("/".join(path.split("/")[-2:]))
        for disk in removed.get("disks", ()):
            if disk.get("autoDelete"):
                self.resources.pop(disk["source"].removeprefix(f"{_LINK}/"), None)
        for other in self.resources.values():
            if self.link(path) in other.get("users", ()):
                other["users"].remove(self.link(path))

    def _user(self, path: str) -> str | None:
        """Return what uses a resource: whatever names it, or is named by its users."""
        held = self.resources[path].get("users")
        if held:
            return held[0].removeprefix(f"{_LINK}/")
        quoted = f'"{self.link(path)}"'
        for other, resource in self.resources.items():
            if other != path and quoted in json.dumps({**resource, "users": []}):
                return other
        return None

    def _begin(self, kind: str, path: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        parts = path.split("/")
        place = {} if parts[2] == "global" else {parts[2][:-1]: self.link("/".join(parts[:4]))}
        error = next((e for part, e in self.operation_errors.items() if part in path), None)
        operation = {
            "kind": "compute#operation",
            "name": f"operation-{len(self._operations) + 1}",
            "operationType": kind,
            "targetLink": self.link(path),
            "status": "RUNNING",
            **place,
        }
        done = {**operation, "status": "DONE"}
        if error is not None:
            done |= {"error": {"errors": [error]}, "httpErrorStatusCode": 503}
            done |= {"httpErrorMessage": "SERVICE UNAVAILABLE"}
        self._operations[operation["name"]] = (done, self.polls)
        return operation, error

    def _operation(self, rest: list[str]) -> Answer:
        scope = {"zones": "zone", "regions": "region", "global": "global"}[rest[0]]
        self._permit(f"compute.{scope}Operations.get", "/".join(rest))
        name = rest[rest.index("operations") + 1]
        if name not in self._operations:
            raise refusal(
                404, f"The resource 'projects/{PROJECT}/{'/'.join(rest)}' was not found", "notFound"
            )
        if rest[-1] == "wait":
            time.sleep(self.hold_s)
        done, polls = self._operations[name]
        self._operations[name] = (done, polls - 1)
        if polls > 1:
            return Answer(200, {k: v for k, v in done.items() if k != "error"} | {"status": "RUNNING"})
        return Answer(200, done)

    def _of_named(
        self, request: Request, path: str, api: str, collection: str, held: dict[str, dict[str, Any]]
    ) -> Answer:
        verb = "list" if path.endswith(f"/{collection}") else _VERBS[request.method]
        permission = f"{api}.{collection}.{verb}"
        if self._lacks(permission):
            message = f"Permission '{permission}' denied on resource '{path}' (or it may not exist)."
            raise refusal(
                403, message, "forbidden", info="IAM_PERMISSION_DENIED", permission=permission, resource=path
            )
        if not path.startswith(f"projects/{PROJECT}/"):
            message = f"Permission denied on resource project {path.split('/')[1]}."
            raise refusal(403, message, "forbidden", info="CONSUMER_INVALID", service=f"{api}.googleapis.com")
        if verb == "list":
            items = "accounts" if api == "iam" else collection
            return Answer(200, self._page(request, items, [r for r in held.values() if _passes(r, request)]))
        if path not in held:
            raise Answer(
                404, {"error": {"code": 404, "message": f"{path} was not found.", "status": "NOT_FOUND"}}
            )
        if request.method == "DELETE":
            del held[path]
            self.deleted.append("/".join(path.split("/")[-2:]))
            return Answer(200, {})
        return Answer(200, held[path])

    def _of_bucket(self, request: Request, name: str, part: str = "", test: str = "") -> Answer:
        if test:
            asked = request.every("permissions")
            return Answer(200, {"permissions": [p for p in asked if not self._lacks(p)]})
        verb = {"": "get", "iam": "setIamPolicy" if request.method == "PUT" else "getIamPolicy"}[part]
        self._permit(f"storage.buckets.{verb}", f"projects/_/buckets/{name}")
        if name not in self.buckets:
            raise refusal(404, "The specified bucket does not exist.", "notFound")
        if not part:
            return Answer(200, self.buckets[name])
        policy = self.policies.setdefault(name, {"version": 3, "etag": "1", "bindings": []})
        if request.method == "GET":
            return Answer(200, policy)
        if request.body["etag"] != policy["etag"]:
            raise refusal(
                412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet"
            )
        self.policies[name] = {**request.body, "etag": str(int(policy["etag"]) + 1)}
        return Answer(200, self.policies[name])

    def add_bucket(self, name: str) -> None:
        """Put a bucket as docs/clouds/gcp.md makes it."""
        access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        self.buckets[name] = {"name": name, "location": "EUROPE-NORTH1", "iamConfiguration": access}

    def grant(self, bucket: str, member: str, description: str | None) -> None:
        """Let a member into a bucket, as the module does: by a condition with a description."""
        self.add_bucket(bucket)
        policy = self.policies.setdefault(bucket, {"version": 3, "etag": "1", "bindings": []})
        binding: dict[str, Any] = {"role": "roles/storage.objectUser", "members": [member]}
        if description:
            binding["condition"] = {"title": "harchos-run", "description": description, "expression": "true"}
        policy["bindings"].append(binding)

    def _page(self, request: Request, items: str, found: list[dict[str, Any]]) -> dict[str, Any]:
        """Return one page; like Google's, one without items does not have the field."""
        start, size = _window(request, self.page_size)
        page = {items: found[start : start + size]} if found[start : start + size] else {}
        return page | _next(start + size, len(found))


def _window(request: Request, most: int) -> tuple[int, int]:
    asked = int(request.query.get("maxResults") or request.query.get("pageSize") or most)
    return int(request.query.get("pageToken") or 0), min(asked, most)


def _next(end: int, total: int) -> dict[str, str]:
    return {"nextPageToken": str(end)} if end < total else {}


def _nothing(scope: str, place: str) -> dict[str, Any]:
    message = f"There are no results for scope '{scope}/{place}' on this page."
    data = [{"key": "scope", "value": f"{scope}/{place}"}]
    return {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": message, "data": data}}


def _passes(resource: Mapping[str, Any], request: Request) -> bool:
    """Apply `labels.NAME:*` and `labels.NAME=VALUE`; any other filter is a mistake of the caller."""
    text = request.query.get("filter")
    if not text:
        return True
    found = re.fullmatch(r"labels\.([\w-]+)(?::\*|=([\w-]+))", text)
    if not found:
        raise refusal(
            400, f"Invalid value for field 'filter': '{text}'. Invalid list filter expression.", "invalid"
        )
    value = resource.get("labels", {}).get(found[1])
    return value is not None and found[2] in (None, value)


def _is_ours(authorization: str) -> bool:
    """Accept the token server's token, and a JWT that our service account signed for itself."""
    token = authorization.removeprefix("Bearer ")
    if token == "token-7Qx":
        return True
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    except (IndexError, ValueError):
        return False
    return bool(claims["iss"] == PRINCIPAL)


def _key(url: str) -> dict[str, str]:
    """Return a service account's key file whose token server is this one."""
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "k1",
        "private_key": _private_key(),
        "client_email": PRINCIPAL,
        "client_id": "1",
        "token_uri": f"{url}/token",
    }


@cache
def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode()
