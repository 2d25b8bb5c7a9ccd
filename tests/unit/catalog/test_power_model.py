"""Watts of a node follow the documented formula, and are refused where a figure is missing."""

from dataclasses import replace

import pytest

from harchos_infra.catalog import Catalog, GpuWatts, HostWatts, Offer

POWER = Catalog.builtin().power
OFFERS = {(o.provider, o.instance_type): o for o in Catalog.builtin().offers if o.market == "on-demand"}
T4_NODE = OFFERS["aws", "g4dn.12xlarge"]  # 4 T4, 48 vCPUs, 192 GiB


def host_watts(vcpus: float, memory_gib: float, cpu_utilization: float) -> float:
    return vcpus * (0.7128 + (3.9673 - 0.7128) * cpu_utilization) + memory_gib * 0.4209


def test_used_gpus_run_at_their_utilization_and_the_others_idle():
    expected = 2 * (8 + (70 - 8) * 0.7) + 2 * 8 + host_watts(48, 192, 0.5)
    assert POWER.node_watts(T4_NODE, 2, 0.7).watts == pytest.approx(expected)


def test_cpu_load_is_the_callers_to_name():
    busy = POWER.node_watts(T4_NODE, 4, 1.0, cpu_utilization=1.0).watts
    assert busy == pytest.approx(4 * 70 + host_watts(48, 192, 1.0))


def test_the_basis_names_gpu_and_host():
    basis = POWER.node_watts(T4_NODE, 1, 0.5).basis
    assert "TDP 70 W (mlco2/impact@d0d3ee5)" in basis
    assert "median of aws CPUs" in basis


def test_azure_nc_carries_the_pcie_card_and_its_watts():
    pcie = POWER.gpu(OFFERS["azure", "Standard_NC24ads_A100_v4"])
    sxm = POWER.gpu(OFFERS["azure", "Standard_ND96amsr_A100_v4"])
    assert (pcie.maximum, sxm.maximum) == (300, 400)


def test_one_of_two_gpus_on_a_card_draws_half_of_it():
    assert POWER.gpu(OFFERS["aws", "p2.xlarge"]).maximum == 150


@pytest.mark.parametrize("model", ["A10", "B300", "T4G", "RTX-PRO-6000", "Radeon-MI25"])
def test_a_gpu_without_published_power_gets_no_figure_but_a_reason(model):
    offer = next(o for o in OFFERS.values() if o.gpu_model == model)
    assert POWER.node_watts(offer, offer.gpu_count, 0.7) is None
    assert POWER.missing(offer) == f"{model}: no published board power with a usable source"


def test_every_other_offer_has_a_figure():
    without = {o.gpu_model for o in OFFERS.values() if POWER.missing(o)}
    assert without == {"A10", "B300", "T4G", "RTX-PRO-6000", "Radeon-MI25"}


def test_a_model_nobody_has_heard_of_is_refused():
    offer = replace(T4_NODE, gpu_model="X9")
    assert POWER.missing(offer) == "X9: no power figure"


def test_a_machine_without_gpu_draws_its_host():
    machine = Offer(
        "local", "local", "host", "on-demand", None, 0, None, 4, 16, 0.0, "2026-11-23", "settings"
    )
    assert POWER.node_watts(machine, 0, 0.7).watts > 4 * 0.7


def test_the_local_machines_own_watts_are_used_where_given():
    machine = Offer("local", "local", "host", "on-demand", "X9", 1, 8, 4, 16, 0.0, "2026-11-23", "settings")
    own = POWER.with_machine(GpuWatts("X9", 10, 100, "measured"), HostWatts(1, 2, 0, "measured"))
    assert own.node_watts(machine, 1, 0.5, cpu_utilization=0).watts == 55 + 4


def test_unknown_vcpus_are_not_taken_for_none():
    machine = Offer(
        "local", "local", "host", "on-demand", None, 0, None, None, 16, 0.0, "2026-11-23", "settings"
    )
    assert POWER.node_watts(machine, 0, 0.7) is None
    assert "not known" in POWER.missing(machine)
