"""Random modules of five frameworks as Python objects, each read by bimhw and run in its float engine.

    python -m benchmarks.frameworks.modules [--framework snntorch] [--count 20] [--seed 0]

Needs the frameworks (``make frameworks`` installs them in an environment of its own). Prints one line a module: outputs that
differ from the framework's own, of how many, and the mean of the output. Exit code 1 where one differs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

STEPS, BATCH = 20, 3
Made = tuple[Any, torch.Tensor]


def _gain(module: nn.Module, factor: float) -> None:
    with torch.no_grad():
        for name, p in nn.Module.named_parameters(module):
            if name.endswith(("weight", "weights")):
                p *= factor


def _spikes(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.tensor((rng.random(shape) < 0.5).astype(np.float32))


class Skip(nn.Module):
    """A forward of its own with a skip, a sum, a pool and feedback over a step."""

    def __init__(self, neuron: Callable[[], nn.Module], states: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.n1, self.n2, self.n3 = neuron(), neuron(), neuron()
        self.pool = nn.MaxPool2d(2)
        self.more = nn.Conv2d(4, 4, 1)
        self.out = nn.Linear(4 * 3 * 3, 5)
        self.back = nn.Linear(5, 5)
        self.states = states
        with torch.no_grad():
            self.norm.running_mean.uniform_(-0.2, 0.2)
            self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states: list[Any] = [None, None, None]

        def call(k: int, layer: nn.Module, value: torch.Tensor) -> torch.Tensor:
            if not self.states:
                return layer(value)
            spikes, states[k] = layer(value, states[k])
            return spikes

        last = torch.zeros(x.shape[1], 5)
        rows = []
        for t in range(x.shape[0]):
            a = call(0, self.n1, self.norm(self.conv(x[t])))
            a = self.pool(a)
            b = call(1, self.n2, self.more(a) + 0.5 * a)
            last = call(2, self.n3, self.out(torch.flatten(a + b, 1)) + self.back(last))
            rows.append(last)
        return torch.stack(rows)


def snntorch_module(rng: np.random.Generator) -> Made:
    """snnTorch: every neuron, reset_mechanism and reset_delay; Sequential, loops with states, a forward of its own."""
    snn = importlib.import_module("snntorch")
    reset = str(rng.choice(["subtract", "zero", "none"]))
    delay = bool(rng.integers(2))
    beta = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.7 else torch.rand(8)
    more = {"reset_mechanism": reset, "init_hidden": True}
    kind = int(rng.integers(6))
    if kind == 5:
        module = Skip(lambda: snn.Leaky(beta=float(rng.uniform(0.3, 1)), reset_delay=delay, **more), False)
        _gain(module, 2.0)
        return module, _spikes(rng, STEPS, BATCH, 2, 6, 6)
    makers: list[Callable[[], nn.Module]] = [
        lambda: snn.Leaky(beta=beta, reset_delay=delay, threshold=torch.rand(8) + 0.5, **more),
        lambda: snn.Synaptic(alpha=float(rng.uniform(0.1, 0.9)), beta=beta, reset_delay=delay, **more),
        lambda: snn.RLeaky(beta=beta, linear_features=8, reset_delay=delay, **more),
        lambda: snn.RSynaptic(alpha=0.6, beta=beta, all_to_all=False, V=float(rng.normal()), **more),
        lambda: snn.Lapicque(beta=float(rng.uniform(0.5, 0.95)), **more),
    ]
    module = nn.Sequential(nn.Linear(12, 8), makers[kind](), nn.Linear(8, 5), snn.Leaky(beta=0.8, **more))
    _gain(module, 2.0)
    return module, _spikes(rng, STEPS, BATCH, 12)


def spikingjelly_module(rng: np.random.Generator) -> Made:
    """SpikingJelly: IF, LIF, PLIF, CUBA; hard and soft resets; step modes s and m; containers."""
    neuron = importlib.import_module("spikingjelly.activation_based.neuron")
    layer = importlib.import_module("spikingjelly.activation_based.layer")
    functional = importlib.import_module("spikingjelly.activation_based.functional")
    reset = [None, 0.0, -0.125][int(rng.integers(3))]
    makers: list[Callable[[], nn.Module]] = [
        lambda: neuron.IFNode(v_reset=reset),
        lambda: neuron.LIFNode(tau=float(rng.uniform(1.5, 5)), decay_input=bool(rng.integers(2)), v_reset=reset),
        lambda: neuron.ParametricLIFNode(init_tau=2.5, decay_input=bool(rng.integers(2)), v_reset=reset),
        lambda: neuron.CUBALIFNode(c_decay=0.4, v_decay=float(rng.uniform(0.5, 0.9)), v_reset=reset),
    ]
    make = makers[int(rng.integers(4))]
    kind = int(rng.integers(3))
    if kind == 0:
        module: Any = Skip(make, False)
        _gain(module, 3.0)
        return module, _spikes(rng, STEPS, BATCH, 2, 6, 6)
    module = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1), layer.BatchNorm2d(4), make(), layer.MaxPool2d(2), layer.Conv2d(4, 4, 3), make(),
        layer.AvgPool2d(2), layer.Flatten(), layer.Linear(4 * 2 * 2, 5), make(),
    )  # fmt: skip
    functional.set_step_mode(module, "m" if kind == 1 else "s")
    _gain(module, 3.0)
    return module, _spikes(rng, STEPS, BATCH, 2, 12, 12)


def kin_module(rng: np.random.Generator) -> Made:
    """SpikingJelly: KLIF, DSR, HalfThresholdIF, SLTT and OTTT."""
    neuron = importlib.import_module("spikingjelly.activation_based.neuron")
    layer = importlib.import_module("spikingjelly.activation_based.layer")
    functional = importlib.import_module("spikingjelly.activation_based.functional")
    reset = [None, 0.0, 0.125][int(rng.integers(3))]
    lif = {"tau": float(rng.uniform(1.5, 5)), "decay_input": bool(rng.integers(2)), "v_reset": reset}

    def klif() -> nn.Module:
        node: nn.Module = neuron.KLIFNode(scale_reset=bool(rng.integers(2)), **lif)
        with torch.no_grad():
            node.get_parameter("k").fill_(float(rng.uniform(0.4, 1.2)))
        return node

    makers: list[tuple[str, Callable[[], nn.Module]]] = [
        ("ms"[int(rng.integers(2))], klif),
        ("m", lambda: neuron.DSRIFNode(v_threshold=1.5, alpha=float(rng.uniform(0.2, 1)))),
        ("m", lambda: neuron.DSRLIFNode(v_threshold=0.8, tau=float(rng.uniform(0.1, 2)))),
        ("ms"[int(rng.integers(2))], lambda: neuron.HalfThresholdIFNode(v_threshold=float(rng.uniform(0.5, 2)))),
        ("s", lambda: neuron.SLTTLIFNode(**lif)),
        ("s", lambda: neuron.OTTTLIFNode(**lif)),
    ]
    step_mode, make = makers[int(rng.integers(len(makers)))]
    module = nn.Sequential(layer.Linear(12, 8), make(), layer.Linear(8, 5), make())
    functional.set_step_mode(module, step_mode)
    _gain(module, 4.0)
    return module, _spikes(rng, STEPS, BATCH, 12)


def norse_module(rng: np.random.Generator) -> Made:
    """Norse: cells with states, layers over time, SequentialState, recurrent forms."""
    norse = importlib.import_module("norse.torch")
    box = importlib.import_module("norse.torch.functional.lif_box")
    p = norse.LIFParameters(
        tau_mem_inv=torch.as_tensor(float(rng.uniform(50, 500))), tau_syn_inv=torch.as_tensor(float(rng.uniform(100, 600))),
        v_th=torch.as_tensor(0.5), v_leak=torch.as_tensor(float(rng.choice([0.0, 0.1]))), v_reset=torch.as_tensor(0.05),
    )  # fmt: skip
    q = box.LIFBoxParameters(tau_mem_inv=torch.as_tensor(float(rng.uniform(200, 800))), v_th=torch.as_tensor(0.4))
    cells: list[Callable[[], nn.Module]] = [lambda: norse.LIFCell(p=p), lambda: norse.LIFBoxCell(p=q), norse.IAFCell]
    kind = int(rng.integers(5))
    if kind < 2:
        make = cells[int(rng.integers(3))]
        module: Any = norse.SequentialState(nn.Linear(12, 8), make(), nn.Linear(8, 5), make())
    elif kind == 2:
        module = norse.SequentialState(
            nn.Linear(12, 8), norse.LIF(p=p), norse.LIFRecurrent(8, 6, p=p), nn.Linear(6, 5), norse.LIF()
        )
    elif kind == 3:
        module = norse.SequentialState(norse.LIFRecurrentCell(12, 8, p=p), nn.Linear(8, 5), norse.LIFCell(p=p))
    else:
        module = Skip(cells[int(rng.integers(3))], True)
        _gain(module, 4.0)
        return module, _spikes(rng, STEPS, BATCH, 2, 6, 6)
    _gain(module, 4.0)
    return module, _spikes(rng, STEPS, BATCH, 12)


def sinabs_module(rng: np.random.Generator) -> Made:
    """sinabs: LIF, IAF, ExpLeak, recurrent and Squeeze forms; one or several spikes a step; both resets."""
    sl = importlib.import_module("sinabs.layers")
    act = importlib.import_module("sinabs.activation")
    more: dict[str, Any] = {
        "spike_fn": [act.SingleSpike, act.MultiSpike, act.MaxSpike(1)][int(rng.integers(3))],
        "reset_fn": [act.MembraneSubtract(), act.MembraneReset()][int(rng.integers(2))],
        "min_v_mem": [None, -0.5][int(rng.integers(2))],
    }
    lif = {"tau_mem": float(rng.uniform(1.5, 10)), "tau_syn": [None, 3.0][int(rng.integers(2))], **more}
    lif["norm_input"] = bool(rng.integers(2))
    kind = int(rng.integers(4))
    if kind == 0:
        module: Any = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), sl.IAFSqueeze(batch_size=BATCH, **more), sl.SumPool2d(2), nn.Conv2d(4, 4, 3),
            sl.LIFSqueeze(batch_size=BATCH, **lif), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 5),
            sl.IAFSqueeze(batch_size=BATCH, **more),
        )  # fmt: skip
        _gain(module, 2.0)
        return module, _spikes(rng, STEPS * BATCH, 2, 8, 8)
    if kind == 1:
        inner = [sl.LIFRecurrent(rec_connect=nn.Linear(8, 8), **lif)]
    else:
        inner = [sl.LIF(**lif), sl.IAF(**more)][kind - 2 :][:1]
    module = nn.Sequential(nn.Linear(12, 8), *inner, nn.Linear(8, 5), sl.LIF(**lif))
    _gain(module, 3.0)
    return module, _spikes(rng, BATCH, STEPS, 12)


def lsnn_module(rng: np.random.Generator) -> Made:
    """Norse's LSNN: cells and over time, recurrent or not."""
    norse = importlib.import_module("norse.torch")
    p = norse.LSNNParameters(
        tau_adapt_inv=torch.as_tensor(float(rng.uniform(20, 200))), beta=torch.as_tensor(float(rng.uniform(0.1, 0.6))),
        tau_syn_inv=torch.as_tensor(float(rng.uniform(100, 600))), tau_mem_inv=torch.as_tensor(float(rng.uniform(100, 500))),
        v_th=torch.as_tensor(float(rng.uniform(0.2, 0.5))), v_reset=torch.as_tensor(float(rng.choice([0.0, -0.1]))),
    )  # fmt: skip
    kinds: list[Callable[[], list[nn.Module]]] = [
        lambda: [nn.Linear(12, 8), norse.LSNNCell(p), nn.Linear(8, 5), norse.LSNNCell(p)],
        lambda: [norse.LSNNRecurrentCell(12, 8, p), nn.Linear(8, 5), norse.LIFCell()],
        lambda: [nn.Linear(12, 8), norse.LSNN(p), norse.LSNNRecurrent(8, 6, p), nn.Linear(6, 5), norse.LI()],
    ]
    module = norse.SequentialState(*kinds[int(rng.integers(3))]())
    _gain(module, 8.0)
    return module, _spikes(rng, STEPS, BATCH, 12)


def alif_module(rng: np.random.Generator) -> Made:
    """sinabs' ALIF, recurrent or not, with or without a synaptic current."""
    sl = importlib.import_module("sinabs.layers")
    act = importlib.import_module("sinabs.activation")
    more: dict[str, Any] = {
        "tau_mem": float(rng.uniform(2, 10)), "tau_adapt": float(rng.uniform(2, 20)),
        "tau_syn": [None, 3.0][int(rng.integers(2))], "adapt_scale": float(rng.uniform(0.3, 2)),
        "spike_threshold": torch.tensor(float(rng.uniform(0.2, 0.6))), "norm_input": bool(rng.integers(2)),
        "reset_fn": [act.MembraneSubtract(), act.MembraneReset()][int(rng.integers(2))],
    }  # fmt: skip
    first = sl.ALIFRecurrent(rec_connect=nn.Linear(8, 8), **more) if rng.integers(2) else sl.ALIF(**more)
    module = nn.Sequential(nn.Linear(12, 8), first, nn.Linear(8, 5), sl.ALIF(**more))
    _gain(module, 4.0)
    return module, _spikes(rng, BATCH, STEPS, 12)


def alpha_module(rng: np.random.Generator) -> Made:
    """snnTorch's Alpha under each reset_mechanism, its decays one for a layer or one a neuron."""
    snn = importlib.import_module("snntorch")
    reset = str(rng.choice(["subtract", "zero", "none"]))

    def alpha(n: int) -> nn.Module:
        beta = torch.rand(n) * 0.6 + 0.1 if rng.integers(2) else torch.tensor(float(rng.uniform(0.0, 0.7)))
        slow = beta + (1 - beta) * float(rng.uniform(0.2, 0.9))
        return snn.Alpha(alpha=slow, beta=beta, threshold=torch.rand(n) + 0.2, reset_mechanism=reset, init_hidden=True)

    module = nn.Sequential(nn.Linear(12, 8), alpha(8), nn.Linear(8, 5), alpha(5))
    _gain(module, 3.0)
    return module, _spikes(rng, STEPS, BATCH, 12)


def rockpool_module(rng: np.random.Generator) -> Made:
    """Rockpool: LIFTorch feed-forward and recurrent, ExpSynTorch, one or several spikes a step."""
    rt = importlib.import_module("rockpool.nn.modules")
    combinators = importlib.import_module("rockpool.nn.combinators")
    more: dict[str, Any] = {
        "tau_mem": float(rng.uniform(2e-3, 50e-3)),
        "tau_syn": float(rng.uniform(2e-3, 20e-3)),
        "threshold": float(rng.uniform(0.5, 2)),
        "bias": float(rng.choice([0.0, 0.01])),
    }
    if rng.random() < 0.5:
        more["max_spikes_per_dt"] = torch.tensor(1.0)
    recurrent = {"has_rec": True, "w_rec": 0.2 * torch.randn(8, 8)} if rng.random() < 0.5 else {}
    first = rt.LIFTorch(8, **recurrent, **more)
    parts = [
        rt.LinearTorch((12, 8), has_bias=bool(rng.integers(2))),
        first,
        rt.LinearTorch((8, 5)),
        rt.LIFTorch(5, **more),
    ]
    return combinators.Sequential(*parts), _spikes(rng, BATCH, STEPS, 12)


def wavesense_module(rng: np.random.Generator) -> Made:
    """Rockpool: WaveSenseNet, two synapses a neuron; LIFBitshiftTorch, LIFNeuronTorch."""
    rt = importlib.import_module("rockpool.nn.modules")
    combinators = importlib.import_module("rockpool.nn.combinators")
    networks = importlib.import_module("rockpool.nn.networks")
    kind = int(rng.integers(3))
    if kind == 0:
        module: Any = networks.WaveSenseNet(
            dilations=[2, 4],
            n_classes=5,
            n_channels_in=12,
            n_channels_res=6,
            n_channels_skip=6,
            n_hidden=8,
            kernel_size=2,
        )
        _gain(module, 5.0)
        return module, _spikes(rng, BATCH, STEPS, 12)
    tau = torch.tensor([[float(rng.uniform(2e-3, 9e-3)), float(rng.uniform(1e-2, 5e-2))]]).repeat(8, 1)
    first = [lambda: rt.LIFTorch((16, 8), tau_syn=tau), lambda: rt.LIFBitshiftTorch(16)][kind - 1]()
    inner = [first, *([rt.LinearTorch((16, 8))] if kind == 2 else []), rt.LIFNeuronTorch(8, tau_mem=5e-3)]
    return combinators.Sequential(rt.LinearTorch((12, 16)), *inner), _spikes(rng, BATCH, STEPS, 12)


def pools_module(rng: np.random.Generator) -> Made:
    """snnTorch: maximum pools and ReLU before a neuron, of values that are not spikes."""
    snn = importlib.import_module("snntorch")
    pools: list[list[nn.Module]] = [
        [nn.MaxPool2d(2)],
        [nn.ReLU(), nn.MaxPool2d(2)],
        [nn.BatchNorm2d(4).eval(), nn.MaxPool2d(2, ceil_mode=True)],
        [nn.AdaptiveMaxPool2d(3)],
    ]
    more = {"init_hidden": True, "reset_mechanism": str(rng.choice(["subtract", "zero"]))}
    layers = [nn.Conv2d(2, 4, 3), *pools[int(rng.integers(4))], snn.Leaky(beta=float(rng.uniform(0.4, 0.95)), **more)]
    module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(36, 5), snn.Leaky(beta=0.8, **more))
    _gain(module, 3.0)
    return module, _spikes(rng, STEPS, BATCH, 2, 8, 8)


MAKERS = {
    "wavesense": wavesense_module,
    "pools": pools_module,
    "snntorch": snntorch_module,
    "spikingjelly": spikingjelly_module,
    "norse": norse_module,
    "sinabs": sinabs_module,
    "rockpool": rockpool_module,
    "lsnn": lsnn_module,
    "alif": alif_module,
    "alpha": alpha_module,
    "kin": kin_module,
}


def firing(name: str, rng: np.random.Generator) -> Any:
    """Draw and read modules of a framework until the output of one fires."""
    from bimhw.frontends.frameworks.module import read_module

    for _ in range(20):
        read = read_module(*MAKERS[name](rng))
        if read.wanted.any():
            return read
    raise SystemExit(f"{name}: 20 modules in a row are silent")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--framework", choices=sorted(MAKERS))
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong = 0
    for name in [arguments.framework] if arguments.framework else sorted(MAKERS):
        for k in range(arguments.count):
            torch.manual_seed(1000 * arguments.seed + k)
            read = firing(name, np.random.default_rng([arguments.seed, k]))
            wrong += read.differ > 0
            print(f"{name} {k}: {read.differ} of {read.wanted.size} differ, mean {read.wanted.mean():.3g}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
