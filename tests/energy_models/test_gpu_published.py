"""The fused bound lies below every published figure of a card that we can rebuild (docs/gpu.md holds the same numbers)."""

from __future__ import annotations

import pytest

from energy_models.gpu import gpu_cost
from energy_models.gpu_card import load_gpu
from energy_models.gpu_work import LayerShape, Mode, Workload

# An SHD sample: 700 inputs, 1,024 recurrent LIF neurons, 20 classes; 1 s in steps of 1 ms.
SHD = Workload(
    (
        LayerShape(700, 1024, neuron_flops=6, state_words=2, recurrent=True, external=True),
        LayerShape(1024, 1024, neuron_flops=0, recurrent=True),
        LayerShape(1024, 20, neuron_flops=4, state_words=1, trains_inputs=True),
    ),
    1000,
)
# The cortical microcircuit, 77,169 neurons of 3,873 synapses in the mean: one step in which every neuron fires.
SYNAPSES = 3873 * 77_169
PD14 = Workload((LayerShape(3873, 77_169, neuron_flops=20, recurrent=True),), 1)

# GeNN on an RTX 2070, measured by SNABSuite (config_energy/genn_gpu_energy.json): power of the card x time of the run.
GENN = {
    "non_spiking": ((1, 100_000, 400_000), 96.07, 1.900),  # inputs, neurons, steps; W, s
    "input_A2A": ((1_000, 100_000, 80_000), 109.45, 0.822),
    "input_random": ((1_000, 50_000, 40_000), 74.42, 1.181),
    "inter_random": ((500, 25_000, 50_000), 111.74, 1.108),
}


@pytest.mark.parametrize(
    ("name", "bound_j"), [("non_spiking", 16.7), ("input_A2A", 11.58), ("input_random", 2.95), ("inter_random", 0.94)]
)
def test_the_bound_is_below_genns_measured_runs(name: str, bound_j: float) -> None:
    (inputs, neurons, steps), watt, seconds = GENN[name]
    layer = LayerShape(inputs, neurons, neuron_flops=6, state_words=2, external=True)
    bound = gpu_cost(Workload((layer,), steps), load_gpu("h100"), "inference", 1, case="fused")
    assert bound.uj / 1e6 == pytest.approx(bound_j, rel=0.03)
    assert bound.uj / 1e6 < watt * seconds / 5


@pytest.mark.parametrize(
    ("workload", "card", "mode", "published_uj"),
    [
        (SHD, "orin-nano", "inference", 0.36e3 * 250),  # 250 times Loihi 2's 0.36 mJ: arXiv:2510.13757
        (SHD, "orin-nano", "inference", 0.50e3 * 200),  # 200 times Loihi 2's 0.50 mJ: arXiv:2503.04341
    ],
)
def test_the_bound_is_below_what_was_published(workload: Workload, card: str, mode: Mode, published_uj: float) -> None:
    bound = gpu_cost(workload, load_gpu(card), mode, 1, case="fused")
    assert 0 < bound.low_uj <= bound.uj < published_uj / 5
    eager = gpu_cost(workload, load_gpu(card), mode, 1, case="eager")
    assert bound.uj < eager.uj


@pytest.mark.parametrize("published_uj", [0.47, 0.25, 0.104, 0.074])  # GeNN V100, NEST GPU 2080 Ti and 4090, GeNN 4090
def test_the_bound_of_a_synaptic_event_is_below_the_microcircuits(published_uj: float) -> None:
    """An event reads one weight of 16 bits at least: 2 B / 3,350 GB/s x 700 W = 0.42 nJ."""
    event_uj = gpu_cost(PD14, load_gpu("h100"), "inference", 1, case="fused").uj / SYNAPSES
    assert event_uj == pytest.approx(2 / 3350e9 * 700 * 1e6, rel=0.01)
    assert event_uj < published_uj / 100
