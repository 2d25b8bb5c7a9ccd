"""A provider that serves one cloud's genuine schemas and pretends to make what they describe."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from support.schema_replay import wire
from support.schema_replay.answers import PROJECT, Answers, Place, answer, identifier
from support.schema_replay.fault import Fault, Faults
from support.schema_replay.replaced import REPLACED_BY
from support.schema_replay.schemas import AttributePath, Json, ProviderSchema, mapped
from support.schema_replay.wire import UNKNOWN, decode, encode, is_unknown, pb
from support.schema_replay.world import Call, World, without_nulls

_SUCCESS = Fault()


class ReplayProvider(wire.services.ProviderServicer):  # type: ignore[misc, name-defined]
    """Answers each call as the real provider would, as far as a schema tells.

    Planning makes null computed attributes unknown when something is created; applying makes up what is
    unknown. `callers` returns the processes that an injected crash kills.
    """

    def __init__(
        self,
        schema: ProviderSchema,
        world: World,
        faults: Faults,
        answers: Answers,
        callers: Callable[[], list[int]],
    ) -> None:
        self._schema = schema
        self._world = world
        self._faults = faults
        self._answers = answers
        self._callers = callers
        self._met: dict[str, int] = {}
        self._lock = threading.Lock()
        self._place = Place("us-east-1" if schema.name == "aws" else "europe-west4", PROJECT)
        self._common_tags: dict[str, str] = {}
        self._provider_schema = wire.provider_schema(schema)

    def GetMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return wire.metadata(self._schema)

    def GetProviderSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._provider_schema

    def GetFunctions(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.Nothing()

    def StopProvider(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.StopProvider.Response()

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        config = decode(request.config)
        missing = self._schema.name == "azurerm" and not config["features"]
        problems = [wire.error("Insufficient features blocks", "At least 1 features block is required.")]
        return pb.ValidateProviderConfig.Response(diagnostics=problems if missing else [])

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._validated(self._schema.resources[request.type_name]["block"], decode(request.config))

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._validated(self._schema.data_sources[request.type_name]["block"], decode(request.config))

    def ConfigureProvider(self, request: Any, context: Any) -> Any:  # noqa: N802
        config = without_nulls(decode(request.config))
        fault = self._fault(f"{self._schema.name}:configure")
        self._world.note(Call("configure", self._schema.name, config, error=fault.error))
        region, project = config.get("region"), config.get("project")
        self._place = Place(
            region if isinstance(region, str) else self._place.region,
            project if isinstance(project, str) else self._place.project,
        )
        default_tags = (config.get("default_tags") or [{}])[0].get("tags", {})
        self._common_tags = {**default_tags, **config.get("default_labels", {})}
        return pb.ConfigureProvider.Response(diagnostics=_diagnostics(fault))

    def UpgradeResourceState(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind, state = request.type_name, decode(request.current_state)
        fault = self._fault(f"{kind}:read")
        self._world.note(Call("read", kind, {}, state.get("id"), fault.error))
        gone = self._world.is_gone(kind, state.get("id"))
        return pb.ReadResource.Response(
            new_state=encode(None) if gone else request.current_state,
            private=request.private,
            diagnostics=_diagnostics(fault),
        )

    def PlanResourceChange(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = request.type_name
        prior, wanted = decode(request.prior_state), decode(request.proposed_new_state)
        fault = self._fault(f"{kind}:plan")
        if wanted is not None:
            wanted = self._planned(kind, prior, wanted)
        return pb.PlanResourceChange.Response(
            planned_state=encode(wanted),
            requires_replace=[wire.attribute_path([name]) for name in _replacing(kind, prior, wanted)],
            planned_private=request.prior_private,
            diagnostics=_diagnostics(fault),
        )

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = request.type_name
        prior, planned = decode(request.prior_state), decode(request.planned_state)
        if planned is None:
            operation, new = "delete", None
        elif prior is None:
            operation, new = "create", self._made(kind, planned)
        else:
            operation, new = "update", self._completed(kind, planned)
        fault = self._fault(f"{kind}:{operation}")
        if operation == "create" and self._world.holds(kind, new["id"]):
            fault = Fault(error=f"creating {kind} ({new['id']}): already exists")
        self._carry_out(operation, kind, prior, new, fault)
        asked = without_nulls(_known(prior if planned is None else planned))
        self._world.note(Call(operation, kind, asked, (new or prior)["id"], fault.error, fault.crash))
        if fault.crash:
            self._crash()
        told = prior if fault.fails and fault.leaves != "tainted" else new
        return pb.ApplyResourceChange.Response(
            new_state=encode(told), private=request.planned_private, diagnostics=_diagnostics(fault)
        )

    def _carry_out(self, operation: str, kind: str, prior: Any, new: Any, fault: Fault) -> None:
        """Change the world, unless the fault keeps it from that."""
        if fault.fails and not (operation == "create" and fault.leaves != "nothing"):
            return
        if operation == "delete":
            self._world.remove(kind, prior["id"])
        else:
            self._world.put(kind, new["id"], new)

    def ReadDataSource(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind, config = request.type_name, decode(request.config)
        fault = self._fault(f"{kind}:data")
        self._world.note(Call("data", kind, without_nulls(config), error=fault.error))

        def fill(path: AttributePath, attribute: Json, value: Any) -> Any:
            if value is not None or not attribute.get("computed"):
                return value
            return answer(kind, path, attribute, config, self._place, self._answers)

        state = mapped(self._schema.data_sources[kind]["block"], config, fill)
        return pb.ReadDataSource.Response(state=encode(state), diagnostics=_diagnostics(fault))

    def _fault(self, call: str) -> Fault:
        """Return what goes wrong at this call, and wait as long as it says."""
        fault = self._faults.get(call)
        if fault is None:
            return _SUCCESS
        with self._lock:
            self._met[call] = self._met.get(call, 0) + 1
            if fault.times is not None and self._met[call] > fault.times:
                return _SUCCESS
        time.sleep(fault.delay_s)
        if fault.until:
            fault.until.wait(30)
        return fault

    def _crash(self) -> None:
        for pid in self._callers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _validated(self, block: Json, config: Any) -> Any:
        """Refuse a value for what only the provider decides: Terraform leaves this check to providers."""
        problems: list[Any] = []

        def check(path: AttributePath, attribute: Json, value: Any) -> Any:
            if value is not None and attribute.get("computed") and not attribute.get("optional"):
                detail = f'"{".".join(path)}" is decided by the provider'
                problems.append(wire.error("Value for unconfigurable attribute", detail, path[:1]))
            return value

        mapped(block, config, check)
        return pb.ValidateConfig.Response(diagnostics=problems)

    def _planned(self, kind: str, prior: Any, wanted: Json) -> Json:
        retagged = prior is not None and any(prior.get(n) != wanted.get(n) for n in ("tags", "labels"))

        def plan(path: AttributePath, attribute: Json, value: Any) -> Any:
            if attribute.get("write_only"):
                return None
            derived = path[0] in ("tags_all", "effective_labels", "terraform_labels")
            if attribute.get("computed") and ((value is None and prior is None) or (derived and retagged)):
                return UNKNOWN
            return value

        planned: Json = mapped(self._schema.resources[kind]["block"], wanted, plan)
        return planned

    def _made(self, kind: str, planned: Json) -> Json:
        """Return a new resource: its id first, as other answers are made of it."""
        known = _known(planned)
        name = known.get("id") or identifier(kind, known, self._world.serial(), self._place)
        return self._completed(kind, {**planned, "id": name})

    def _completed(self, kind: str, planned: Json) -> Json:
        """Return a resource with an answer for everything that was not known."""
        values = _known(planned)

        def complete(path: AttributePath, attribute: Json, value: Any) -> Any:
            if not is_unknown(value):
                return value
            if path[0] in ("tags_all", "effective_labels", "terraform_labels"):
                return {**self._common_tags, **(values.get("tags") or values.get("labels") or {})}
            return answer(kind, path, attribute, values, self._place, self._answers)

        completed: Json = mapped(self._schema.resources[kind]["block"], planned, complete)
        return completed


def _diagnostics(fault: Fault) -> list[Any]:
    return [wire.error(fault.error)] if fault.error else []


def _known(value: Any) -> Any:
    """Return a value with null for what is not known."""
    if is_unknown(value):
        return None
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_known(each) for each in value]
    return value


def _replacing(kind: str, prior: Any, wanted: Any) -> list[str]:
    if not prior or not wanted:
        return []
    return [name for name in REPLACED_BY.get(kind, ()) if prior.get(name) != wanted.get(name)]
