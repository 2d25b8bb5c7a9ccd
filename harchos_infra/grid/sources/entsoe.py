"""ENTSO-E transparency platform: generation per type of European bidding zones (A75), times our factors.

Curve type A03 leaves out a point that equals the one before: it is filled forward within its period. In A01 a
missing point is a gap. What storage takes is a time series of its own and left out. The platform publishes
forecasts of wind, sun and load, which do not make a mix: there is no outlook. Average, life-cycle,
production-based (`mix.py`). Lignite, shale and peat carry the factor of hard coal, IPCC having no other,
which flatters them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

from harchos_infra.grid.signal import Basis
from harchos_infra.grid.sources.http import Http
from harchos_infra.grid.sources.mix import SOURCE, STORAGE, fuel_of, intensity_of_mix
from harchos_infra.grid.sources.source import Reading, RefusedError, SourceError, same_zone, seconds

URL = "https://web-api.tp.entsoe.eu/api"
AREAS = {
    "AT": "10YAT-APG------L",
    "BE": "10YBE----------2",
    "BG": "10YCA-BULGARIA-R",
    "CH": "10YCH-SWISSGRIDZ",
    "CZ": "10YCZ-CEPS-----N",
    "DE": "10Y1001A1001A83F",
    "DK-DK1": "10YDK-1--------W",
    "DK-DK2": "10YDK-2--------M",
    "EE": "10Y1001A1001A39I",
    "ES": "10YES-REE------0",
    "FI": "10YFI-1--------U",
    "FR": "10YFR-RTE------C",
    "GR": "10YGR-HTSO-----Y",
    "HR": "10YHR-HEP------M",
    "HU": "10YHU-MAVIR----U",
    "IE": "10YIE-1001A00010",
    "IT-CNO": "10Y1001A1001A70O",
    "IT-CSO": "10Y1001A1001A71M",
    "IT-NO": "10Y1001A1001A73I",
    "IT-SAR": "10Y1001A1001A74G",
    "IT-SIC": "10Y1001A1001A75E",
    "IT-SO": "10Y1001A1001A788",
    "LT": "10YLT-1001A0008Q",
    "LV": "10YLV-1001A00074",
    "NL": "10YNL----------L",
    "NO-NO1": "10YNO-1--------2",
    "NO-NO2": "10YNO-2--------T",
    "NO-NO3": "10YNO-3--------J",
    "NO-NO4": "10YNO-4--------9",
    "NO-NO5": "10Y1001A1001A48H",
    "PL": "10YPL-AREA-----S",
    "PT": "10YPT-REN------W",
    "RO": "10YRO-TEL------P",
    "RS": "10YCS-SERBIATSOV",
    "SE-SE1": "10Y1001A1001A44P",
    "SE-SE2": "10Y1001A1001A45N",
    "SE-SE3": "10Y1001A1001A46L",
    "SE-SE4": "10Y1001A1001A47J",
    "SI": "10YSI-ELES-----O",
    "SK": "10YSK-SEPS-----K",
}
FUELS = {
    "B01": "biomass",
    "B02": "coal",
    "B03": "gas",
    "B04": "gas",
    "B05": "coal",
    "B06": "oil",
    "B07": "coal",
    "B08": "coal",
    "B09": "geothermal",
    "B10": STORAGE,
    "B11": "hydro",
    "B12": "hydro",
    "B13": "ocean",
    "B14": "nuclear",
    "B15": "other",
    "B16": "solar",
    "B17": "biomass",
    "B18": "wind-offshore",
    "B19": "wind",
    "B20": "other",
    "B25": STORAGE,
}
_STEPS_S = {"PT5M": 300, "PT15M": 900, "PT30M": 1800, "PT60M": 3600, "PT1H": 3600}
_NOTHING = "no matching data found"


class Entsoe:
    """The source `entsoe`."""

    name = "entsoe"
    basis = Basis(
        "average",
        "life-cycle",
        "production",
        f"ENTSO-E transparency platform (CC BY 4.0); {SOURCE}",
        "generation per type x factors, storage and imports left out",
    )
    settled_h = 96
    call_h = 30 * 24
    coverage = "European bidding zones"

    def __init__(self, http: Http, token: str, url: str = URL) -> None:
        """Ask nothing yet."""
        http.keep_secret(token)
        self._http = http
        self._token = token
        self._url = url

    def zones(self) -> frozenset[str]:
        """Return the zones with an area code."""
        return frozenset(AREAS)

    def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> Sequence[Reading]:
        """Return the intensity of the mix in the finest step that the area publishes."""
        series = [*self._series(AREAS[zone], start, end)]
        if not series:
            return []
        span_s = min(step_s for _, step_s, _ in series)
        steps: dict[int, dict[str, float | None]] = {}
        for fuel, step_s, powers in series:
            for at, power in powers.items():
                for part in range(at, at + step_s, span_s):
                    mix = steps.setdefault(part, {})
                    mix[fuel] = (mix.get(fuel) or 0.0) + power
        return intensity_of_mix(steps, span_s)

    def outlook(self, zone: str, now: datetime) -> Sequence[Reading] | None:
        """Return None: see above."""
        return None

    def _series(
        self, area: str, start: datetime, end: datetime
    ) -> Iterator[tuple[str, int, dict[int, float]]]:
        """Yield fuel, step (s) and power (MW) by time of each period."""
        for series in self._document(area, start, end).iter("TimeSeries"):
            if series.find("outBiddingZone_Domain.mRID") is not None:
                continue
            same_zone(area, series.findtext("inBiddingZone_Domain.mRID"), self.name)
            fuel = fuel_of(series.findtext("MktPSRType/psrType") or "none", FUELS, self.name)
            filled = series.findtext("curveType") == "A03"
            for period in series.iter("Period"):
                yield fuel, *_points(period, filled=filled)

    def _document(self, area: str, start: datetime, end: datetime) -> ElementTree.Element:
        asked = (
            ("securityToken", self._token),
            ("documentType", "A75"),
            ("processType", "A16"),
            ("in_Domain", area),
            ("periodStart", f"{start.astimezone(UTC):%Y%m%d%H%M}"),
            ("periodEnd", f"{end.astimezone(UTC):%Y%m%d%H%M}"),
        )
        answer = self._http.get(self._url, asked)
        if answer.status in (401, 403):
            raise RefusedError(f"{answer.place} refused the token ({answer.status}): {answer.said}")
        try:
            document = _parsed(answer.body)
        except (ElementTree.ParseError, ValueError):
            raise SourceError(f"{answer.place} answered {answer.status}, no XML: {answer.said}") from None
        if document.tag.startswith("Acknowledgement"):
            reason = " ".join("".join(e.itertext()).strip() for e in document.iter("Reason"))
            if _NOTHING in reason.lower():
                return ElementTree.Element("nothing")
            raise SourceError(f"{answer.place} answered {answer.status}: {' '.join(reason.split())[:160]}")
        if answer.status != 200 or document.tag != "GL_MarketDocument":
            raise SourceError(f"{answer.place} answered {answer.status}: {answer.said}")
        return document


def _parsed(body: bytes) -> ElementTree.Element:
    """Return the document without namespaces; a document type, which may hold entities, is refused."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ValueError("a document type")
    document = ElementTree.fromstring(body)
    for element in document.iter():
        element.tag = re.sub(r"^\{[^}]*\}", "", element.tag)
    return document


def _points(period: ElementTree.Element, *, filled: bool) -> tuple[int, dict[int, float]]:
    """Return the step and the power by time; `filled` repeats a value until the next one or the end."""
    resolution = period.findtext("resolution") or "none"
    if resolution not in _STEPS_S:
        raise SourceError(f"a step of {resolution[:20]}")
    step_s = _STEPS_S[resolution]
    start_s = seconds(period.findtext("timeInterval/start"), "entsoe")
    count = (seconds(period.findtext("timeInterval/end"), "entsoe") - start_s) // step_s
    powers: dict[int, float] = {}
    for point in period.iter("Point"):
        try:
            place, power = int(point.findtext("position") or ""), float(point.findtext("quantity") or "")
        except ValueError:
            raise SourceError("a point without position or quantity") from None
        if not 1 <= place <= count or power != power:
            raise SourceError(f"point {place} of a period of {count}")
        powers[start_s + (place - 1) * step_s] = power
    if filled:
        last = None
        for at in range(start_s, start_s + count * step_s, step_s):
            last = powers.get(at, last)
            if last is not None:
                powers[at] = last
    return step_s, powers
