"""The GPU estimate: FLOPs as torch counts them, bounds in order, cards checked."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from energy_models.gpu import LayerShape, Workload, gpu_cost, gpu_work
from energy_models.gpu_card import gpu_names, load_gpu
from simulator.base.errors import InputError


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
def test_bounds_are_in_order(name: str, mode: str) -> None:
    card = load_gpu(name)
    for batch in (1, 256):
        cost = gpu_cost(WORK, card, mode, batch)  # type: ignore[arg-type]
        assert 0 < cost.optimistic_us <= cost.realistic_us
        assert cost.optimistic_uj > 0 and cost.realistic_uj > 0
        assert cost.realistic_us * batch >= cost.work.launches * card.number("launch_us") * 0.999
        assert cost.idle_uj <= cost.realistic_uj
        assert any("nothing was measured" in a for a in cost.assumptions)
    one, many = (gpu_cost(WORK, card, mode, b) for b in (1, 256))  # type: ignore[arg-type]
    assert many.realistic_uj < one.realistic_uj  # batches amortise launches


def test_hand_count() -> None:
    work = gpu_work(WORK, "bptt", 2)
    forward = 2 * 2 * 16 * (3 * 64 * 128 + 128 * 10)
    assert work.matmul_flops == 2 * forward + 2 * 2 * 16 * 128 * 10
    assert work.pointwise_flops == 3 * 20 * 128 * 2 * 16
    assert work.launches == 3 * 2 * 2 * 16
    assert gpu_work(WORK, "inference", 2, "scan").launches == 2 * 2 * 4
    assert gpu_work(WORK, "rtrl", 2).stored_bytes == 4 * 14 * 64 * 128 * 2
    assert gpu_work(WORK, "bptt", 2).stored_bytes == 4 * 2 * 16 * ((5 + 3) * 128 + 64 + (1 + 1) * 10 + 128)


def test_all_cards_load_and_say_where_from() -> None:
    for name in gpu_names():
        card = load_gpu(name)
        for field in card.__struct_fields__[2:]:
            assert getattr(card, field).source and getattr(card, field).quality in ("unverified", "assumed", "scaled")


def test_a_card_of_ones_own_and_refusals(tmp_path: Path) -> None:
    text = (resources.files("energy_models") / "gpus" / "h100.yaml").read_text()
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("name: h100", "name: mine").replace("value: 700", "value: 350"))
    assert (
        gpu_cost(WORK, load_gpu(str(mine)), "bptt", 256).optimistic_uj
        < gpu_cost(WORK, load_gpu("h100"), "bptt", 256).optimistic_uj
    )
    for bad, expected in [("unit: W", "Watt"), ("value: 700", "value: -1"), ("idle_w", "idl_w")]:
        mine.write_text(text.replace(bad, "unit: Watt" if expected == "Watt" else expected))
        with pytest.raises(InputError, match=r"mine\.yaml"):
            load_gpu(str(mine))
    mine.write_text(text.replace("efficiency: {value: 0.5", "efficiency: {value: 50"))
    with pytest.raises(InputError, match=r"mine\.yaml: \$\.efficiency: is 50"):
        load_gpu(str(mine))
    with pytest.raises(InputError, match="Known: a100"):
        load_gpu("b200")
    with pytest.raises(InputError, match="does not exist"):
        load_gpu(str(tmp_path / "no.yaml"))
    with pytest.raises(InputError, match="Use a smaller batch"):
        gpu_cost(WORK, load_gpu("orin-nano"), "bptt", 10**6)
    with pytest.raises(InputError, match="Use >= 1"):
        gpu_work(WORK, "bptt", 0)
