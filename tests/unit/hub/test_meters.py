"""Meters: real counters read as the kernel and NVIDIA's library give them, and the model that stands in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harchos_infra.hub.job import PowerModel
from harchos_infra.hub.meters import Channel, CpuModel, GpuModel, Integral, MeterUnavailableError, Nvml, Rapl

MODEL = PowerModel(
    cpu_watts_per_core_idle=2.0,
    cpu_watts_per_core_max=10.0,
    memory_watts_per_gib=0.5,
    gpu_watts_idle=20.0,
    gpu_watts_max=70.0,
    source="test",
)

FAKE_NVML = r"""
#include <stdio.h>
static int value(const char *name) {
    int number = -1; char path[512];
    snprintf(path, sizeof path, "%s/%s", PLACE, name);
    FILE *file = fopen(path, "r");
    if (file) { if (fscanf(file, "%d", &number) != 1) number = -1; fclose(file); }
    return number;
}
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = (unsigned int)value("count"); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    *device = (void *)(long)(index + 1); return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    int energy = value("energy"); if (energy < 0) return 3;
    *mj = (unsigned long long)energy * (unsigned long long)(long)device; return 0;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned int *mw) {
    int power = value("power"); (void)device; if (power < 0) return 3; *mw = (unsigned int)power; return 0;
}
"""


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _zone(root: Path, zone: str, name: str, energy_uj: int, most_uj: int = 1_000_000_000) -> Path:
    directory = root / zone
    directory.mkdir(parents=True)
    (directory / "name").write_text(f"{name}\n")
    (directory / "energy_uj").write_text(f"{energy_uj}\n")
    (directory / "max_energy_range_uj").write_text(f"{most_uj}\n")
    return directory / "energy_uj"


def test_rapl_sums_packages_and_dram_but_not_the_cores_inside_a_package(tmp_path: Path) -> None:
    package = _zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    other = _zone(tmp_path, "intel-rapl:1", "package-1", 0)
    core = _zone(tmp_path, "intel-rapl:0:0", "core", 0)
    dram = _zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    meter = Rapl(tmp_path)
    package.write_text("4000000")
    other.write_text("2000000")
    core.write_text("900000000")
    dram.write_text("500000")
    assert meter.joules() == pytest.approx(5.5)


def test_rapl_goes_on_after_the_counter_wraps(tmp_path: Path) -> None:
    counter = _zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, most_uj=10_000_000)
    meter = Rapl(tmp_path)
    counter.write_text("500000")
    assert meter.joules() == pytest.approx(1.5)
    counter.write_text("700000")
    assert meter.joules() == pytest.approx(1.7)


def test_rapl_of_the_whole_platform_is_not_added_to_its_parts(tmp_path: Path) -> None:
    _zone(tmp_path, "intel-rapl:0", "package-0", 0).write_text("0")
    platform = _zone(tmp_path, "intel-rapl:1", "psys", 0)
    meter = Rapl(tmp_path)
    platform.write_text("3000000")
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("2000000")
    assert meter.joules() == pytest.approx(3.0)


def test_a_machine_without_rapl_says_so(tmp_path: Path) -> None:
    with pytest.raises(MeterUnavailableError, match="no counter"):
        Rapl(tmp_path)


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build a stand-in for NVIDIA's library")
    place = tmp_path_factory.mktemp("nvml")
    (place / "fake.c").write_text(FAKE_NVML)
    build = [
        compiler,
        "-shared",
        "-fPIC",
        f'-DPLACE="{place}"',
        "-o",
        str(place / "fake.so"),
        str(place / "fake.c"),
    ]
    subprocess.run(build, check=True)
    return place


def test_nvml_reads_the_energy_counters_of_all_gpus_since_it_was_made(nvml: Path) -> None:
    (nvml / "count").write_text("2")
    (nvml / "energy").write_text("1000")
    meter = Nvml(str(nvml / "fake.so"))
    (nvml / "energy").write_text("5000")
    assert meter.joules() == pytest.approx((4000 * 1 + 4000 * 2) / 1000)


def test_nvml_integrates_power_where_a_gpu_has_no_energy_counter(nvml: Path) -> None:
    (nvml / "count").write_text("1")
    (nvml / "energy").unlink(missing_ok=True)
    (nvml / "power").write_text("60000")
    meter = Nvml(str(nvml / "fake.so"))
    first = meter.joules()
    assert 0 <= first < meter.joules()


def test_nvml_without_a_gpu_or_without_a_library_is_unavailable(nvml: Path) -> None:
    (nvml / "count").write_text("0")
    with pytest.raises(MeterUnavailableError, match="no GPU"):
        Nvml(str(nvml / "fake.so"))
    with pytest.raises(MeterUnavailableError):
        Nvml("libno-such-thing.so.1")


def test_power_is_integrated_by_the_trapezoidal_rule() -> None:
    clock = Clock()
    watts = iter([10.0, 20.0, 40.0])
    energy = Integral(lambda: next(watts), clock)
    clock.now = 2.0
    assert energy() == pytest.approx(30.0)
    clock.now = 3.0
    assert energy() == pytest.approx(60.0)


def test_the_model_is_idle_power_plus_what_each_cpu_second_adds() -> None:
    clock, used = Clock(), [5.0]
    meter = CpuModel(MODEL, lambda: used[0], cores=4, memory_gib=8.0, clock=clock)
    clock.now = 10.0
    used[0] = 8.0
    assert meter.joules() == pytest.approx(10 * (4 * 2.0 + 8 * 0.5) + 3 * (10.0 - 2.0))
    assert meter.basis == "modelled"


def test_gpus_that_cannot_be_metered_are_counted_at_their_maximum() -> None:
    clock = Clock()
    meter = GpuModel(MODEL, 2, clock)
    clock.now = 10.0
    assert meter.joules() == pytest.approx(1400.0)


class Broken:
    """A counter that fails when told to."""

    basis, by = "measured", "rapl"
    value: float | None = 0.0

    def joules(self) -> float:
        if self.value is None:
            raise MeterUnavailableError("gone")
        return self.value


def test_a_meter_that_fails_is_stood_in_for_and_nothing_is_counted_twice() -> None:
    clock = Clock()
    meter = Broken()
    channel = Channel(meter, GpuModel(MODEL, 1, clock))
    clock.now, meter.value = 1.0, 50.0
    assert channel.step() == (50.0, "measured", "rapl")
    clock.now, meter.value = 2.0, None
    assert channel.step() == (pytest.approx(70.0), "modelled", "gpu-model")
    clock.now, meter.value = 3.0, 150.0
    assert channel.step() == (pytest.approx(70.0), "modelled", "gpu-model")
    clock.now, meter.value = 4.0, 190.0
    assert channel.step() == (pytest.approx(40.0), "measured", "rapl")
