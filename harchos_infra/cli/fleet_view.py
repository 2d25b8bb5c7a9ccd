"""A fleet for people: text for a terminal, Markdown for a pull request; read from the fleet alone."""

from __future__ import annotations

from collections.abc import Iterator

from harchos_infra.cli.plan_view import WIDTH, Section, markdown, text, utc, where
from harchos_infra.planner.fleet.fleet import Entry, Fleet, PoolUse
from harchos_infra.planner.wording import duration

_POOLS_SHOWN = 12


def render_text(fleet: Fleet, *, width: int = WIDTH) -> str:
    """Return the fleet as plain text."""
    return text(_headline(fleet), _sections(fleet), width)


def render_markdown(fleet: Fleet) -> str:
    """Return the fleet as GitHub-flavoured Markdown."""
    return markdown(_headline(fleet), _sections(fleet))


def _headline(fleet: Fleet) -> list[str]:
    without = len(fleet.entries) - len(fleet.placed)
    moved = sum(1 for entry in fleet.placed if entry.is_moved)
    lines = [f"{len(fleet.entries)} workloads: {len(fleet.placed)} have a place"]
    if len(fleet.entries) == 1:
        lines = [f"1 workload: it has {'no' if without else 'a'} place"]
    elif without:
        lines[0] += f", {without} none"
    lines.append(_totals(fleet))
    if not fleet.pools:
        lines.append("no quota names an offer that they would use: each has what its own plan gives it")
    elif fleet.method == "each alone":
        lines.append("all quotas hold: each has what its own plan gives it")
    else:
        lines.append(f"the quotas move {moved} of them; {_proof(fleet)}")
    return lines


def _totals(fleet: Fleet) -> str:
    chosen = [entry.plan.chosen for entry in fleet.placed if entry.plan.chosen]
    usd, grams = sum(s.cost_usd for s in chosen), sum(s.gco2e for s in chosen)
    return f"{usd:.4g} USD, {grams / 1000:.4g} kgCO2e; sum of scores {fleet.score_usd:.6g} USD"


def _proof(fleet: Fleet) -> str:
    if fleet.exact:
        return f"no plan for the same workloads has a lower sum of scores ({fleet.method})"
    return (
        f"no plan for the same workloads has a sum of scores below {fleet.bound_usd:.6g} USD: "
        f"the gap is {fleet.gap:.2%} ({fleet.method})"
    )


def _sections(fleet: Fleet) -> Iterator[Section]:
    yield Section(
        "Workloads",
        ("workload", "where", "start (UTC)", "USD", "gCO2e", "quotas: USD", "gCO2e"),
        tuple(_row(entry) for entry in fleet.entries if entry.plan.chosen),
        right=(3, 4, 5, 6),
        lines=("quotas: what the quotas cost it, against its own best",),
    )
    placeless = [entry for entry in fleet.entries if entry.plan.chosen is None]
    if placeless:
        yield Section(
            "Without a place",
            ("workload", "reason", "what would help"),
            tuple((e.member.name, e.reason or "", e.plan.nearest_miss or "") for e in placeless),
        )
    if fleet.pools:
        yield _pools(fleet)


def _row(entry: Entry) -> tuple[str, ...]:
    chosen, costs = entry.plan.chosen, entry.cost_of_quotas()
    assert chosen is not None and costs is not None
    return (
        entry.member.name,
        where(entry.plan),
        utc(chosen.start),
        f"{chosen.cost_usd:.4g}",
        f"{entry.member.counted_g(chosen):.4g}",
        f"{costs[1]:+.3g}" if entry.is_moved else "-",
        f"{costs[2]:+.3g}" if entry.is_moved else "-",
    )


def _pools(fleet: Fleet) -> Section:
    scarce = [found for found in fleet.pools if found.worth_usd > 0 or found.use.full]
    shown = scarce[:_POOLS_SHOWN]
    rows = tuple((f.pool.name, f"{f.use.peak:g} of {f.pool.quota.limit:g}", _worth(f)) for f in shown)
    closed = sum(found.pool.quota.limit == 0 for found in fleet.pools)
    free = len(fleet.pools) - len(scarce) - closed
    lines = [f"and {len(scarce) - len(shown)} more"] if len(scarce) > len(shown) else []
    lines += [f"{free} others are never full"] if free else []
    lines += [f"{closed} allow nothing at all"] if closed else []
    return Section("Quotas that bind", ("quota", "most at once", ""), rows, lines=tuple(lines))


def _worth(found: PoolUse) -> str:
    words = []
    if found.use.first_full and found.use.last_full:
        words.append(
            f"full for {duration(found.use.full.total_seconds())} between {utc(found.use.first_full)} "
            f"and {utc(found.use.last_full)}"
        )
    if found.worth_usd > 0:
        words.append(
            f"one more {found.pool.quota.unit} would save about {found.worth_usd:.3g} USD "
            f"({found.worth_usd / found.scarce_h:.3g} USD an hour, {found.scarce_h:g} h)"
        )
    return "; ".join(words)
