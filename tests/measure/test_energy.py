import pytest
import torch

from attndistill.measure import energy, measure_costs
from attndistill.measure.energy import EnergySource, estimate_energy, measure_energy, open_meter

CPU = torch.device("cpu")


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """A folder as Linux shows it: a package, its cores (part of it), and its memory."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    for zone, name, microjoules in (
        ("intel-rapl:0", "package-0", 1_000),
        ("intel-rapl:0:0", "core", 500),
        ("intel-rapl:0:1", "dram", 100),
    ):
        folder = tmp_path / zone
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{microjoules}\n")
        (folder / "max_energy_range_uj").write_text("999999\n")
    return tmp_path


def draw(powercap, zone, microjoules):
    """Advance a counter, wrapping around at its range."""
    file = powercap / zone / "energy_uj"
    limit = int((powercap / zone / "max_energy_range_uj").read_text())
    file.write_text(f"{(int(file.read_text()) + microjoules) % (limit + 1)}\n")


def test_measured_where_the_counters_can_be_read(powercap):
    def make_run(microjoules):
        def run():
            draw(powercap, "intel-rapl:0", microjoules)
            draw(powercap, "intel-rapl:0:0", microjoules)
            draw(powercap, "intel-rapl:0:1", 2_000)

        return run

    meter = open_meter(CPU)
    runs = {"teacher": make_run(48_000), "student": make_run(18_000)}
    found = measure_energy(runs, meter, batch_size=4, seconds=0.0)
    # 0.05 J per batch of 4; the cores are part of the package.
    assert found["teacher"].joules == pytest.approx(0.05 / 4 * 1000)
    assert found["student"].joules == pytest.approx(0.02 / 4 * 1000)
    assert found["student"].source is EnergySource.MEASURED
    assert found["student"].method == "RAPL package-0, dram"
    assert found["student"].watts is None


def test_a_counter_may_wrap_around(powercap):
    meter = open_meter(CPU)
    draw(powercap, "intel-rapl:0", 999_500)
    assert int((powercap / "intel-rapl:0" / "energy_uj").read_text()) == 500
    assert meter.joules() == pytest.approx(0.9995)


def test_a_meter_that_stands_still_measures_nothing(powercap):
    meter = open_meter(CPU)
    assert measure_energy({"a": lambda: None}, meter, batch_size=1, seconds=0.0) is None


def test_no_meter_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "nothing")
    assert open_meter(CPU) is None


def test_no_meter_where_it_cannot_be_read(powercap):
    for zone in powercap.iterdir():
        (zone / "energy_uj").unlink()
        # Reading fails, also for root, as for a user without the right to.
        (zone / "energy_uj").mkdir()
    assert open_meter(CPU) is None


def test_estimated_says_so_with_its_watts():
    found = estimate_energy(0.2, batch_size=32, watts=65.0)
    assert found.joules == pytest.approx(65 * 0.2 * 1000 / 32)
    assert found.source is EnergySource.ESTIMATED
    assert found.watts == 65.0
    assert found.method == "65 W assumed × measured seconds"


def test_costs_are_measured_where_there_is_a_meter(powercap, student, dataset, collator):
    (powercap / "intel-rapl:0" / "max_energy_range_uj").write_text("999999999999\n")
    handle = student.register_forward_hook(lambda *_: draw(powercap, "intel-rapl:0", 40_000))
    try:
        costs = measure_costs(
            {"student": student},
            dataset,
            collator,
            batch_sizes=(4,),
            seconds=0.01,
        )
    finally:
        handle.remove()
    assert costs["student"].energy.source is EnergySource.MEASURED
    assert costs["student"].energy.joules == pytest.approx(10.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_that_torch_uses_is_the_one_measured():
    pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
    meter = open_meter(torch.device("cuda"))
    assert meter.method == f"NVML {torch.cuda.get_device_name()}"

    def work():
        torch.randn(4096, 4096, device="cuda").mm(torch.randn(4096, 4096, device="cuda"))
        torch.cuda.synchronize()

    found = measure_energy({"work": work}, meter, batch_size=1, seconds=1.5)
    assert found["work"].source is EnergySource.MEASURED
