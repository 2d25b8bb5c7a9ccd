"""AWS on a local port: moto's server behind a front that fills its gaps, corrects it and injects faults.

The client needs `AWS_ENDPOINT_URL` and nothing else. What moto lacks is answered here in AWS's own formats:
price list, spot prices, quotas, placement groups, policy simulation, opted-out regions, wildcards of
offerings. What it gets wrong is corrected: a security group, subnet, gateway or network in use refuses to be
deleted, the first interface of an instance goes with it, and an instance may take its time to end
(`shutdown_polls`). Answers that go wrong are queued by `fail(ACTION, CODE, …)`; `deny(ACTION)` takes a
permission away for good.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlencode
from urllib.request import Request, urlopen
from xml.etree import ElementTree
from xml.sax.saxutils import escape

os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1")
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from moto.backends import get_backend
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = "123456789012"
REGIONS = ("eu-west-1", "us-east-1")
GPU_QUOTAS = {
    "L-DB2E81BA": "Running On-Demand G and VT instances",
    "L-417A185B": "Running On-Demand P instances",
    "L-3819A6DF": "All G and VT Spot Instance Requests",
    "L-7212CCBC": "All P4, P3 and P2 Spot Instance Requests",
    "L-C4BD4855": "All P5 Spot Instance Requests",
}
_DENIED = {"ec2": "UnauthorizedOperation", "iam": "AccessDenied", "sts": "AccessDenied", "s3": "AccessDenied"}
_QUERY = ("ec2", "iam", "sts")

Parameters = Mapping[str, str]
Answer = tuple[int, str, bytes]
"""Status, content type, body."""


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    service: str
    action: str
    region: str
    parameters: Parameters


@dataclass
class Fault:
    """What the next `times` calls of an action are answered with."""

    action: str
    code: str
    message: str
    status: int
    times: float
    region: str | None


@dataclass
class AwsServer:
    """A server on a port of its own. A context manager; moto's state is emptied when it starts."""

    regions: tuple[str, ...] = REGIONS
    """Regions that are enabled; `opted_out` are shown as not opted into and refuse every call."""
    opted_out: tuple[str, ...] = ("af-south-1",)
    list_prices: dict[str, float] = field(
        default_factory=lambda: {"g5.xlarge": 1.006, "p4d.24xlarge": 21.957}
    )
    """USD per hour by instance type, in every region."""
    spot_prices: dict[tuple[str, str], float] = field(default_factory=dict)
    """USD per hour by (zone, instance type)."""
    quotas: dict[tuple[str, str], float] = field(default_factory=dict)
    """Limits by (region, code); GPU quotas not named are 0, `VPCs per Region` is 5."""
    calls: list[Call] = field(default_factory=list)
    arn: str = f"arn:aws:iam::{ACCOUNT}:user/test"
    """Who the caller is."""
    shutdown_polls: int = 0
    """How often an instance is shown as shutting down before it is terminated."""

    def __post_init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._faults: list[Fault] = []
        self._denied: list[tuple[str, str | None]] = []
        self._groups: dict[tuple[str, str], dict[str, Any]] = {}
        self._members: dict[str, str] = {}
        self._ending: dict[str, int] = {}
        self._ended: set[str] = set()
        self._lock = Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """What `AWS_ENDPOINT_URL` is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """Return what a client needs in its environment; anything that leaves this machine fails at once."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": self.regions[0],
            "AWS_DEFAULT_REGION": self.regions[0],
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def __enter__(self) -> AwsServer:
        self._thread.start()
        urlopen(Request(f"{self.url}/moto-api/reset", method="POST")).close()
        self.calls.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(
        self,
        action: str,
        code: str,
        message: str = "as the test wants it",
        *,
        status: int = 400,
        times: float = 1,
        region: str | None = None,
    ) -> None:
        """Answer the next `times` calls of `ec2:RunInstances` (`*`: of anything) with an error."""
        self._faults.append(Fault(action, code, message, status, times, region))

    def deny(self, action: str, region: str | None = None) -> None:
        """Take a permission away, in one region or everywhere."""
        self._denied.append((action, region))

    def actions(self, service: str) -> list[str]:
        """Return which actions of a service were called, in order."""
        return [call.action for call in self.calls if call.service == service]

    # one request

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        call, body = _read(environ)
        with self._lock:
            self.calls.append(call)
            error = self._refusal(call)
        if error is None:
            handler = getattr(self, f"_{_snake(call)}", None)
            answer: Answer | None
            try:
                with self._lock:
                    answer = handler(call, body) if handler else None
            except _RefusedError as refused:
                error, answer = refused, None
            if answer is not None:
                return _send(start_response, *answer)
        if error is not None:
            return _send(start_response, *_error(call, error))
        return self._forward(call, environ, start_response)

    def _refusal(self, call: Call) -> _RefusedError | None:
        name = f"{call.service}:{call.action}"
        if call.region in self.opted_out:
            return _RefusedError("AuthFailure", "AWS was not able to validate the provided credentials", 401)
        if (name, None) in self._denied or (name, call.region) in self._denied:
            message = f"User: {self.arn} is not authorized to perform: {name}"
            return _RefusedError(_DENIED.get(call.service, "AccessDeniedException"), message, 403)
        for fault in self._faults:
            if fault.times > 0 and fault.action in (name, "*") and fault.region in (None, call.region):
                fault.times -= 1
                return _RefusedError(fault.code, fault.message, fault.status)
        return None

    def _forward(
        self, call: Call, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes]:
        told: list[Any] = []
        if call.action == "DescribeInstances":
            _put(environ, self._without_wildcards(call))

        def remember(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
            told[:] = [status, headers]
            return lambda _: None

        app = self._moto.get_application(environ)
        body = b"".join(app(environ, remember))
        after = getattr(self, f"_after_{_snake(call)}", None)
        if after and told[0].startswith("200"):
            with self._lock:
                after(call, body)
        start_response(*told)
        return [body]

    # what moto lacks

    def _sts_get_caller_identity(self, call: Call, _: bytes) -> Answer:
        return _xml(call, {"Arn": self.arn, "UserId": "AIDAEXAMPLE", "Account": ACCOUNT})

    def _ec2_describe_regions(self, call: Call, _: bytes) -> Answer:
        every = call.parameters.get("AllRegions") == "true"
        shown = [(name, "opt-in-not-required") for name in self.regions]
        shown += [(name, "not-opted-in") for name in self.opted_out if every]
        return _xml(
            call,
            {
                "regionInfo": [
                    {"regionName": n, "regionEndpoint": f"ec2.{n}.amazonaws.com", "optInStatus": s}
                    for n, s in shown
                ]
            },
        )

    def _ec2_describe_instance_type_offerings(self, call: Call, _: bytes) -> Answer:
        kind = call.parameters.get("LocationType", "region")
        wanted = _filters(call.parameters).get("instance-type", ["*"])
        places = _filters(call.parameters).get("location", ["*"])
        found = [
            {"instanceType": o["InstanceType"], "locationType": kind, "location": o["Location"]}
            for o in INSTANCE_TYPE_OFFERINGS[kind].get(call.region, [])
            if any(fnmatchcase(o["InstanceType"], pattern) for pattern in wanted)
            and any(fnmatchcase(o["Location"], pattern) for pattern in places)
        ]
        page, token = _page(found, call.parameters.get("NextToken"), 200)
        return _xml(call, {"instanceTypeOfferingSet": page, **({"nextToken": token} if token else {})})

    def _ec2_describe_spot_price_history(self, call: Call, _: bytes) -> Answer:
        names = [v for k, v in call.parameters.items() if k.startswith("InstanceType.")]
        found = [
            {
                "instanceType": name,
                "productDescription": "Linux/UNIX",
                "spotPrice": f"{price:.6f}",
                "timestamp": "2026-11-24T12:00:00.000Z",
                "availabilityZone": zone,
            }
            for (zone, name), price in sorted(self.spot_prices.items())
            if zone.startswith(call.region) and (not names or name in names)
        ]
        return _xml(call, {"spotPriceHistorySet": found, "nextToken": ""})

    def _ec2_create_placement_group(self, call: Call, _: bytes) -> Answer:
        name = call.parameters["GroupName"]
        if (call.region, name) in self._groups:
            raise _RefusedError(
                "InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists."
            )
        group = {
            "groupName": name,
            "strategy": call.parameters.get("Strategy", "cluster"),
            "state": "available",
            "groupId": f"pg-{len(self._groups):017x}",
            "tagSet": _tag_specification(call.parameters),
        }
        self._groups[call.region, name] = group
        return _xml(call, {"return": "true", "placementGroup": group})

    def _ec2_describe_placement_groups(self, call: Call, _: bytes) -> Answer:
        names = [v for k, v in call.parameters.items() if k.startswith("GroupName.")]
        for name in names:
            if (call.region, name) not in self._groups:
                raise _RefusedError(
                    "InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown."
                )
        found = [
            group
            for (region, name), group in self._groups.items()
            if region == call.region
            and (not names or name in names)
            and _has_tags(group["tagSet"], _filters(call.parameters))
        ]
        return _xml(call, {"placementGroupSet": found})

    def _ec2_delete_placement_group(self, call: Call, _: bytes) -> Answer:
        name = call.parameters["GroupName"]
        if (call.region, name) not in self._groups:
            raise _RefusedError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
        live = {instance.id for instance in self._live(call.region)}
        if any(group == name and instance in live for instance, group in self._members.items()):
            raise _RefusedError(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{name}' is in use and may not be deleted.",
            )
        del self._groups[call.region, name]
        return _xml(call, {"return": "true"})

    def _pricing_get_products(self, call: Call, body: bytes) -> Answer:
        asked = json.loads(body)
        wanted = {item["Field"]: item["Value"] for item in asked["Filters"]}
        if wanted.get("productFamily") == "Storage":
            products = [_product(wanted, 0.0952, "GB-Mo")]
        else:
            products = [
                _product({**wanted, "instanceType": name}, price, "Hrs")
                for name, price in self.list_prices.items()
            ]
        page, token = _page(products, asked.get("NextToken"), 100)
        texts = [json.dumps(product) for product in page]
        return _json(
            {"FormatVersion": "aws_v1", "PriceList": texts, **({"NextToken": token} if token else {})}
        )

    def _servicequotas_list_service_quotas(self, call: Call, body: bytes) -> Answer:
        service = json.loads(body)["ServiceCode"]
        named = {"vpc": {"L-F678F1CE": "VPCs per Region"}, "ec2": GPU_QUOTAS}[service]
        default = 5.0 if service == "vpc" else 0.0
        return _json(
            {
                "Quotas": [
                    {
                        "ServiceCode": service,
                        "QuotaCode": code,
                        "QuotaName": name,
                        "Value": self.quotas.get((call.region, code), default),
                        "Adjustable": True,
                    }
                    for code, name in named.items()
                ]
            }
        )

    def _iam_simulate_principal_policy(self, call: Call, _: bytes) -> Answer:
        names = [v for k, v in call.parameters.items() if k.startswith("ActionNames.member.")]
        denied = {action for action, _ in self._denied}
        results = [
            {
                "EvalActionName": name,
                "EvalResourceName": call.parameters.get("ResourceArns.member.1", "*"),
                "EvalDecision": "implicitDeny" if name in denied else "allowed",
            }
            for name in names
        ]
        return _xml(call, {"IsTruncated": "false", "EvaluationResults": results})

    # what moto lets pass

    def _ec2_delete_security_group(self, call: Call, _: bytes) -> None:
        group = call.parameters.get("GroupId", "")
        held = any(group == g.id for i in self._live(call.region) for g in i.security_groups) or any(
            group in (g.id for g in nic.group_set) for nic in self._ec2(call.region).enis.values()
        )
        if held:
            raise _RefusedError("DependencyViolation", f"resource {group} has a dependent object")

    def _ec2_delete_key_pair(self, call: Call, _: bytes) -> Answer | None:
        """Delete by id, which moto ignores."""
        pairs = self._ec2(call.region).key_pairs
        named = [name for name, pair in pairs.items() if pair.id == call.parameters.get("KeyPairId")]
        if "KeyPairId" not in call.parameters:
            return None
        for name in named:
            del pairs[name]
        return _xml(call, {"return": "true"})

    def _ec2_delete_subnet(self, call: Call, _: bytes) -> None:
        subnet = call.parameters["SubnetId"]
        nics = self._ec2(call.region).enis.values()
        if any(i.subnet_id == subnet for i in self._live(call.region)) or any(
            nic.subnet.id == subnet for nic in nics
        ):
            raise _RefusedError("DependencyViolation", f"The subnet '{subnet}' has dependencies")

    def _ec2_detach_internet_gateway(self, call: Call, _: bytes) -> None:
        vpc = call.parameters["VpcId"]
        if any(i.vpc_id == vpc for i in self._live(call.region)):
            raise _RefusedError("DependencyViolation", f"Network {vpc} has some mapped public address(es)")

    def _ec2_delete_vpc(self, call: Call, _: bytes) -> None:
        vpc, backend = call.parameters["VpcId"], self._ec2(call.region)
        groups = [g for g in backend.groups.get(vpc, {}).values() if g.name != "default"]
        gateways = [g for g in backend.internet_gateways.values() if g.vpc and g.vpc.id == vpc]
        if groups or gateways:
            raise _RefusedError("DependencyViolation", f"The vpc '{vpc}' has dependencies")

    def _ec2_describe_instances(self, call: Call, _: bytes) -> None:
        """Let instances that are shutting down come nearer to their end with each look at them."""
        for instance in self._instances(call.region):
            if instance.id in self._ending:
                self._ending[instance.id] -= 1
                if self._ending[instance.id] < 0:
                    del self._ending[instance.id]
                    self._end(call.region, instance)

    def _without_wildcards(self, call: Call) -> dict[str, str]:
        """Return the request with `g*` among its filters written out as the types there are."""
        types = {instance.instance_type for instance in self._instances(call.region)} or {"none"}
        put = {k: v for k, v in call.parameters.items() if ".Value." not in k}
        for name, wanted in _filters(call.parameters).items():
            key = next(k for k, v in put.items() if v == name).removesuffix("Name") + "Value."
            if name == "instance-type":
                matching = [t for t in sorted(types) if any(fnmatchcase(t, pattern) for pattern in wanted)]
                wanted = matching or ["none"]
            put |= {f"{key}{place}": value for place, value in enumerate(wanted, 1)}
        return put

    def _after_ec2_run_instances(self, call: Call, body: bytes) -> None:
        group = call.parameters.get("Placement.GroupName")
        for element in ElementTree.fromstring(body).iter():
            if group and element.tag.endswith("instanceId") and element.text:
                self._members[element.text] = group

    def _after_ec2_terminate_instances(self, call: Call, _: bytes) -> None:
        wanted = {v for k, v in call.parameters.items() if k.startswith("InstanceId.")}
        for instance in self._instances(call.region):
            if instance.id not in wanted or instance.id in self._ended:
                continue
            if self.shutdown_polls:
                instance._state.name, instance._state.code = "shutting-down", 32
                self._ending.setdefault(instance.id, self.shutdown_polls)
            else:
                self._end(call.region, instance)

    def _end(self, region: str, instance: Any) -> None:
        """Let an instance be terminated, and its first interface with it."""
        self._ended.add(instance.id)
        instance._state.name, instance._state.code = "terminated", 48
        for nic in list(instance.nics.values()):
            if nic.device_index == 0:
                self._ec2(region).enis.pop(nic.id, None)

    def _ec2(self, region: str) -> Any:
        return get_backend("ec2")[ACCOUNT][region]

    def _instances(self, region: str) -> list[Any]:
        return [i for r in self._ec2(region).reservations.values() for i in r.instances]

    def _live(self, region: str) -> list[Any]:
        return [i for i in self._instances(region) if i._state.name != "terminated"]


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _read(environ: dict[str, Any]) -> tuple[Call, bytes]:
    """Return the call with its parameters, and its body, which stays readable for who answers it."""
    body = b""
    with suppress(KeyError, ValueError):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    environ["wsgi.input"] = io.BytesIO(body)
    region, service = "us-east-1", "s3"
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if "Credential=" in authorization:
        _, _, region, service, _ = authorization.split("Credential=")[1].split(",")[0].split("/")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    parameters: dict[str, str] = {}
    if target:
        action = target.rpartition(".")[2]
    elif service in _QUERY:
        parameters = {k: v[0] for k, v in parse_qs(body.decode(), keep_blank_values=True).items()}
        action = parameters.get("Action", "")
    else:
        action = _s3_action(environ)
    return Call(service, action, region, parameters), body


def _put(environ: dict[str, Any], parameters: Parameters) -> None:
    body = urlencode(parameters).encode()
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))


def _snake(call: Call) -> str:
    return f"{call.service}_{re.sub('(?<!^)(?=[A-Z])', '_', call.action).lower()}"


def _s3_action(environ: Mapping[str, Any]) -> str:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].strip("/")
    on_object = "/" in path
    names = {
        ("GET", False): "ListBucket",
        ("HEAD", False): "HeadBucket",
        ("PUT", False): "CreateBucket",
        ("GET", True): "GetObject",
        ("HEAD", True): "GetObject",
        ("PUT", True): "PutObject",
        ("DELETE", True): "DeleteObject",
    }
    return names.get((method, on_object), method)


def _send(start_response: Callable[..., Any], status: int, content_type: str, body: bytes) -> list[bytes]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    start_response(f"{status} {'OK' if status == 200 else 'Error'}", headers)
    return [body]


def _error(call: Call, error: _RefusedError) -> Answer:
    said = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    if call.service == "ec2":
        text = f"<Response><Errors><Error>{said}</Error></Errors><RequestID>0</RequestID></Response>"
    elif call.service in _QUERY:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type>{said}</Error><RequestId>0</RequestId></ErrorResponse>"
        )
    elif call.service == "s3":
        text = f"<Error>{said}</Error>"
    else:
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        return error.status, "application/x-amz-json-1.1", body
    return error.status, "text/xml", text.encode()


def _json(document: Any) -> Answer:
    return 200, "application/x-amz-json-1.1", json.dumps(document).encode()


def _xml(call: Call, content: Mapping[str, Any]) -> Answer:
    inner = "".join(_element(k, v, "item" if call.service == "ec2" else "member") for k, v in content.items())
    if call.service != "ec2":
        inner = f"<{call.action}Result>{inner}</{call.action}Result>"
    text = f"<{call.action}Response><requestId>0</requestId>{inner}</{call.action}Response>"
    return 200, "text/xml", text.encode()


def _element(name: str, value: Any, each: str) -> str:
    if isinstance(value, Mapping):
        inner = "".join(_element(k, v, each) for k, v in value.items())
    elif isinstance(value, list):
        inner = "".join(_element(each, item, each) for item in value)
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>"


def _page(items: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    start = int(token or 0)
    following = start + size
    return items[start:following], str(following) if following < len(items) else None


def _filters(parameters: Parameters) -> dict[str, list[str]]:
    return {
        name: [v for k, v in parameters.items() if k.startswith(key.removesuffix("Name") + "Value.")]
        for key, name in parameters.items()
        if key.startswith("Filter.") and key.endswith(".Name")
    }


def _tag_specification(parameters: Parameters) -> list[dict[str, str]]:
    return [
        {"key": key, "value": parameters.get(name.removesuffix("Key") + "Value", "")}
        for name, key in parameters.items()
        if name.startswith("TagSpecification.") and name.endswith(".Key")
    ]


def _has_tags(tags: list[dict[str, str]], filters: Mapping[str, list[str]]) -> bool:
    have = {tag["key"]: tag["value"] for tag in tags}
    return all(
        any(key in have for key in wanted) if name == "tag-key" else have.get(name[4:]) in wanted
        for name, wanted in filters.items()
        if name.startswith("tag")
    )


def _product(attributes: Mapping[str, str], price: float, unit: str) -> dict[str, Any]:
    """Return an entry of the price list, with the reserved terms that a reader must step over."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": f"{price:.10f}"}, "description": "per unit"}
    free = {"unit": unit, "pricePerUnit": {"USD": "0.0000000000"}, "description": "free tier"}
    return {
        "product": {"productFamily": "Compute Instance", "attributes": dict(attributes), "sku": "SKU"},
        "serviceCode": "AmazonEC2",
        "terms": {
            "OnDemand": {"SKU.JRTCKXETXF": {"priceDimensions": {"a": free, "b": dimension}}},
            "Reserved": {"SKU.X": {"priceDimensions": {"c": {**dimension, "pricePerUnit": {"USD": "0.1"}}}}},
        },
        "publicationDate": "2026-11-20T00:00:00Z",
    }
