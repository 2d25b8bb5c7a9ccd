"""The six carbon APIs on one local port, in their own wire formats, with every fault seen in the field.

Figures are a function of place and time, `grams(place, at_s)`, so that a test can work out what must come
back. Shapes of answers are set by attributes (`step_s`, `horizon_h`, `gaps`, `nulls`, `answers_for`); answers
that go wrong are queued by `fail(PART_OF_PATH, FAULT, times)`.
"""

from __future__ import annotations

import base64
import json
import math
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from zlib import crc32

EM_TOKEN = "em-token-7Qx"
WT_USER, WT_PASSWORD = "ada", "wt pass/word+9"
EIA_KEY = "eia-key-3Zk"
ENTSOE_TOKEN = "entsoe-token-5Rv"
SECRETS = (EM_TOKEN, WT_PASSWORD, EIA_KEY, ENTSOE_TOKEN)
LBS_PER_MWH = 0.45359237
HOUR = 3600

Fault = Callable[["_Handler"], None]


def says(status: int, body: str = "", **headers: str) -> Fault:
    """Answer with a status and plain text."""
    return lambda handler: handler.answer(status, body.encode(), "text/plain", headers)


def gives(document: Any, status: int = 200) -> Fault:
    """Answer with a JSON document."""
    return lambda handler: handler.answer(status, json.dumps(document).encode())


def limits(retry_after: str | None = None) -> Fault:
    """Answer 429, with Retry-After or without."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda handler: handler.answer(429, b"too many requests", "text/plain", headers)


def slow(seconds: float, *, drip: bool = False) -> Fault:
    """Answer later than anyone waits: nothing at all, or a byte now and then."""

    def fault(handler: _Handler) -> None:
        if drip:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not handler.fake.closing.wait(0.02):
            if drip:
                handler.wfile.write(b" ")
                handler.wfile.flush()
                handler.fake.dripped += 1
        handler.close_connection = True

    return fault


def resets(handler: _Handler) -> None:
    """Reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that a fault has closed."""


class FakeCarbon:
    """The server; a context manager."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        self.step_s = HOUR
        self.horizon_h = 72
        self.gaps: set[int] = set()
        """Starts (s) of steps that are left out."""
        self.nulls: set[int] = set()
        """Starts (s) of steps whose value is null."""
        self.estimated: set[int] = set()
        self.answers_for: str | None = None
        """The place that answers name, whatever was asked for."""
        self.access: dict[str, Any] = {}
        """What Electricity Maps' `/zones` says; empty: 404."""
        self.factor_type = "lifecycle"
        self.region = "CAISO_NORTH"
        self.logins = 0
        self.tokens_last = 10**9
        """Calls after which a WattTime token expires."""
        self.mix: Callable[[int], Mapping[str, float | None]] = lambda at: {"NG": 60.0, "WND": 40.0}
        """EIA's fuels at an hour's start; ENTSO-E's types are `psr`."""
        self.psr: Callable[[int], Mapping[str, float]] = lambda at: {"B04": 60.0, "B19": 40.0}
        self.curve = "A01"
        self.psr_step_s: Mapping[str, int] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.most_at_once = 0
        self.dripped = 0
        """Bytes that `slow(drip=True)` got rid of."""
        self.delay_s = 0.0
        self.closing = Event()
        self._faults: list[tuple[str, Fault, int]] = []
        self._token_uses: dict[str, int] = {}
        self._at_once = 0
        self._lock = Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))

    def __enter__(self) -> FakeCarbon:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, source: str) -> str:
        """Return the address of a source, to be put where its own would be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{source}"

    def environment(self) -> dict[str, str]:
        """Return the variables that lead `harchos` here, with keys that are accepted."""
        sources = ("electricitymaps", "watttime", "gb", "energycharts", "eia", "entsoe")
        return {
            **{f"HARCHOS_{source.upper()}_URL": self.url(source) for source in sources},
            "ELECTRICITYMAPS_TOKEN": EM_TOKEN,
            "WATTTIME_USER": WT_USER,
            "WATTTIME_PASSWORD": WT_PASSWORD,
            "EIA_API_KEY": EIA_KEY,
            "ENTSOE_TOKEN": ENTSOE_TOKEN,
        }

    def fail(self, part: str, fault: Fault, times: int = 1) -> None:
        """Let the next `times` calls whose address contains `part` go wrong."""
        self._faults.append((part, fault, times))

    def asked(self, part: str) -> int:
        """Return how many calls had `part` in their path."""
        return sum(part in path for path, _ in self.requests)

    @staticmethod
    def grams(place: str, at_s: int) -> float:
        """Return the intensity of a place, g/kWh: a level of its own and a daily wave."""
        level = 100 + crc32(place.encode()) % 300
        return round(level + 50 * math.sin(2 * math.pi * (at_s / HOUR % 24) / 24), 3)

    def hours(self, place: str, start: datetime, hours: int) -> list[float]:
        """Return the hourly means that a client must arrive at."""
        first = int(start.timestamp())
        each = range(0, HOUR, self.step_s)
        return [
            sum(self.grams(place, first + hour * HOUR + part) for part in each) / len(each)
            for hour in range(hours)
        ]

    def steps(self, start: datetime, end: datetime, step_s: int | None = None) -> Iterator[int]:
        """Yield the starts of steps in [start, end) that are not left out."""
        step_s = step_s or self.step_s
        first = int(start.timestamp()) // step_s * step_s
        yield from (at for at in range(first, int(end.timestamp()), step_s) if at not in self.gaps)

    def value(self, place: str, at_s: int) -> float | None:
        return None if at_s in self.nulls else self.grams(place, at_s)

    def next_fault(self, target: str) -> Fault | None:
        with self._lock:
            for index, (part, fault, times) in enumerate(self._faults):
                if part in target:
                    if times > 1:
                        self._faults[index] = part, fault, times - 1
                    else:
                        del self._faults[index]
                    return fault
        return None

    def come(self, path: str, query: dict[str, str]) -> None:
        with self._lock:
            self.requests.append((path, query))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def gone(self) -> None:
        with self._lock:
            self._at_once -= 1

    def new_token(self) -> str:
        with self._lock:
            self.logins += 1
            token = f"bearer-{self.logins}-secret"
            self._token_uses[token] = 0
            return token

    def token_holds(self, token: str) -> bool:
        with self._lock:
            uses = self._token_uses.get(token)
            if uses is None or uses >= self.tokens_last:
                return False
            self._token_uses[token] = uses + 1
            return True


def iso(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def minute(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%MZ}"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeCarbon
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.fake.come(path, query)
        try:
            time.sleep(self.fake.delay_s)
            fault = self.fake.next_fault(self.path)
            if fault is not None:
                fault(self)
                return
            source, _, rest = path.strip("/").partition("/")
            getattr(self, f"_{source}")(rest, query)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.fake.gone()

    def answer(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def json(self, document: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(document).encode())

    # Electricity Maps

    def _electricitymaps(self, call: str, query: dict[str, str]) -> None:
        fake = self.fake
        if call == "zones":
            self.json(fake.access) if fake.access else self.json({"error": "not found"}, 404)
            return
        if self.headers.get("auth-token") != EM_TOKEN:
            self.json({"message": "Invalid auth-token"}, 401)
            return
        assert query["shouldUseFallbackCallerLookup"] == "false"
        zone = fake.answers_for or query["zone"]
        hour = fake.now().replace(minute=0, second=0, microsecond=0)
        name = call.removeprefix("carbon-intensity/")
        if name == "latest":
            self.json(self._em_row(zone, int(hour.timestamp())))
            return
        spans = {
            "history": ("history", hour - timedelta(hours=24), hour),
            "forecast": ("forecast", hour, hour + timedelta(hours=fake.horizon_h)),
        }
        if name == "past-range":
            begin, end = moment(query["start"]), moment(query["end"])
            assert end - begin <= timedelta(days=10)
            spans["past-range"] = ("data", begin, end)
        key, begin, end = spans[name]
        rows = [self._em_row(zone, at) for at in fake.steps(begin, end)]
        if name == "forecast":
            rows = [{k: row[k] for k in ("carbonIntensity", "datetime")} for row in rows]
        self.json({"zone": zone, key: rows, "updatedAt": iso(int(fake.now().timestamp()))})

    def _em_row(self, zone: str, at: int) -> dict[str, Any]:
        return {
            "zone": zone,
            "carbonIntensity": self.fake.value(zone, at),
            "datetime": iso(at),
            "updatedAt": iso(at + 900),
            "createdAt": iso(at + 600),
            "emissionFactorType": self.fake.factor_type,
            "isEstimated": at in self.fake.estimated,
            "estimationMethod": "TIME_SLICER_AVERAGE" if at in self.fake.estimated else None,
        }

    # WattTime

    def _watttime(self, call: str, query: dict[str, str]) -> None:
        fake = self.fake
        sent = self.headers.get("Authorization", "")
        if call == "login":
            basic = base64.b64encode(f"{WT_USER}:{WT_PASSWORD}".encode()).decode()
            if sent != f"Basic {basic}":
                self.answer(403, b"Forbidden", "text/plain")
                return
            self.json({"token": fake.new_token()})
            return
        if not sent.startswith("Bearer "):
            self.answer(401, b"Jwt is missing", "text/plain")
            return
        if not fake.token_holds(sent.removeprefix("Bearer ")):
            self.answer(401, b"Jwt is expired", "text/plain")
            return
        assert query["signal_type"] == "co2_moer"
        if call == "v3/region-from-loc":
            self.json({"region": fake.region, "region_full_name": "somewhere", "signal_type": "co2_moer"})
            return
        step_s = 300 if fake.step_s == HOUR else fake.step_s
        now = fake.now()
        if call == "v3/forecast":
            begin = now - timedelta(seconds=now.timestamp() % step_s) + timedelta(seconds=step_s)
            end = begin + timedelta(hours=min(fake.horizon_h, int(query["horizon_hours"])))
        else:
            begin, end = moment(query["start"]), min(moment(query["end"]), now + timedelta(seconds=step_s))
        region = fake.answers_for or query["region"]
        data = [
            {"point_time": minute(at).replace("Z", ":00+00:00"), "value": self._pounds(region, at)}
            for at in fake.steps(begin, end, step_s)
        ]
        meta = {
            "region": region,
            "signal_type": "co2_moer",
            "units": "lbs_co2_per_mwh",
            "data_point_period_seconds": step_s,
            "generated_at": minute(int(now.timestamp())),
            "warnings": [],
        }
        self.json({"data": data, "meta": meta})

    def _pounds(self, region: str, at: int) -> float | None:
        grams = self.fake.value(region, at)
        return None if grams is None else grams / LBS_PER_MWH

    # GB

    def _gb(self, call: str, query: dict[str, str]) -> None:
        parts = call.split("/")
        regional = parts[0] == "regional"
        if regional:
            parts = parts[1:]
        begin = moment(parts[1])
        end = begin + timedelta(hours=48) if parts[2] == "fw48h" else moment(parts[2])
        end = min(end, self.fake.now() + timedelta(hours=self.fake.horizon_h))
        place = "GB"
        if regional:
            number = self.fake.answers_for or parts[parts.index("regionid") + 1]
            place = f"GB-{number}"
        # The real one begins with the half-hour before.
        steps = self.fake.steps(begin - timedelta(minutes=30), end, 1800)
        rows = [self._half_hour(place, at, actual=not regional) for at in steps]
        if not regional:
            self.json({"data": rows})
            return
        region = {"regionid": int(number), "shortname": "somewhere", "data": rows}
        self.json({"data": region if parts[2] == "fw48h" else [region]})

    def _half_hour(self, place: str, at: int, *, actual: bool) -> dict[str, Any]:
        value = self.fake.value(place, at)
        intensity: dict[str, Any] = {"forecast": value, "index": "moderate"}
        if actual:
            past = at + 1800 <= self.fake.now().timestamp() and at not in self.fake.estimated
            intensity["actual"] = value if past else None
            intensity["forecast"] = value if not past or value is None else value + 1000
        return {"from": minute(at), "to": minute(at + 1800), "intensity": intensity}

    # Energy-Charts

    def _energycharts(self, call: str, query: dict[str, str]) -> None:
        assert call == "co2eq"
        fake, now_s = self.fake, self.fake.now().timestamp()
        step_s = 900 if fake.step_s == HOUR else fake.step_s
        end = min(moment(query["end"]), fake.now() + timedelta(hours=fake.horizon_h))
        times = list(fake.steps(moment(query["start"]), end, step_s))
        place = query["country"].upper()
        values = [fake.value(place, at) for at in times]
        past = [at + step_s <= now_s and at not in fake.estimated for at in times]
        self.json(
            {
                "unix_seconds": times,
                "co2eq": [v if p else None for v, p in zip(values, past, strict=True)],
                "co2eq_forecast": [None if p else v for v, p in zip(values, past, strict=True)],
                "deprecated": False,
            }
        )

    # EIA

    def _eia(self, call: str, query: dict[str, str]) -> None:
        assert call == "electricity/rto/fuel-type-data/data"
        fake = self.fake
        if query.get("api_key") != EIA_KEY:
            message = f"An invalid api_key was supplied: {query.get('api_key')}"
            self.json({"error": {"code": "API_KEY_INVALID", "message": message}}, 403)
            return
        first, last = (moment(f"{query[key]}:00Z") for key in ("start", "end"))
        everything = [
            {
                "period": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H}",
                "respondent": fake.answers_for or query["facets[respondent][]"],
                "fueltype": fuel,
                "value": None if value is None or at - HOUR in fake.nulls else str(value),
                "value-units": "megawatthours",
            }
            for at in range(int(first.timestamp()), int(last.timestamp()) + 1, HOUR)
            if at - HOUR not in fake.gaps
            for fuel, value in fake.mix(at - HOUR).items()
        ]
        offset, length = int(query["offset"]), int(query["length"])
        page = everything[offset : offset + length]
        self.json({"response": {"total": str(len(everything)), "data": page}})

    # ENTSO-E

    def _entsoe(self, call: str, query: dict[str, str]) -> None:
        fake = self.fake
        if query.get("securityToken") != ENTSOE_TOKEN:
            self.answer(401, f"Unauthorized: token {query.get('securityToken')}".encode(), "text/html")
            return
        assert (query["documentType"], query["processType"]) == ("A75", "A16")
        begin, end = (datetime.strptime(query[k], "%Y%m%d%H%M").replace(tzinfo=UTC) for k in _PERIOD)
        area = fake.answers_for or query["in_Domain"]
        types = fake.psr(int(begin.timestamp()))
        series = "".join(self._time_series(area, psr, begin, end) for psr in types)
        taken = "B08" if "B08" not in types else "B07"
        pumped = self._time_series(area, taken, begin, end, side="out")
        namespace = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
        body = f'<GL_MarketDocument xmlns="{namespace}">{series}{pumped}</GL_MarketDocument>'
        self.answer(200, body.encode(), "text/xml")

    def _time_series(self, area: str, psr: str, begin: datetime, end: datetime, side: str = "in") -> str:
        fake = self.fake
        step_s = fake.psr_step_s.get(psr, fake.step_s)
        points, last = "", None
        for place, at in enumerate(range(int(begin.timestamp()), int(end.timestamp()), step_s), 1):
            power = fake.psr(at).get(psr, 5.0)
            if at in fake.gaps or (fake.curve == "A03" and power == last):
                continue
            last = power
            points += f"<Point><position>{place}</position><quantity>{power}</quantity></Point>"
        return (
            f"<TimeSeries><{side}BiddingZone_Domain.mRID>{area}</{side}BiddingZone_Domain.mRID>"
            f"<curveType>{fake.curve}</curveType><MktPSRType><psrType>{psr}</psrType></MktPSRType>"
            f"<Period><timeInterval><start>{begin:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end>"
            f"</timeInterval><resolution>PT{step_s // 60}M</resolution>{points}</Period></TimeSeries>"
        )


_PERIOD = ("periodStart", "periodEnd")

NO_DATA = (
    '<?xml version="1.0"?><Acknowledgement_MarketDocument '
    'xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0"><Reason><code>999</code>'
    "<text>No matching data found for Data item Actual Generation</text></Reason>"
    "</Acknowledgement_MarketDocument>"
)
