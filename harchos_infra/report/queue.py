"""The report of a queue: its runs side by side, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from harchos_infra.report import document as run_document
from harchos_infra.report.account import Account
from harchos_infra.report.interval import Interval
from harchos_infra.report.method import rehearsal_label
from harchos_infra.report.section import Section
from harchos_infra.report.sections import where
from harchos_infra.report.wording import UNKNOWN, grams, interval, known, kwh, usd
from harchos_infra.runs.items import Counts
from harchos_infra.runs.record import RunRecord

SCHEMA = "harchos.queue-report/1"


@dataclass(frozen=True, slots=True)
class QueueReport:
    """A queue, how far it is, and the records and accounts of its runs."""

    queue: str
    counts: Counts
    runs: Sequence[tuple[RunRecord, Account]]

    @property
    def headline(self) -> str:
        """Queue, progress and number of runs in one line."""
        rehearsal = " (rehearsal)" if self.is_rehearsal else ""
        return f"{self.queue}{rehearsal} · {self.counts} · {self.runs_in_words}"

    @property
    def runs_in_words(self) -> str:
        """How many runs shared it."""
        return f"{len(self.runs)} {'run' if len(self.runs) == 1 else 'runs'}"

    @property
    def is_rehearsal(self) -> bool:
        """Whether stand-ins on this machine did it."""
        return any(record.rehearsal for record, _ in self.runs)

    @property
    def label(self) -> str | None:
        """What is to be known of the figures of a rehearsal; None of any other queue."""
        labels = [rehearsal_label(record) for record, _ in self.runs if record.hubs]
        return "; ".join(dict.fromkeys(label for label in labels if label)) or None

    @property
    def kwh(self) -> float | None:
        """Energy of all hubs; None where one that lived was not metered."""
        return _sum([a.realised.kwh for _, a in self.runs if a.hubs])

    @property
    def gco2e(self) -> Interval | None:
        """Carbon of all hubs, embodied and transfer included; None where that of one is not known."""
        totals = [a.realised.carbon.total() for _, a in self.runs if a.hubs]
        if any(total is None for total in totals):
            return None
        known_totals = [total for total in totals if total is not None]
        return Interval(fsum(t.low for t in known_totals), fsum(t.high for t in known_totals))

    @property
    def usd(self) -> float:
        """Cost of all hubs."""
        return fsum(a.realised.cost.total for _, a in self.runs)

    @property
    def gco2e_per_item(self) -> float | None:
        """Carbon of an item that was done, at the low end of transfer."""
        total = self.gco2e
        return total.low / self.counts.done if total is not None and self.counts.done else None

    def section(self) -> Section:
        """Return the table of runs and their sum."""
        rows = [_row(record, account) for record, account in self.runs]
        kwh_planned, low, usd_planned = self.planned
        planned = "planned, all runs", "", "", kwh(kwh_planned), grams(low), usd(usd_planned)
        gco2e = self.gco2e
        total = (
            *("sum", "", str(self.counts.done), known(self.kwh, kwh)),
            *(interval(gco2e, grams) if gco2e else UNKNOWN, usd(self.usd)),
        )
        notes = []
        if any(planned_items(record) is not None for record, _ in self.runs):
            notes.append("Items: what each run did, and in brackets what was planned for it.")
        if self.gco2e_per_item is not None and self.usd_per_item is not None:
            notes.append(
                f"{grams(self.gco2e_per_item)} CO2e and {usd(self.usd_per_item)} for each item done."
            )
        if self.label is not None:
            notes.append(self.label)
        notes.append("`harchos report RUN` has each run's own account, with its plan and its baselines.")
        headers = ("run", "where", "items", "energy", "gCO2e", "USD")
        return Section(
            "The queue's runs", headers, (*rows, total, planned), right=(2, 3, 4, 5), notes=tuple(notes)
        )

    def to_json(self) -> dict[str, Any]:
        """Return `harchos.queue-report/1`."""
        gco2e = self.gco2e
        counts = self.counts
        return {
            "schema": SCHEMA,
            "queue": self.queue,
            "items": {
                "total": counts.total,
                "done": counts.done,
                "failed": counts.failed,
                "assigned": counts.assigned,
                "waiting": counts.waiting,
            },
            "sum": {
                "energyKwh": self.kwh,
                "totalGco2e": None if gco2e is None else {"low": gco2e.low, "high": gco2e.high},
                "totalUsd": self.usd,
                "gco2ePerItem": self.gco2e_per_item,
                "usdPerItem": self.usd_per_item,
            },
            "planned": dict(zip(("energyKwh", "totalGco2e", "totalUsd"), self.planned, strict=True))
            | {"items": {record.id: planned_items(record) for record, _ in self.runs}},
            "runs": [run_document.document(record, account) for record, account in self.runs],
        }

    @property
    def planned(self) -> tuple[float, float, float]:
        """Energy in kWh, carbon in g at the low end of transfer, and USD of all hubs, as planned."""
        planned = [account.planned for _, account in self.runs]
        totals = [p.carbon.total() for p in planned]
        low = fsum(total.low for total in totals if total is not None)
        return fsum(p.kwh for p in planned), low, fsum(p.cost.total for p in planned)

    @property
    def usd_per_item(self) -> float | None:
        """Cost of an item that was done."""
        return self.usd / self.counts.done if self.counts.done else None


def _row(record: RunRecord, account: Account) -> tuple[str, ...]:
    state = record.outcome or f"{record.phase}, not finished"
    total = account.realised.carbon.total()
    realised = (
        (known(account.realised.kwh, kwh), interval(total, grams) if total else UNKNOWN)
        if account.hubs
        else ("no hub", "-")
    )
    items = items_in_words(record)
    return f"{record.id}, {state}", where(account.planned), items, *realised, usd(account.realised.cost.total)


def items_in_words(record: RunRecord) -> str:
    """Return how many items a run did, and in brackets how many were planned for it."""
    planned = planned_items(record)
    return f"{record.units.get('items', 0):.0f}" + (f" ({planned:.3g})" if planned is not None else "")


def planned_items(record: RunRecord) -> float | None:
    """Return how many items were planned for a run, an equal share; None where its plan does not say."""
    queue = record.plan["inputs"].get("queue")
    return None if queue is None else float(queue["items"] / queue["hubs"])


def _sum(values: Sequence[float | None]) -> float | None:
    return None if None in values else fsum(value for value in values if value is not None)
