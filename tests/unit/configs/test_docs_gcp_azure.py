"""The pages of Google Cloud and Azure name files, settings and prices that are so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from harchos_infra.catalog.catalog import Catalog
from harchos_infra.settings import Settings

ROOT = Path(__file__).parents[3]
CLOUDS = ("gcp", "azure")
PAGES = [
    page
    for cloud in CLOUDS
    for page in (
        f"docs/clouds/{cloud}.md",
        "docs/security.md",
        f"terraform/modules/{cloud}-hub/README.md",
    )
]
IDLE = re.compile(r"^\| an? (\S+) .* idles, (\S+) \| ([\d.,]+) \| ([\d.,]+) \|", re.M)
HOURS_OF_A_WEEKEND = 60


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_points_at_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    named = re.findall(r"(?<![\w./-])configs/[\w./-]*\.\w+", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_setting_that_a_page_sets_is_one(cloud: str) -> None:
    keys = re.findall(r"harchos config set (\S+)", (ROOT / "docs" / "clouds" / f"{cloud}.md").read_text())
    assert keys
    assert {key.replace(".", "_") for key in keys} <= {field.name for field in fields(Settings)}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_an_idle_machine_costs_is_the_catalogue_s_price_on_demand(cloud: str) -> None:
    prices = {
        (offer.region, offer.instance_type): offer.price_usd_hour
        for offer in Catalog.builtin().offers
        if offer.market == "on-demand" and offer.provider == cloud
    }
    rows = IDLE.findall((ROOT / "docs" / "clouds" / f"{cloud}.md").read_text())
    assert rows
    for instance_type, region, hour, weekend in rows:
        price = prices[region, instance_type]
        assert hour == f"{price:.2f}", instance_type
        assert weekend == f"{price * HOURS_OF_A_WEEKEND:,.0f}", instance_type
