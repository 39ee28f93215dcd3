"""Random SANA-FE networks with decimals, every reset, TrueNorth somas and cores of several units, as YAML text."""

from __future__ import annotations

import numpy as np

_TILE = """
architecture:
  name: units
  attributes: {link_buffer_size: 4, width: 2, height: 2}
  tile:
    - name: tile[0..3]
      attributes: {energy_north_hop: 2.0e-12, latency_north_hop: 1.4e-9, energy_east_hop: 2.5e-12, latency_east_hop: 1.2e-9,
        energy_south_hop: 3.0e-12, latency_south_hop: 1.5e-9, energy_west_hop: 1.8e-12, latency_west_hop: 2.0e-9}
      core:
        - name: core[0..3]
          attributes: {buffer_position: soma, max_neurons_supported: 100}
          axon_in: [{name: ain, attributes: {energy_message_in: 0.5e-12, latency_message_in: 0.0}}]
          synapse:
            - {name: slow, attributes: {model: current_based, energy_process_spike: 7.0e-12, latency_process_spike: 1.0e-9}}
            - {name: fast, attributes: {model: current_based, energy_process_spike: 20.0e-12, latency_process_spike: 3.0e-9}}
          dendrite: [{name: den, attributes: {model: accumulator, energy_update: DENDRITE, latency_update: 0.0}}]
          soma:
"""
_SOMA = """            - {name: NAME, attributes: {model: MODEL, energy_access_neuron: ACCESS, latency_access_neuron: 3.0e-9,
                energy_update_neuron: UPDATE, latency_update_neuron: 1.0e-9, energy_spike_out: SPIKE,
                latency_spike_out: 30.0e-9}}
"""
_OUT = "          axon_out: [{name: aout, attributes: {energy_message_out: 100.0e-12, latency_message_out: 5.0e-9}}]\n"


def architecture(model: str = "leaky_integrate_fire", dendrite: str = "0.0") -> str:
    """Return YAML of 16 cores with two synapse and two soma units of this model, and hops of four costs."""
    costs = (
        ("first", model, "20.0e-12", "10.0e-12", "60.0e-12"),
        ("second", model, "50.0e-12", "60.0e-12", "30.0e-12"),
        ('"source[0..15]"', "input", "0.0", "0.0", "0.0"),
    )
    text = _TILE.replace("DENDRITE", dendrite)
    for values in costs:
        soma = _SOMA
        for key, value in zip(("NAME", "MODEL", "ACCESS", "UPDATE", "SPIKE"), values, strict=True):
            soma = soma.replace(key, value)
        text += soma
    return text + _OUT


def decimal_net(seed: int, steps: int = 40) -> tuple[str, str]:
    """Return YAML of an architecture and of a network on it; TrueNorth somas in every fourth."""
    rng = np.random.default_rng(seed)
    truenorth, digits = seed % 4 == 3, int(rng.integers(1, 4))

    def draw(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), digits)

    def weights(n: int) -> list[float]:
        return [draw(-2, 2.5) for _ in range(n)]

    lines = ["network:", "  name: decimals", "  groups:", "    - name: in", "      neurons:"]
    for i in range(4):
        train = (rng.random(steps) < 0.3).astype(int).tolist()
        lines.append(f"        - {i}: [spikes: {train}, log_spikes: true]")
    for group, size in (("a", 6), ("b", 5)):
        shared = ", ".join(_attributes(rng, draw, truenorth))
        lines += [f"    - name: {group}", f"      attributes: [{shared}]", "      neurons:"]
        for i in range(size):
            bias, first = rng.choice([0, 0, draw(-0.1, 0.4)]), rng.choice([0, draw(-1, 1)])
            lines.append(f"        - {i}: [bias: {bias}, potential: {first}]")
    lines += [
        "  edges:", f"    - in -> a: [type: dense, weight: {weights(24)}]", f"    - a -> b: [type: dense, weight: {weights(30)}]",
        f"    - b.0 -> a.1: [weight: {draw(-2, 2)}]", f"    - a.2 -> a.3: [weight: {draw(-2, 2)}]", "mappings:",
    ]  # fmt: skip
    lines += [f'  - in.{i}: [core: {rng.integers(4)}.{rng.integers(4)}, soma: "source[{i}]"]' for i in range(4)]
    for group, size in (("a", 6), ("b", 5)):
        lines += [f"  - {group}.{i}: [core: {rng.integers(4)}.{rng.integers(4)}]" for i in range(size)]
    model = "truenorth" if truenorth else "leaky_integrate_fire"
    return architecture(model, "1.5e-12" if seed % 2 else "0.0"), "\n".join(lines) + "\n"


def _attributes(rng: np.random.Generator, draw: object, truenorth: bool) -> list[str]:
    """Return what the neurons of a group share."""
    assert callable(draw)
    out = [f"threshold: {draw(0.5, 4)}", f"reset: {draw(-0.5, 0.4)}"]
    out.append(f"reset_mode: {rng.choice(['hard', 'soft', 'none', 'saturate'])}")
    if rng.random() < 0.5:
        modes = ["none", "hard", "saturate"] if truenorth else ["none", "soft", "hard", "saturate"]
        out += [f"reverse_threshold: {draw(-3, -1)}", f"reverse_reset: {draw(-0.5, 0.3)}"]
        out.append(f"reverse_reset_mode: {rng.choice(modes)}")
    if truenorth:
        out.append(f"leak: {draw(0, 0.6)}")
        if rng.random() < 0.6:
            out.append(f"leak_towards_zero: {str(bool(rng.random() < 0.5)).lower()}")
    else:
        out.append(f"leak_decay: {rng.choice([1.0, 0.9, 0.7, 0.95, 0.875, 0.99975585937])}")
        if rng.random() < 0.4:
            out.append(f"refractory_delay: {rng.integers(0, 5)}")
    for text, chance in (
        ("soma_hw_name: second", 0.5),
        ("synapse_hw_name: fast", 0.5),
        ("force_update: true", 0.5),
        ("log_spikes: true", 1.0),
    ):
        if rng.random() < chance:
            out.append(text)
    return out
