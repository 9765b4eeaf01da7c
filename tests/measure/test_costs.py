import copy

import numpy as np
import pytest
import torch
from tiny import SIZES, make_batch, make_bert, make_encoder

from attndistill.errors import InputError
from attndistill.measure import costs, energy, measure_costs
from attndistill.measure.costs import typical_rows
from attndistill.measure.energy import EnergySource
from attndistill.measure.flops import count_flops
from attndistill.measure.memory import peak_memory
from attndistill.measure.parameters import count_parameters, transformer_layers, weight_bytes

WIDTH, INNER = SIZES["hidden_size"], SIZES["intermediate_size"]


def layer_flops(tokens):
    """Query, key, value, output; scores and values; the two feed-forward products."""
    return 4 * 2 * tokens * WIDTH**2 + 2 * 2 * tokens**2 * WIDTH + 2 * 2 * tokens * WIDTH * INNER


def make_inputs(lengths, **options):
    batch = make_batch(lengths, **options)
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_flops_are_the_hand_formulas(implementation):
    model = make_bert(layers=3, attn_implementation=implementation)
    flops = count_flops(model, make_inputs([11, 7]))
    assert flops.input_size == "11 tokens"
    assert flops.layers == 3 * layer_flops(11)
    # The pooler and the head see one token.
    assert flops.total == flops.layers + 2 * WIDTH**2 + 2 * WIDTH * 2


def test_flops_per_example_do_not_depend_on_the_batch():
    model = make_bert(layers=2)
    assert count_flops(model, make_inputs([9])) == count_flops(model, make_inputs([9] * 5))


def test_flops_under_an_uncountable_kernel_are_refused():
    model = make_bert(layers=1)
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(InputError, match="one of eager, sdpa"):
        count_flops(model, make_inputs([5]))


def test_parameters_by_hand():
    parameters = count_parameters(make_bert(layers=3))
    attention = 4 * (WIDTH**2 + WIDTH)
    feed_forward = 2 * WIDTH * INNER + INNER + WIDTH
    assert parameters.layers == 3 * (attention + feed_forward + 2 * 2 * WIDTH)
    assert parameters.embedding == (97 + 64 + 2) * WIDTH
    head = WIDTH**2 + WIDTH + 2 * WIDTH + 2
    assert parameters.total == parameters.layers + parameters.embedding + 2 * WIDTH + head


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_layers_of_every_family_are_whole(family):
    model = make_encoder(family)
    layers = transformer_layers(model)
    assert len(layers) == 3
    assert {type(layer) for layer in layers.values()} == {type(next(iter(layers.values())))}
    inside = sum(p.numel() for p in next(iter(layers.values())).parameters())
    assert inside > 4 * WIDTH**2 + 2 * WIDTH * INNER


def test_peak_memory_by_hand():
    model = torch.nn.Sequential(
        torch.nn.Linear(16, 64, bias=False), torch.nn.ReLU(), torch.nn.Linear(64, 16, bias=False)
    )
    # At the worst moment 5×64 before and after the ReLU are alive.
    assert peak_memory(model, {"input": torch.ones(5, 16)}) == 4 * (2 * 16 * 64 + 2 * 5 * 64)


@pytest.fixture
def no_meter(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "nothing")


def test_costs_of_two_models(teacher, student, dataset, collator, tmp_path, no_meter):
    student.save_pretrained(tmp_path)
    costs = measure_costs(
        {"teacher": teacher, "student": student},
        dataset,
        collator,
        batch_sizes=(4, 1),
        folders={"student": tmp_path},
        seconds=0.05,
        watts=100.0,
    )
    of_teacher, of_student = costs["teacher"], costs["student"]
    assert of_teacher.flops.layers == 2 * of_student.flops.layers
    assert of_teacher.size_bytes is None
    assert of_student.size_bytes == (tmp_path / "model.safetensors").stat().st_size
    assert [latency.batch_size for latency in of_student.latency] == [1, 4]
    for latency in of_student.latency:
        assert latency.runs >= 30
        assert latency.threads == torch.get_num_threads()
        assert 0 < latency.median_ms <= latency.p95_ms
    seconds = of_student.latency[-1].median_ms / 1000
    assert of_student.energy.joules == pytest.approx(100 * seconds * 1000 / 4)
    assert of_teacher.peak_memory_bytes > of_student.peak_memory_bytes


def test_figures_that_cannot_be_measured_are_named_with_the_reason(
    student, dataset, collator, tmp_path, monkeypatch, no_meter
):
    model = copy.deepcopy(student)
    model.config._attn_implementation = "flash_attention_2"

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("out of\nmemory")

    def only_batch_1(*_, **__):
        return out_of_memory() if len(calls := only_batch_1.calls) else calls.append(1) or times

    only_batch_1.calls, times = [], {"student": np.array([0.1, 0.3])}
    monkeypatch.setattr(costs, "peak_memory", out_of_memory)
    monkeypatch.setattr(costs, "time_in_turn", only_batch_1)
    found = measure_costs(
        {"student": model},
        dataset,
        collator,
        batch_sizes=(1, 4),
        folders={"student": tmp_path},
    )["student"]
    assert found.parameters == count_parameters(student)
    assert [latency.median_ms for latency in found.latency] == [pytest.approx(200.0)]
    assert (found.flops, found.peak_memory_bytes, found.energy, found.size_bytes) == (None,) * 4
    assert found.missing.keys() == {
        "FLOPs",
        "peak memory",
        "latency at batch 4",
        "energy",
        "size on disk",
    }
    assert found.missing["peak memory"] == "out of memory"
    assert "flash_attention_2" in found.missing["FLOPs"]
    assert "no latency" in found.missing["energy"]


def test_declared_watts_are_called_so(student, dataset, collator, no_meter):
    options = {"batch_sizes": (1,), "seconds": 0.01}
    for watts, method in ((15.0, "15 W declared"), (None, "65 W assumed")):
        costs = measure_costs({"student": student}, dataset, collator, watts=watts, **options)
        found = costs["student"].energy
        assert found.source is EnergySource.ESTIMATED
        assert found.method.startswith(method)
        seconds = costs["student"].latency[-1].median_ms / 1000
        assert found.joules == pytest.approx((watts or 65) * seconds * 1000)


def test_typical_rows_have_the_median_length(dataset):
    lengths = sorted(len(tokens) for tokens in dataset["input_ids"])
    rows = typical_rows(dataset, 3)
    assert len(rows) == 3
    assert len(rows[0]["input_ids"]) == lengths[len(lengths) // 2]
    assert len(typical_rows(dataset.select(range(2)), 5)) == 5


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no weights"):
        weight_bytes(tmp_path)
