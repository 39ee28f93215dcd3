"""Random SANA-FE networks as YAML text, and what SANA-FE itself makes of a file (run by its own Python)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

ARCHITECTURE = """
architecture:
  name: small
  attributes: {topology: mesh, width: 2, height: 2, link_buffer_size: 8, sync_model: fixed, latency_sync: 5.0e-7}
  tile:
    - name: tile[0..3]
      attributes: {energy_north_hop: 4.2e-12, latency_north_hop: 6.5e-9, energy_south_hop: 4.2e-12, latency_south_hop: 6.5e-9,
        energy_east_hop: 3.0e-12, latency_east_hop: 4.1e-9, energy_west_hop: 3.0e-12, latency_west_hop: 4.1e-9}
      core:
        - name: core[0..1]
          attributes: {buffer_position: soma, buffer_inside_unit: false, max_neurons_supported: 64}
          axon_in: [{name: ain, attributes: {energy_message_in: 1.0e-12, latency_message_in: 16.0e-9}}]
          synapse:
            - {name: syn, attributes: {model: current_based, energy_process_spike: 33.6e-12, latency_process_spike: 4.7e-9}}
          dendrite: [{name: den, attributes: {model: accumulator, energy_update: 0.0, latency_update: 0.0}}]
          soma:
            - {name: lif, attributes: {model: leaky_integrate_fire, energy_access_neuron: 51.2e-12, latency_access_neuron: 6.0e-9,
                energy_update_neuron: 21.6e-12, latency_update_neuron: 3.7e-9, energy_spike_out: 69.3e-12,
                latency_spike_out: 30.0e-9}}
            - {name: "input[0..7]", attributes: {model: input, energy_access_neuron: 0.0, latency_access_neuron: 0.0,
                energy_update_neuron: 0.0, latency_update_neuron: 0.0, energy_spike_out: 0.0, latency_spike_out: 0.0}}
          axon_out: [{name: aout, attributes: {energy_message_out: 111.0e-12, latency_message_out: 5.1e-9}}]
"""

_RUN = """
import json, sys, sanafe
arch = sanafe.load_arch(sys.argv[1])
net = sanafe.load_net(sys.argv[2], arch)
chip = sanafe.SpikingChip(arch); chip.load(net)
r = chip.sim(int(sys.argv[3]), timing_model="simple", spike_trace=True)
spikes = [sorted([n.group_name, n.neuron_offset] for n in step) for step in r["spike_trace"]]
print(json.dumps({"spikes": spikes, "energy_j": r["energy"]["total"], "packets": r["packets_sent"], "events": r["spikes"]}))
"""


def random_net(seed: int, steps: int = 30) -> str:
    """YAML of a random network: inputs with lists and rates, dense, sparse, convolved and single edges, both resets."""
    rng = np.random.default_rng(seed)
    decay = float(rng.choice([1.0, 0.875, 0.5, 0.75]))
    mode = str(rng.choice(["hard", "soft"]))
    shared = f"threshold: {rng.integers(1, 8)}.0, leak_decay: {decay}, reset_mode: {mode}, force_update: true, log_spikes: true"
    trains = (rng.random((4, steps)) < 0.4).astype(int).tolist()
    rows = [f"        - {i}: [spikes: {trains[i]}, log_spikes: true]" for i in range(3)]
    rows.append("        - 3: {rate: 0.25, log_spikes: true}")
    bias = [f"        - {i}: [bias: {rng.integers(0, 3) / 4}, potential: {rng.integers(0, 3)}]" for i in range(4)]
    halves = (rng.integers(-6, 12, 16) / 2).tolist()
    pairs = [[int(a), int(b)] for a in range(4) for b in range(4) if rng.random() < 0.5] or [[0, 0]]
    lines = [
        "network:", "  name: random", "  groups:", "    - name: in", "      neurons:", *rows,
        "    - name: a", f"      attributes: {{{shared}}}", "      neurons:", *bias,
        "    - name: b", f"      attributes: [{', '.join('{' + p.strip() + '}' for p in shared.split(','))}]", "      neurons:",
        "        - 0..3: [soma: {reset: 0.25}]",
        "  edges:",
        f"    - in -> a: [type: dense, weight: {rng.integers(-4, 9, 16).tolist()}]",
        f"    - a -> b: {{type: sparse, source_target_pairs: {pairs}, weight: {halves[: len(pairs)]}}}",
        f"    - b.0 -> a.1: [weight: {rng.integers(-3, 4)}]",
        "    - b -> a: {type: conv2d, input_height: 2, input_width: 2, input_channels: 1, kernel_count: 4, kernel_height: 2, "
        f"kernel_width: 2, weight: {rng.integers(-3, 4, 16).tolist()}}}" if seed % 2 else
        f"    - in.1 -> b.2: [synapse: {{weight: {rng.integers(1, 6)}}}]",
        "mappings:",
    ]  # fmt: skip
    lines += [f'  - in.{i}: [core: {i % 2}.{i // 2}, soma: "input[{i}]"]' for i in range(4)]
    lines += [f"  - a.{i}: [core: {rng.integers(4)}.{rng.integers(2)}, soma: lif]" for i in range(4)]
    lines.append(f"  - b: {{core: {rng.integers(4)}.{rng.integers(2)}, soma: lif}}")
    return "\n".join(lines) + "\n"


def resting_net(seed: int, steps: int = 30) -> str:
    """Make a random network most of whose neurons may rest: few inputs, some weights of 0, some neurons forced or biased."""
    rng = np.random.default_rng(1000 + seed)
    lines = []
    text = random_net(seed, steps).replace("{force_update: true}, ", "").replace("force_update: true, ", "")
    if rng.random() < 0.6:
        text = text.replace("reset: 0.25", "reset: 0.0")
    for line in text.splitlines():
        if "[spikes: " in line:
            head, tail = line.split("[spikes: ")[0], line.split("]", 1)[1]
            line = f"{head}[spikes: {(rng.random(steps) < 0.12).astype(int).tolist()}{tail}"
        elif "[bias: " in line:
            index = line.split("-")[1].split(":")[0].strip()
            forced = ", force_update: true" if rng.random() < 0.2 else ""
            line = (
                f"        - {index}: [bias: {rng.choice([0, 0, 0, 0.25])}, potential: {rng.choice([0, 0, 2])}{forced}]"
            )
        lines.append(line.replace("rate: 0.25", "rate: 0.1"))
    return "\n".join(lines) + "\n"


def theirs(python: str, folder: Path, net: Path, steps: int, architecture: str = ARCHITECTURE) -> dict[str, Any]:
    """Spikes and energy of SANA-FE's `simple` timing model."""
    arch = folder / "arch.yaml"
    arch.write_text(architecture)
    command = [python, "-c", _RUN, str(arch), str(net), str(steps)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return found
