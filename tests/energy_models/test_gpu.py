"""The GPU estimate: FLOPs as torch counts them, bounds in order, cards checked."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest

from energy_models.gpu import CASES, LayerShape, Workload, best_batch, gpu_cost, gpu_work
from energy_models.gpu_card import GpuCard, gpu_names, load_gpu
from simulator.base.errors import InputError
from simulator.chips.quantity import Quantity


def test_flops_are_those_of_torch(tmp_path: Path) -> None:
    """Forward and forward + backward of a real BIM network, two layers, counted by torch itself."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from bimhw.models.bim.config import BimConfig
    from bimhw.models.bim.net import BimNet

    batch, steps, sizes = 3, 5, (11, 7, 6, 4)
    net = BimNet(BimConfig(n_in=sizes[0], hidden=sizes[1:3], n_out=sizes[3], tau_m=5.0, tau_s=2.0))
    u = torch.ones(steps, batch, sizes[0])
    layers = (
        LayerShape(11, 7, 3, 10),
        LayerShape(7, 6, 3, 10, trains_inputs=True),
        LayerShape(6, 4, 1, 0, trains_inputs=True),
    )
    workload = Workload(layers, steps)
    with FlopCounterMode(display=False) as counter:
        loss = net(u).square().mean()
    assert counter.get_total_flops() == gpu_work(workload, "inference", batch).matmul_flops
    with FlopCounterMode(display=False) as counter:
        net(u).square().mean().backward()
    assert counter.get_total_flops() == gpu_work(workload, "bptt", batch).matmul_flops
    assert loss.isfinite()


WORK = Workload(
    (LayerShape(64, 128, 3, 20, 5, eligibility_words=14), LayerShape(128, 10, 1, 0, 1, trains_inputs=True)), 16
)


@pytest.mark.parametrize("name", ["h100", "a100", "orin-nano", "agx-orin", "i7-4960x"])
@pytest.mark.parametrize("mode", ["inference", "bptt", "rtrl"])
def test_cases_are_in_order(name: str, mode: Any) -> None:
    """No program is faster than the fused bound; a graph never waits longer than its kernels one after another."""
    card = load_gpu(name)
    for batch in (1, 256):
        fused, graph, eager = (gpu_cost(WORK, card, mode, batch, case=case) for case in CASES)
        assert 0 < fused.us <= graph.us <= eager.us and fused.uj < graph.low_uj <= graph.uj <= eager.uj
        for cost in (fused, graph, eager):
            assert cost.low_uj <= cost.uj <= cost.high_uj and cost.low_us <= cost.us <= cost.high_us
            assert any("nothing was measured" in a for a in cost.assumptions)
        assert eager.us * batch >= eager.work.launches * card.number("launch_us") * 0.999
    one, many = (gpu_cost(WORK, card, mode, b) for b in (1, 256))
    assert many.uj < one.uj  # batches amortise launches
    best = best_batch(WORK, card, mode, "eager")
    assert gpu_cost(WORK, card, mode, best).uj <= many.uj * 1.001


def ones(**other: float) -> GpuCard:
    """Return a card of round figures, without ranges."""
    units = {"fp32_tflops": "TFLOP/s", "tensor_tflops": "TFLOP/s", "bandwidth_gb_s": "GB/s", "memory_gb": "GB"}
    units |= {"launch_us": "us", "step_us": "us", "efficiency": "1"}
    values = {
        "fp32_tflops": 1.0, "tensor_tflops": 10.0, "bandwidth_gb_s": 100.0, "memory_gb": 8.0, "board_power_w": 100.0,
        "idle_w": 10.0, "low_load_w": 20.0, "launch_us": 5.0, "efficiency": 0.5, "step_us": 1.0, "host_w": 50.0,
    } | other  # fmt: skip
    return GpuCard("ones", "Ones", **{k: Quantity(v, units.get(k, "W"), "test", "assumed") for k, v in values.items()})


def test_costs_by_hand() -> None:
    """Every factor of the equations, with numbers: one layer of 100 x 50, 2 ports, 10 operations a neuron, 8 steps, batch 4."""
    work = Workload((LayerShape(100, 50, 2, 10, 5, external=True),), 8)
    flops, point, words = 2 * 2 * 100 * 50 * 32, 10 * 50 * 32, (7 * 50 + 100) * 32
    moved, least = 4 * (10_000 + words), 2 * 10_000 + 2 * 150 * 32
    fused = gpu_cost(work, ones(), "inference", 4, case="fused")
    seconds = max(flops / 10e12 + point / 2e12, least / 100e9)
    assert fused.us == pytest.approx(seconds * 1e6 / 4) and fused.uj == pytest.approx(seconds * 100e6 / 4)
    assert fused.low_uj == pytest.approx(seconds * 10e6 / 4)  # at idle power
    wide = gpu_cost(work, ones(bandwidth_gb_s=1e6), "inference", 4, case="fused")  # the units bind, not the memory
    assert wide.us == pytest.approx((flops / 10e12 + point / 2e12) * 1e6 / 4)
    busy = max(flops / 10e12 + point / 1e12, moved / 100e9) / 0.5
    for case, waits in (("graph", 5e-6 + 8e-6), ("eager", (1 + 8) * 5e-6)):
        cost = gpu_cost(work, ones(), "inference", 4, case=case)  # type: ignore[arg-type]
        assert cost.us == pytest.approx(max(busy, waits) * 1e6 / 4)
        power = 20 + (100 - 20) * busy / max(busy, waits)
        assert cost.uj == pytest.approx(max(busy, waits) * power * 1e6 / 4)
        assert cost.idle_uj == pytest.approx(10 * cost.us) and cost.host_uj == pytest.approx(50 * cost.us)
    slow = gpu_cost(work, ones(efficiency=0.001), "inference", 4)
    assert slow.us == pytest.approx(busy * 500 * 1e6 / 4) and slow.uj == pytest.approx(slow.us * 100)


def test_a_fused_scan_reads_and_writes_least_bytes_twice() -> None:
    """The low end of a graph, memory-bound: states stay on chip, least bytes there and back at the best efficiency."""
    work = Workload((LayerShape(100, 50, 2, 10, 5, external=True),), 8)
    narrow = ones(bandwidth_gb_s=0.1, launch_us=0.0, step_us=0.0)
    least = 2 * 10_000 + 2 * 150 * 32
    cost = gpu_cost(work, narrow, "inference", 4, case="graph")
    assert cost.low_us == pytest.approx(2 * least / 0.1e9 / 0.5 * 1e6 / 4) and cost.low_us < cost.us / 1.5


def test_ranges_of_a_card_make_the_ranges_of_its_costs() -> None:
    card = ones()
    wide = msgspec.structs.replace(
        card, launch_us=Quantity(5.0, "us", "test", "assumed", low=2.0, high=10.0),
        low_load_w=Quantity(20.0, "W", "test", "assumed", low=15.0, high=40.0),
    )  # fmt: skip
    cost = gpu_cost(WORK, wide, "inference", 1)
    ends = [gpu_cost(WORK, ones(launch_us=u, low_load_w=w), "inference", 1) for u, w in ((2.0, 15.0), (10.0, 40.0))]
    assert (cost.low_uj, cost.high_uj) == pytest.approx((ends[0].uj, ends[1].uj))
    assert (cost.low_us, cost.high_us) == pytest.approx((ends[0].us, ends[1].us))


def test_hand_count() -> None:
    work = gpu_work(WORK, "bptt", 2)
    forward = 2 * 2 * 16 * (3 * 64 * 128 + 128 * 10)
    assert work.matmul_flops == 2 * forward + 2 * 2 * 16 * 128 * 10
    assert work.pointwise_flops == 3 * 20 * 128 * 2 * 16
    assert (
        gpu_work(WORK, "inference", 2).launches == 1 + 16 + 1
    )  # products of all steps at once; one neuron kernel a step
    assert (
        work.launches == 18 + (1 + 16) + 2 + 1
    )  # backward: weights, steps; weights and inputs of the readout; the update
    assert gpu_work(WORK, "inference", 2, "scan").launches == 1 + 4 + 1
    back = Workload((LayerShape(8, 8, recurrent=True),), 16)
    assert gpu_work(back, "inference").launches == 16 + 16  # what feeds itself needs a product a step
    assert work.least_bytes == 2 * 2 * (3 * 64 * 128 + 1280) + 2 * (64 + 10) * 32
    assert gpu_work(WORK, "rtrl", 2).stored_bytes == 4 * 14 * 64 * 128 * 2
    assert gpu_work(WORK, "bptt", 2).stored_bytes == 4 * 2 * 16 * ((5 + 3) * 128 + 64 + (1 + 1) * 10 + 128)


def test_all_cards_load_and_say_where_from() -> None:
    for name in gpu_names():
        card = load_gpu(name)
        for _, figure in card.figures():
            assert figure.source and figure.quality in ("unverified", "assumed", "scaled")


def test_a_card_of_ones_own_and_refusals(tmp_path: Path) -> None:
    text = (resources.files("energy_models") / "gpus" / "h100.yaml").read_text()
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("name: h100", "name: mine").replace("value: 700", "value: 350"))
    assert (
        gpu_cost(WORK, load_gpu(str(mine)), "bptt", 256, case="fused").uj
        < gpu_cost(WORK, load_gpu("h100"), "bptt", 256, case="fused").uj
    )
    for bad, expected in [("unit: W", "Watt"), ("value: 700", "value: -1"), ("idle_w", "idl_w")]:
        mine.write_text(text.replace(bad, "unit: Watt" if expected == "Watt" else expected))
        with pytest.raises(InputError, match=r"mine\.yaml"):
            load_gpu(str(mine))
    mine.write_text(text.replace("efficiency: {value: 0.5", "efficiency: {value: 50"))
    with pytest.raises(InputError, match=r"mine\.yaml: \$\.efficiency: is 50"):
        load_gpu(str(mine))
    with pytest.raises(InputError, match="GPUs: a100"):
        load_gpu("b200")
    with pytest.raises(InputError, match="does not exist"):
        load_gpu(str(tmp_path / "no.yaml"))
    with pytest.raises(InputError, match="Use a smaller batch"):
        gpu_cost(WORK, load_gpu("orin-nano"), "bptt", 10**6)
    with pytest.raises(InputError, match="Use >= 1"):
        gpu_work(WORK, "bptt", 0)
