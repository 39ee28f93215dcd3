"""NeuroBench's own metrics of small snnTorch nets beside bimhw's of the same nets on the chip, in one run.

    NEUROBENCH_PYTHON=/path/to/python python -m benchmarks.beside_neurobench

NEUROBENCH_PYTHON is a Python with torch, snntorch and neurobench. The nets are integrate-and-fire with whole-number weights,
so that both compute exactly the same spikes and membranes; one gets spikes, one gets whole numbers (graded spikes). Each
prints one JSON line; `tests/bimhw/test_neurobench.py` holds the values that the package printed, with its version.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SIZES, STEPS, SAMPLES, THRESHOLD = (12, 10, 4), 16, 5, 9
CASES = {"spikes": 1, "whole numbers": 3}  # largest input value


def make(case: str) -> dict[str, Any]:
    """Weights [inputs, outputs] of each layer, 40 % of them 0, and inputs [samples, steps, inputs], as plain lists."""
    rng = np.random.default_rng(7)
    weights = []
    for n, m in itertools.pairwise(SIZES):
        w = rng.integers(-3, 7, (n, m))
        weights.append(np.where(rng.random((n, m)) < 0.4, 0, w).tolist())
    u = rng.integers(1, CASES[case] + 1, (SAMPLES, STEPS, SIZES[0])) * (rng.random((SAMPLES, STEPS, SIZES[0])) < 0.25)
    return {"weights": weights, "inputs": u.tolist(), "threshold": THRESHOLD}


def ours(net: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the metrics of `bimhw.views.neurobench` on `generic`, a chip that takes any integers."""
    from bimhw.runs.execute import joined
    from bimhw.runs.folder import write_run
    from bimhw.runs.manifest import run_manifest
    from bimhw.runs.request import How
    from bimhw.views.neurobench import neurobench
    from simulator.chips.load import load_chip
    from simulator.function import run_samples
    from simulator.program.graph import Population, Projection, dense_to_csr
    from simulator.program.program import HOST, Program
    from simulator.program.spikes import SpikeTrain

    chip = load_chip("generic")
    weights = [np.array(w, np.int8) for w in net["weights"]]
    sizes = [weights[0].shape[0], *(w.shape[1] for w in weights)]
    populations = [Population("in", "input", sizes[0], role="input")]
    for k, size in enumerate(sizes[1:], 1):
        vth = {"vth": np.array(net["threshold"])}
        role = "output" if k == len(weights) else "hidden"
        populations.append(Population(f"layer{k}", "if", size, vth, layer=k, role=role))  # type: ignore[arg-type]
    projections = [
        Projection(f"w{k}", populations[k].name, populations[k + 1].name, "in", *dense_to_csr(w.T))
        for k, w in enumerate(weights)
    ]
    inputs = np.array(net["inputs"])
    steps = inputs.shape[1]
    meta = {"sample_steps": steps, "chip_steps": steps + len(weights), "input": {"payload_bits": int(inputs.max() > 1)}}
    core = np.concatenate([np.full(sizes[0], HOST), np.zeros(sum(sizes[1:]))]).astype(np.int32)
    program = Program(chip.name, chip.sha256(), tuple(populations), tuple(projections), core, meta=meta)
    runs = run_samples(program, [SpikeTrain.from_dense(u) for u in inputs], meta["chip_steps"])
    manifest = run_manifest(program, chip, "", SAMPLES, How(engine="none")).to_json()
    result = {"task": "", "samples": SAMPLES}
    write_run(folder, program, chip, manifest, result, joined(runs.spikes), runs.activity, None)
    return {k: v for k, v in neurobench(folder).items() if not k.startswith("bimhw.")}


THEIRS = r"""
import json, sys, warnings
warnings.filterwarnings("ignore")
import torch, snntorch as snn
from importlib.metadata import version
from neurobench.benchmarks import Benchmark
from neurobench.models import SNNTorchModel
from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
from neurobench.metrics.workload import (
    ActivationSparsity, ActivationSparsityByLayer, MembraneUpdates, NeuronOperations, SynapticOperations)
net = json.load(sys.stdin)
layers = []
for k, w in enumerate(net["weights"]):
    w = torch.tensor(w, dtype=torch.float32)
    linear = torch.nn.Linear(*w.shape, bias=False)
    linear.weight.data = w.T.contiguous()
    last = k == len(net["weights"]) - 1
    layers += [linear, snn.Leaky(beta=1.0, threshold=net["threshold"] - 0.5, init_hidden=True, output=last,
                                 reset_mechanism="zero", reset_delay=False)]
u = torch.tensor(net["inputs"], dtype=torch.float32)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(u, torch.zeros(len(u))), batch_size=len(u))
static = [ParameterCount, Footprint, ConnectionSparsity]
work = [ActivationSparsity, ActivationSparsityByLayer, SynapticOperations, MembraneUpdates, NeuronOperations]
found = Benchmark(SNNTorchModel(torch.nn.Sequential(*layers)), data, [], [], [static, work]).run(quiet=True)
found["version"] = version("neurobench")
print(json.dumps(found, default=float))
"""


def theirs(net: dict[str, Any], python: str) -> dict[str, Any]:
    """Return the metrics that the package prints for the same net in snnTorch."""
    done = subprocess.run([python, "-c", THEIRS], input=json.dumps(net), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{python} cannot run neurobench: {done.stderr.strip().splitlines()[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    """One JSON line a net."""
    python = os.environ.get("NEUROBENCH_PYTHON")
    if python is None:
        sys.exit("needs NEUROBENCH_PYTHON, a Python that has torch, snntorch and neurobench")
    for case in CASES:
        net = make(case)
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"net": case, "bimhw": ours(net, Path(folder)), "neurobench": theirs(net, python)}))


if __name__ == "__main__":
    main()
