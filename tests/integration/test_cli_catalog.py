"""`harchos regions`, `offers` and `carbon` as a user meets them."""

import json

import pytest


def test_regions_lists_all_137_within_120_columns(harchos):
    code, out, err = harchos("regions")
    assert code == 0
    assert sum("aws/" in line or "gcp/" in line or "azure/" in line for line in out.splitlines()) == 137
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 120
    assert "Electricity Maps" in err


def test_regions_as_json_say_where_each_zone_and_pue_is_from(harchos):
    code, out, _ = harchos("regions", "--provider", "gcp", "--country", "qa", "--format", "json")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, "harchos.regions/1")
    (doha,) = document["regions"]
    assert (doha["zone"], doha["hourly"], doha["yearlyGco2PerKwh"], doha["year"]) == ("QA", False, 490, 2025)
    assert doha["zoneSource"].startswith("HarchOS in place of GSF's AE")
    assert doha["pueBasis"] == "provider fleet average (GCP, CCF)"


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (("regions", "--provider", "asw"), "unknown provider 'asw'", "'aws'"),
        (("regions", "--country", "XX"), "unknown country 'XX'", "known: "),
        (("offers", "--gpu", "H10"), "no offer has a GPU 'H10'", "H100"),
        (("offers", "--gpu", "quantum"), "no offer has a GPU 'quantum'", "known: "),
        (("offers", "--region", "eu-wst-1"), "unknown region 'eu-wst-1'", "'eu-west-1'"),
        (("carbon", "eu-wst-1"), "'eu-wst-1' is neither a region nor a grid zone", "'eu-west-1'"),
        (("carbon", "US-CAL-CIS"), "neither a region nor a grid zone", "'US-CAL-CISO'"),
        (("carbon", "DE", "--now", "soon"), "--now: 'soon' is not a time", "2026-11-23T12:00Z"),
        (("carbon", "DE", "--signal", "live"), "unknown signal 'live'", "replay:PATH"),
    ],
)
def test_a_wrong_name_ends_with_code_1_and_what_was_meant(harchos, arguments, what, hint):
    code, out, err = harchos(*arguments)
    assert (code, out) == (1, "")
    assert what in err
    assert hint in err
    assert "Traceback" not in err


def test_offers_of_a_family_come_cheapest_per_gpu_first_with_the_age_of_the_price(harchos):
    code, out, _ = harchos("offers", "--gpu", "nvidia-h100", "--market", "on-demand", "--format", "json")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, "harchos.offers/1")
    per_gpu = [offer["priceUsdHour"] / offer["gpuCount"] for offer in document["offers"]]
    assert per_gpu == sorted(per_gpu)
    assert {offer["gpuModel"] for offer in document["offers"]} == {"H100-SXM", "H100-NVL"}
    assert {offer["market"] for offer in document["offers"]} == {"on-demand"}
    assert {offer["priceAsOf"] for offer in document["offers"]} == {"2026-01-21", "2026-06-18", "2026-08-03"}


def test_offers_can_be_narrowed_to_a_region_and_a_price(harchos):
    _, out, _ = harchos("offers", "--region", "aws/eu-west-1", "--max-price", "1", "--format", "json")
    offers = json.loads(out)["offers"]
    assert offers
    assert all(o["region"] == "eu-west-1" and o["priceUsdHour"] <= 1 for o in offers)


def test_an_offer_without_published_power_shows_no_watts_and_why(harchos):
    _, out, _ = harchos("offers", "--gpu", "B300", "--format", "json")
    (offer,) = json.loads(out)["offers"]
    assert offer["maxWatts"] is None
    assert offer["maxWattsBasis"] == "B300: no published board power with a usable source"


def test_the_offers_table_fits_120_columns(harchos):
    code, out, _ = harchos("offers", "--gpu", "H100")
    assert code == 0
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 120


def test_no_matching_offer_is_no_error(harchos):
    code, out, err = harchos("offers", "--gpu", "H100", "--max-price", "0.01")
    assert (code, out, err) == (0, "", "no offer matches\n")


def test_carbon_of_a_region_is_shown_by_day_and_named_a_replay(harchos):
    code, out, err = harchos("carbon", "aws/eu-west-1", "--hours", "96", "--now", "2026-11-23T13:20Z")
    assert code == 0
    assert "aws/eu-west-1, Europe (Ireland): zone IE, 96 h from 2026-11-23 13:00 UTC" in out
    assert "replay of 2022 scaled to the 2025 yearly average" in out
    assert "average life-cycle consumption-based" in out
    assert "Not a forecast" in err
    assert sum("2026-11-2" in line and "█" in line for line in out.splitlines()) >= 1


def test_carbon_as_json_is_repeatable_with_now(harchos):
    runs = [harchos("carbon", "DE", "--hours", "5", "--now", "2026-07-01T00:00Z", "-o", "json") for _ in "12"]
    assert runs[0] == runs[1]
    document = json.loads(runs[0][1])
    assert (document["schema"], document["zone"], len(document["gco2PerKwh"])) == (
        "harchos.carbon/1",
        "DE",
        5,
    )
    assert document["signal"]["name"] == "replay"
    assert document["basis"]["factors"] == "life-cycle"


def test_carbon_of_a_zone_without_hourly_data_says_so(harchos):
    _, _, err = harchos("carbon", "gcp/me-central1", "--hours", "5")
    assert "no hourly data" in err


def test_carbon_replays_a_file_of_ones_own(harchos, tmp_path):
    (tmp_path / "HOME.csv").write_text(
        "timestamp,gco2_per_kwh\n2026-01-01T00:00:00Z,100\n2026-01-01T01:00:00Z,200\n"
    )
    signal = f"replay:{tmp_path / 'HOME.csv'}"
    code, out, _ = harchos("carbon", "HOME", "--hours", "2", "--now", "2026-01-01", "--signal", signal)
    assert code == 0
    assert "mean 150" in out
    code, _, err = harchos("carbon", "HOME", "--hours", "3", "--now", "2026-01-01", "--signal", signal)
    assert code == 1
    assert "covers 2026-01-01T00:00Z to 2026-01-01T02:00Z only" in err
