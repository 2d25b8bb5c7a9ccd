"""Azure on a local port: resource manager, identity, Key Vault and retail prices, in their REST formats.

`resources` maps ids to what Azure shows of them; ids are compared without regard to case, as Azure does.
Deletions are long operations (202 with `Azure-AsyncOperation` or `Location`) that take `polls` questions
until they are done; what is in use cannot be deleted; listings come in pages of `page_size`. `denied` are
actions that the caller lacks.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from support.rest_server import Answer, Request, RestServer

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
OBJECT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
REGION = "westeurope"
VAULT = "harchos-vault"
_COMPUTE, _NETWORK = "Microsoft.Compute", "Microsoft.Network"
_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
SCHEDULE = "Microsoft.DevTestLab/schedules"
TYPES = (
    f"{_COMPUTE}/virtualMachines",
    f"{_COMPUTE}/disks",
    f"{_COMPUTE}/availabilitySets",
    f"{_COMPUTE}/proximityPlacementGroups",
    f"{_NETWORK}/networkInterfaces",
    f"{_NETWORK}/publicIPAddresses",
    f"{_NETWORK}/virtualNetworks",
    f"{_NETWORK}/networkSecurityGroups",
    _IDENTITY,
    SCHEDULE,
    "Microsoft.Storage/storageAccounts",
)
_WITHOUT_OPERATION = (
    _IDENTITY,
    _ASSIGNMENT,
    f"{_COMPUTE}/proximityPlacementGroups",
    f"{_COMPUTE}/availabilitySets",
    SCHEDULE,
)
"""Types that are deleted at once: 200, and 204 where they are not there."""
_VERBS = {"GET": "read", "PUT": "write", "DELETE": "delete"}
_IN_USE = {
    "networkInterfaces": "NicInUse",
    "publicIPAddresses": "PublicIPAddressCannotBeDeleted",
    "virtualNetworks": "InUseSubnetCannotBeDeleted",
    "networkSecurityGroups": "InUseNetworkSecurityGroupCannotBeDeleted",
    "disks": "OperationNotAllowed",
}


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """Return the resource manager's error document."""
    return Answer(status, {"error": {"code": code, "message": message}}, headers)


TOO_MANY = refusal(
    429,
    "TooManyRequests",
    "The request is being throttled as the limit has been reached.",
    **{"Retry-After": "0"},
)
UNAVAILABLE = refusal(503, "ServiceUnavailable", "The service is temporarily unavailable.")
EXPIRED = refusal(
    401,
    "ExpiredAuthenticationToken",
    "The access token expiry UTC time '11/25/2026 1:00:00 AM' is earlier than current UTC time.",
)
OTHER_TENANT = refusal(
    401,
    "InvalidAuthenticationTokenTenant",
    f"The access token is from the wrong issuer 'https://sts.windows.net/{TENANT}/'. "
    "It must match the tenant associated with this subscription.",
)
SKU_NOT_AVAILABLE = refusal(
    409,
    "SkuNotAvailable",
    "The requested VM size for resource is currently not available in location 'westeurope' zones '' for "
    "subscription. Please try another size or deploy to a different location or zones.",
)


class FakeAzure(RestServer):
    """One subscription with a shared resource group, and one managed identity signed in."""

    def __init__(self) -> None:
        super().__init__()
        self.resources: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.skus: list[dict[str, Any]] = []
        self.usages: dict[str, list[dict[str, Any]]] = {}
        self.network_usages: dict[str, list[dict[str, Any]]] = {}
        self.prices: list[dict[str, Any]] = []
        self.roles = ["HarchOS hub mailbox", "HarchOS hub lifetime", "Reader"]
        self.permissions: list[dict[str, Any]] = [{"actions": ["*"], "notActions": []}]
        self.unregistered: set[str] = set()
        self.subscriptions = [SUBSCRIPTION]
        self.state = "Enabled"
        self.denied: set[str] = set()
        self.granted: set[str] | None = None
        """All actions that the caller has; None: every one that is not denied."""
        self.operation_errors: dict[str, dict[str, str]] = {}
        """By a part of the id: the error with which its operation ends, told with status 200."""
        self.ghosts: list[dict[str, Any]] = []
        """What the list of everything still shows though it is gone."""
        self.page_size = 100
        self.polls = 1
        self.deleted: list[str] = []
        """What was deleted, in order: type and name."""
        self._operations: dict[str, tuple[str, int]] = {}
        self.add_group("harchos", {})

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point Azure's libraries here, signed in by managed identity."""
        return {
            "AZURE_RESOURCE_MANAGER_ENDPOINT": self.url,
            "AZURE_KEY_VAULT_ENDPOINT": self.url,
            "AZURE_RETAIL_PRICES_ENDPOINT": self.url,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": "header-3Kq",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def add_group(self, name: str, tags: Mapping[str, str]) -> str:
        id = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
        self.groups[id] = {
            "id": id,
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": REGION,
            "tags": dict(tags),
            "properties": {"provisioningState": "Succeeded"},
        }
        return id

    def add(
        self, group: str, type_: str, name: str, tags: Mapping[str, str] | None = None, **properties: Any
    ) -> str:
        """Put a resource into a resource group; returns its id."""
        id = self.id(group, type_, name)
        self.resources[id] = {
            "id": id,
            "name": name,
            "type": type_,
            "location": REGION,
            **({"tags": dict(tags)} if tags is not None else {}),
            "properties": {"provisioningState": "Succeeded"} | properties,
        }
        return id

    def id(self, group: str, type_: str, name: str) -> str:
        """Return the id of a resource in a resource group."""
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{type_}/{name}"

    def add_hub(
        self, run: str, hub: str, *, nodes: int = 1, size: str = "Standard_NC4as_T4_v3", spot: bool = False
    ) -> None:
        """Put a whole hub there, as the module makes it."""
        name, expires = f"harchos-{hub}", "2026-11-24T06:00:00Z"
        tags = {"harchos:run": run, "harchos:hub": hub, "harchos:expires": expires, "harchos:workload": "llm"}
        self.add_group(name, tags)
        nsg = self.add(name, f"{_NETWORK}/networkSecurityGroups", name, tags)
        subnet = {"name": name, "properties": {"networkSecurityGroup": {"id": nsg}}}
        network = self.add(name, f"{_NETWORK}/virtualNetworks", name, tags, subnets=[subnet])
        identity = self.add(name, _IDENTITY, name, tags, principalId=f"principal-of-{hub}")
        self.add_assignment(
            f"assignment-of-{hub}", f"harchos:expires={expires} harchos:hub={hub} harchos:run={run}"
        )
        group = self.add(name, f"{_COMPUTE}/proximityPlacementGroups", name, tags)
        together = self.add(
            name, f"{_COMPUTE}/availabilitySets", name, tags, proximityPlacementGroup={"id": group}
        )
        for n in range(nodes):
            node = f"{name}-n{n}"
            address = self.add(name, f"{_NETWORK}/publicIPAddresses", node, tags)
            place = {"subnet": {"id": f"{network}/subnets/{name}"}, "publicIPAddress": {"id": address}}
            nic = self.add(
                name,
                f"{_NETWORK}/networkInterfaces",
                node,
                tags,
                ipConfigurations=[{"name": "hub", "properties": place}],
            )
            disk = self.add(name, f"{_COMPUTE}/disks", node, diskSizeGB=100)
            machine = self.add(
                name,
                f"{_COMPUTE}/virtualMachines",
                node,
                tags,
                hardwareProfile={"vmSize": size},
                priority="Spot" if spot else "Regular",
                availabilitySet={"id": together},
                networkProfile={"networkInterfaces": [{"id": nic}]},
                storageProfile={
                    "osDisk": {"name": node, "managedDisk": {"id": disk}, "createOption": "FromImage"}
                },
                instanceView={"statuses": [{"code": "PowerState/running"}]},
            )
            self.resources[machine]["identity"] = {"userAssignedIdentities": {identity: {}}}
            self.add(name, SCHEDULE, f"shutdown-computevm-{node}", tags, targetResourceId=machine)
        self.add_secret(run, "hf-token")

    def add_assignment(self, name: str, description: str | None) -> str:
        """Put a role assignment at the mailbox's container."""
        scope = (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/harchos/providers/Microsoft.Storage/storageAccounts/"
            "mbox/blobServices/default/containers/c"
        )
        id = f"{scope}/providers/{_ASSIGNMENT}/{name}"
        properties = {"scope": scope, "principalId": "p", "description": description}
        self.resources[id] = {"id": id, "name": name, "type": _ASSIGNMENT, "properties": properties}
        return id

    def add_secret(self, run: str, name: str) -> None:
        whole = f"harchos-{run}-{name}"
        tags = {"harchos:run": run, "harchos:expires": "2026-11-24T06:00:00Z"}
        id = f"https://{VAULT}.vault.azure.net/secrets/{whole}"
        self.secrets[whole] = {"id": id, "attributes": {"enabled": True}, "tags": tags}

    def add_mailbox(self, account: str, container: str) -> None:
        """Put a storage account with a container into the shared resource group."""
        id = self.add("harchos", "Microsoft.Storage/storageAccounts", account, allowBlobPublicAccess=False)
        within = f"{id}/blobServices/default/containers/{container}"
        kind = "Microsoft.Storage/storageAccounts/blobServices/containers"
        self.resources[within] = {"id": within, "name": container, "type": kind, "properties": {}}

    @property
    def left(self) -> list[str]:
        """Everything that exists but the shared resource group, by id."""
        return [*self.resources, *(g for g in self.groups if not g.endswith("/harchos")), *self.secrets]

    def drop(self, id: str) -> None:
        """Take something away as if it had never been made."""
        for held in (self.resources, self.groups, self.secrets):
            held.pop(id, None)

    def respond(self, request: Request) -> Answer:
        path = request.path.replace("//", "/")
        if path == "/msi/token":
            return self._token(request)
        if path == "/api/retail/prices":
            return self._prices(request)
        if not request.headers.get("authorization", "").startswith("Bearer token-7Qx"):
            raise refusal(
                401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        if path.startswith("/secrets"):
            return self._vault(request, path)
        if path.startswith("/operations/"):
            return self._operation(path)
        if "api-version" not in request.query:
            raise refusal(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        if path == "/subscriptions":
            return self._page(request, [self._subscription(s) for s in self.subscriptions])
        return self._of_subscription(request, path)

    def _token(self, request: Request) -> Answer:
        if request.headers.get("x-identity-header") != "header-3Kq":
            return Answer(400, {"error": "invalid_request", "error_description": "no identity header"})
        return Answer(
            200,
            {
                "access_token": "token-7Qx",
                "expires_on": str(int(time.time()) + 3600),
                "resource": request.query.get("resource"),
                "token_type": "Bearer",
            },
        )

    def _subscription(self, id: str) -> dict[str, Any]:
        named = {"subscriptionId": id, "displayName": "Research", "tenantId": TENANT, "state": self.state}
        return {"id": f"/subscriptions/{id}", **named}

    def _of_subscription(self, request: Request, path: str) -> Answer:
        subscription = path.split("/")[2]
        if subscription not in self.subscriptions:
            message = f"The subscription '{subscription}' could not be found."
            raise refusal(404, "SubscriptionNotFound", message)
        rest = path.removeprefix(f"/subscriptions/{subscription}")
        match rest.split("/")[1:]:
            case []:
                self._permit("Microsoft.Resources/subscriptions/read", path)
                return Answer(200, self._subscription(subscription))
            case ["locations"]:
                self._permit("Microsoft.Resources/subscriptions/locations/read", path)
                return self._page(request, _locations())
            case ["resourcegroups"]:
                self._permit("Microsoft.Resources/subscriptions/resourceGroups/read", path)
                return self._page(request, list(self.groups.values()))
            case ["resources"]:
                self._permit("Microsoft.Resources/subscriptions/resources/read", path)
                return self._everything(request)
            case ["providers", namespace]:
                self._permit("Microsoft.Resources/subscriptions/providers/read", path)
                return Answer(200, self._provider(namespace))
            case ["providers", "Microsoft.Compute", "locations", region, "usages"]:
                self._permit("Microsoft.Compute/locations/usages/read", path)
                return self._page(request, self.usages.get(region, []))
            case ["providers", "Microsoft.Network", "locations", region, "usages"]:
                self._permit("Microsoft.Network/locations/usages/read", path)
                return self._page(request, self.network_usages.get(region, []))
            case ["providers", "Microsoft.Compute", "skus"]:
                self._permit("Microsoft.Compute/skus/read", path)
                return self._page(request, self.skus)
            case ["providers", "Microsoft.Authorization", "permissions"]:
                self._permit("Microsoft.Authorization/permissions/read", path)
                return self._page(request, self.permissions)
            case ["providers", "Microsoft.Authorization", "roleDefinitions"]:
                self._permit("Microsoft.Authorization/roleDefinitions/read", path)
                wanted = re.fullmatch(r"roleName eq '(.*)'", request.query.get("$filter", ""))
                found = [r for r in self.roles if wanted is None or r == wanted[1]]
                return self._page(request, [{"name": r, "properties": {"roleName": r}} for r in found])
            case ["providers", namespace, collection]:
                return self._listing(request, path, f"{namespace}/{collection}")
        return self._resource(request, path)

    def _permit(self, action: str, scope: str) -> None:
        if action in self.denied or (self.granted is not None and action not in self.granted):
            message = (
                f"The client 'ci' with object id '{OBJECT}' does not have authorization to perform action "
                f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
                "please refresh your credentials."
            )
            raise refusal(403, "AuthorizationFailed", message)

    def _listing(self, request: Request, path: str, type_: str) -> Answer:
        self._permit(f"{type_}/read", path)
        if type_.partition("/")[0] in self.unregistered:
            namespace = type_.partition("/")[0]
            message = f"The subscription is not registered to use namespace '{namespace}'."
            raise refusal(409, "MissingSubscriptionRegistration", message)
        found = [r for r in self.resources.values() if r["type"].lower() == type_.lower()]
        if type_.endswith("/virtualMachines"):
            if "$expand" in request.query and "$filter" not in request.query:
                raise refusal(400, "InvalidParameter", "$expand can only be given with a valid $filter.")
            found = [
                r | {"properties": {k: v for k, v in r["properties"].items() if k != "instanceView"}}
                for r in found
            ]
        return self._page(request, found)

    def _everything(self, request: Request) -> Answer:
        """Answer the list of everything; like Azure's, without tags where a filter by tag is asked for."""
        found = [r for r in self.resources.values() if "location" in r] + self.ghosts
        shown = [{k: r[k] for k in ("id", "name", "type", "location", "tags") if k in r} for r in found]
        if wanted := re.fullmatch(
            r"tagName eq '(.*?)'( and tagValue eq '(.*)')?", request.query.get("$filter", "")
        ):
            shown = [s for s in shown if wanted[1] in s.get("tags", {})]
            shown = [s for s in shown if wanted[2] is None or s["tags"][wanted[1]] == wanted[3]]
            shown = [{k: v for k, v in s.items() if k != "tags"} for s in shown]
        return self._page(request, shown)

    def _provider(self, namespace: str) -> dict[str, Any]:
        types = [
            {
                "resourceType": t.partition("/")[2],
                "apiVersions": ["2099-01-01-preview", "2018-09-15", "2016-05-15"],
            }
            for t in TYPES
            if t.startswith(f"{namespace}/")
        ]
        state = "NotRegistered" if namespace in self.unregistered else "Registered"
        return {"namespace": namespace, "registrationState": state, "resourceTypes": types}

    def _resource(self, request: Request, path: str) -> Answer:
        id, held = self._find(path)
        type_ = _type(path)
        self._permit(f"{type_}/{_VERBS[request.method]}", path)
        if request.method == "PUT":
            return self._put(request, path, type_)
        if type_.endswith("/instanceView"):
            machine, _ = self._find(path.removesuffix("/instanceView"))
            if machine is not None:
                return Answer(200, self.resources[machine]["properties"]["instanceView"])
        if id is None:
            return _absent(request, path, type_)
        if request.method == "GET":
            return Answer(200, held[id])
        return self._delete(id, type_)

    def _find(self, path: str) -> tuple[str | None, dict[str, dict[str, Any]]]:
        for held in (self.resources, self.groups):
            for id in held:
                if id.lower() == path.lower():
                    return id, held
        return None, {}

    def _put(self, request: Request, path: str, type_: str) -> Answer:
        """Create a resource: 201 (a disk: 202) with an operation; what fails stays there as `Failed`."""
        parts = path.split("/")
        error = next((p for p in self.operation_errors if p in path), "")
        state = {"provisioningState": "Failed" if error else "Succeeded"}
        self.add(parts[4], type_, parts[-1], request.body.get("tags"), **request.body["properties"], **state)
        headers = {"Azure-AsyncOperation": self._begin("", error), "Retry-After": "0"}
        return Answer(202 if type_.endswith("/disks") else 201, self.resources[path], headers)

    def _delete(self, id: str, type_: str) -> Answer:
        if user := self._user(id):
            collection = type_.rpartition("/")[2]
            message = f"{collection} {id} is in use by {user} and cannot be deleted."
            raise refusal(400, _IN_USE.get(collection, "InUse"), message)
        if type_ in _WITHOUT_OPERATION:
            self._remove(id)
            return Answer(200)
        error = next((part for part in self.operation_errors if part in id), "")
        operation = self._begin("" if error else id, error)
        header = "Location" if type_.endswith("resourceGroups") else "Azure-AsyncOperation"
        return Answer(202, None, {header: operation, "Retry-After": "0"})

    def _remove(self, id: str) -> None:
        """Delete one resource, or a resource group with all that is in it."""
        for other in [i for i in self.resources if i.startswith(f"{id}/")]:
            del self.resources[other]
        held = self.groups if id in self.groups else self.resources
        self.deleted.append(f"{held[id]['type']}/{held[id]['name']}")
        del held[id]

    def _user(self, id: str) -> str | None:
        """Return what uses a resource: whatever of another kind names it, or something below it."""
        if id in self.groups:
            return None
        named = re.compile(f'"{re.escape(id)}(/[^"]*)?"', re.IGNORECASE)
        for other, resource in self.resources.items():
            uses = other != id and resource["type"] not in (SCHEDULE, _ASSIGNMENT)
            if uses and named.search(json.dumps(resource)):
                return other
        return None

    def _begin(self, id: str, error: str) -> str:
        name = f"{len(self._operations) + 1}"
        self._operations[name] = (f"error:{error}" if error else id, self.polls)
        return f"{self.url}/operations/{name}?api-version=2024-07-01"

    def _operation(self, path: str) -> Answer:
        """Answer about a long operation: by its status document, or by 202 until it is done."""
        name = path.rsplit("/", 1)[-1]
        id, polls = self._operations[name]
        self._operations[name] = (id, polls - 1)
        by_location = id in self.groups
        if polls > 1:
            again = {"Retry-After": "0", "Location": f"{self.url}{path}?api-version=2024-07-01"}
            return Answer(202, None, again) if by_location else Answer(200, {"status": "InProgress"}, again)
        if id.startswith("error:"):
            return Answer(
                200, {"status": "Failed", "error": self.operation_errors[id.removeprefix("error:")]}
            )
        if id and self._find(id)[0]:
            self._remove(id)
        return Answer(200) if by_location else Answer(200, {"status": "Succeeded"})

    def _vault(self, request: Request, path: str) -> Answer:
        action = "Microsoft.KeyVault/vaults/secrets/" + (
            "readMetadata" if request.method == "GET" else "delete"
        )
        if f"{action}/action" in self.denied:
            message = (
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny "
                "assignments or role definitions were changed recently, please observe propagation time."
                f"\r\nCaller: oid={OBJECT}"
                f"\r\nAction: '{action}/action'\r\nResource: '{path}'"
            )
            inner = {"code": "ForbiddenByRbac"}
            raise Answer(403, {"error": {"code": "Forbidden", "message": message, "innererror": inner}})
        if path == "/secrets":
            return self._page(request, list(self.secrets.values()))
        name = path.removeprefix("/secrets/")
        if name not in self.secrets:
            raise refusal(
                404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault."
            )
        if request.method == "DELETE":
            self.deleted.append(f"secrets/{name}")
            return Answer(200, self.secrets.pop(name))
        return Answer(200, self.secrets[name])

    def _prices(self, request: Request) -> Answer:
        wanted = dict(re.findall(r"(\w+) eq '([^']*)'", request.query.get("$filter", "")))
        names = {"priceType": "type"}
        found = [p for p in self.prices if all(p.get(names.get(k, k)) == v for k, v in wanted.items())]
        start = int(request.query.get("$skip", 0))
        following = None
        if start + self.page_size < len(found):
            query = request.query["$filter"].replace(" ", "%20").replace("'", "%27")
            following = f"{self.url}/api/retail/prices?$filter={query}&$skip={start + self.page_size}"
        items = found[start : start + self.page_size]
        page = {"BillingCurrency": "USD", "Items": items, "NextPageLink": following, "Count": len(items)}
        return Answer(200, page)

    def _page(self, request: Request, found: list[dict[str, Any]]) -> Answer:
        start = int(request.query.get("$skiptoken", 0))
        page: dict[str, Any] = {"value": found[start : start + self.page_size]}
        if start + self.page_size < len(found):
            query = {**request.query, "$skiptoken": str(start + self.page_size)}
            joined = "&".join(f"{k}={v.replace(' ', '%20')}" for k, v in query.items())
            page["nextLink"] = f"{self.url}{request.path}?{joined}"
        return Answer(200, page)


def _locations() -> list[dict[str, Any]]:
    named = [("westeurope", "Physical"), ("northeurope", "Physical"), ("europe", "Logical")]
    return [{"name": name, "metadata": {"regionType": kind}} for name, kind in named]


def _absent(request: Request, path: str, type_: str) -> Answer:
    if type_.endswith("resourceGroups") or request.method == "GET":
        code = "ResourceGroupNotFound" if type_.endswith("resourceGroups") else "ResourceNotFound"
        return refusal(404, code, f"The Resource '{path}' was not found.")
    return Answer(204)


def _type(path: str) -> str:
    if "/providers/" not in path:
        return "Microsoft.Resources/subscriptions/resourceGroups"
    namespace, *rest = path.rpartition("/providers/")[2].split("/")
    return "/".join([namespace, *rest[::2]])


def price(
    size: str,
    usd: float,
    *,
    meter: str = "",
    product: str = "Virtual Machines NCasT4_v3 Series",
    **fields: Any,
) -> dict[str, Any]:
    """Return an entry of the retail price list."""
    return {
        "currencyCode": "USD",
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": REGION,
        "location": "EU West",
        "effectiveStartDate": "2026-11-01T00:00:00Z",
        "meterName": meter or size.removeprefix("Standard_").replace("_", " "),
        "productName": product,
        "serviceName": "Virtual Machines",
        "armSkuName": size,
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        **fields,
    }


def sku(
    size: str,
    family: str,
    *,
    gpus: int = 1,
    zones: tuple[str, ...] = ("1", "2"),
    spot: bool = True,
    **fields: Any,
) -> dict[str, Any]:
    """Return an entry of the list of sizes."""
    capabilities = [{"name": "vCPUs", "value": "4"}, {"name": "LowPriorityCapable", "value": str(spot)}]
    if gpus:
        capabilities.append({"name": "GPUs", "value": str(gpus)})
    return {
        "resourceType": "virtualMachines",
        "name": size,
        "family": family,
        "locations": [REGION],
        "locationInfo": [{"location": REGION, "zones": list(zones), "zoneDetails": []}],
        "capabilities": capabilities,
        "restrictions": [],
        **fields,
    }


def usage(code: str, limit: int, used: int) -> dict[str, Any]:
    """Return an entry of a region's usage."""
    name = {"value": code, "localizedValue": f"{code} vCPUs"}
    return {"unit": "Count", "currentValue": used, "limit": limit, "name": name}
