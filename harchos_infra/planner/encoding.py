"""The plan as JSON and back: camelCase keys, UTC times with `Z`, floats of ten significant digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from harchos_infra.errors import HarchosError
from harchos_infra.planner.plan import SCHEMA, Plan, Segment

_DIGITS = 10
_PLAIN = frozenset({str, int, bool, type(None)})
"""Most of what a plan holds: thousands of rejected offers."""
_YEARS = range(2000, 2200)
_NEEDED_INPUTS = (
    ("catalog", "fingerprint"),
    ("signal", "fingerprint"),
    ("signal", "name"),
    ("workload", "path"),
    ("workload", "sha256"),
)


def encode(value: Any) -> Any:
    """Return plain JSON values. Keys of mappings stay as they are; fields become camelCase."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if is_dataclass(kind):
        left_out, document = _left_out(kind), {}
        for name, key in _keys(kind):
            item = getattr(value, name)
            if item is not None or name not in left_out:
                document[key] = item if type(item) in _PLAIN else encode(item)
        return document
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def utc_text(moment: datetime) -> str:
    """Return an aware time as `2026-11-23T09:40:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_plan(text: str) -> Plan:
    """Read a plan file. Raises HarchosError where it is not one."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise HarchosError(
            f"not a plan file: {error}", hint="`harchos plan FILE --out PLAN` writes one"
        ) from None
    return decode_plan(document)


def decode_plan(document: Any) -> Plan:
    """Read a plan from its JSON object. Raises HarchosError where it is not one."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        what = f"schema {schema!r}" if schema is not None else "it names no schema"
        raise HarchosError(
            f"not a plan this version reads: {what}, {SCHEMA!r} was expected",
            hint="make it anew with `harchos plan FILE --out PLAN`",
        )
    try:
        plan: Plan = _decode_fields(Plan, document)
        for part, key in _NEEDED_INPUTS:
            _expect(str, plan.inputs[part][key])
        _check_sense(plan)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        missing = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise HarchosError(
            f"the plan is damaged: {missing}", hint="make it anew with `harchos plan FILE --out PLAN`"
        ) from None
    return plan


def decode_segment(document: Any) -> Segment:
    """Read one segment of a plan's JSON object, as `encode` wrote it."""
    segment: Segment = _decode_fields(Segment, document)
    return segment


@cache
def _keys(kind: Any) -> tuple[tuple[str, str], ...]:
    return tuple((f.name, _camel(f.name)) for f in fields(kind))


@cache
def _optional(kind: Any) -> frozenset[str]:
    return frozenset(f.name for f in fields(kind) if not (f.default is f.default_factory is MISSING))


@cache
def _left_out(kind: Any) -> frozenset[str]:
    return frozenset(f.name for f in fields(kind) if f.metadata.get("left_out"))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode_fields(kind: Any, document: Any) -> Any:
    if not isinstance(document, dict):
        raise TypeError(f"a {kind.__name__.lower()} was expected, not {document!r:.60}")
    hints, optional = _hints(kind), _optional(kind)
    present = ((name, key) for name, key in _keys(kind) if key in document or name not in optional)
    return kind(**{name: _decode(hints[name], document[key]) for name, key in present})


def _decode(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in (UnionType, Union):
        if value is None:
            return None
        return _decode(next(k for k in get_args(kind) if k is not type(None)), value)
    if origin is tuple:
        return tuple(_decode(get_args(kind)[0], item) for item in _expect(list, value))
    if origin is dict:
        return {key: _decode(get_args(kind)[1], item) for key, item in _expect(dict, value).items()}
    if is_dataclass(kind):
        return _decode_fields(kind, value)
    if kind is datetime:
        return _moment(_expect(str, value))
    if kind is float:
        return float(_expect((int, float), value))
    if kind in (str, int):
        return _expect(kind, value)
    if origin is not None and value not in get_args(kind):
        raise ValueError(f"{value!r} is not one of {', '.join(get_args(kind))}")
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text} names no zone")
    if moment.year not in _YEARS:
        raise ValueError(f"the time {text} is not within the years {_YEARS[0]} to {_YEARS[-1]}")
    return moment


def _check_sense(plan: Plan) -> None:
    """Raise where values of the right type cannot belong to a plan."""
    _expect(str, plan.workload["metadata"]["name"])
    if (plan.chosen is None) != (plan.decision == "reject"):
        raise ValueError(f"its decision {plan.decision!r} and what it chose do not agree")
    parts = plan.parts or ()
    if any(part.hubs < 1 for part in parts):
        raise ValueError("a part of it has no hub")
    schedules = (plan.chosen, *plan.frontier, *plan.baselines.values(), *(part.chosen for part in parts))
    for schedule in filter(None, schedules):
        if not schedule.segments:
            raise ValueError("a schedule has no segment")
        for segment in schedule.segments:
            if segment.nodes < 1:
                raise ValueError(f"a segment has {segment.nodes} nodes")
            if segment.start >= segment.end:
                raise ValueError(f"a segment ends at {utc_text(segment.end)}, before it starts")


def _expect(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r:.60} is of the wrong type")
    return value
