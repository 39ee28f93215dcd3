"""What neighbour synchronisation, multicast and a second network save, and cost: a chain of recurrent layers on 64 chips.

    python -m benchmarks synchronisation

The chip is `generic` (a design; its times are assumed), as it is and with `topology.multicast` and `networks: 2`. One row a case:
time of a step, energy of a step without static power, and packets over links of a step, each beside the barrier's with unicast.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from energy_models.chip_energy import chip_energy
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import run_timing
from simulator.timing.token_counts import with_tokens

LAYERS, WIDTH, FAN, STEPS = 64, 640, 48, 20


def variants(chip: Chip) -> list[Chip]:
    """Return the chip with one and with two networks, without and with multicast."""
    return [
        msgspec.structs.replace(chip, topology=msgspec.structs.replace(chip.topology, multicast=m, networks=n))
        for n in (1, 2)
        for m in (False, True)
    ]


def layered(chip: Chip, seed: int = 0) -> tuple[Program, SpikeTrain, int]:
    """Return a chain of 64 recurrent layers, one on each chip; a neuron sends to 48 random ones of its layer and of the next."""
    rng = np.random.default_rng(seed)
    params = {"dv": np.array(256, np.int32), "vth": np.array(400, np.int32)}
    populations = [Population("in", "input", WIDTH, role="input")]
    populations += [Population(f"l{k}", "lif", WIDTH, params) for k in range(LAYERS)]
    projections = []
    for k in range(LAYERS):
        for source in (populations[k].name, f"l{k}"):
            indptr = np.arange(WIDTH + 1, dtype=np.int64) * FAN
            indices = (
                np.sort(rng.random((WIDTH, WIDTH)).argpartition(FAN, axis=1)[:, :FAN], axis=1)
                .reshape(-1)
                .astype(np.int32)
            )
            weights = rng.integers(-12 if source == f"l{k}" else 0, 20, indices.size).astype(np.int8)
            projections.append(Projection(f"{source}-l{k}", source, f"l{k}", "in", indptr, indices, weights))
    per_chip = chip.topology.chip_cores
    core = np.concatenate([np.arange(WIDTH) % per_chip + k * per_chip for k in (0, *range(LAYERS))])
    inputs = SpikeTrain.from_dense((rng.random((STEPS, WIDTH)) < 0.1).astype(np.int32))
    return Program("layers", "0", tuple(populations), tuple(projections), core.astype(np.int32)), inputs, STEPS


def measure(name: str, chip: Chip, program: Program, inputs: SpikeTrain, steps: int) -> list[dict[str, Any]]:
    """Rows of one network."""
    rows: list[dict[str, Any]] = []
    for silicon in variants(chip):
        what = run(program, inputs, steps, topology=silicon.topology)
        for sync in ("barrier", "neighbour"):
            when = run_timing(program, silicon, what.spikes, sync=sync)  # type: ignore[arg-type]
            energy = chip_energy(with_tokens(what.activity, when, program), silicon, program)
            row = {
                "net": name, "sync": sync, "multicast": silicon.topology.multicast,
                "networks": silicon.topology.networks,
                "us_per_step": when.sim_time_ns / steps / 1e3,
                "nj_per_step": energy.energy_pj("dynamic") / steps / 1e3,
                "hops_per_step": int(when.link_busy_ticks[:, : when.mesh.n_links].sum()) / steps / when.mesh.flits,
            }  # fmt: skip
            first = rows[0] if rows else row
            rows.append(
                row
                | {
                    "time": row["us_per_step"] / first["us_per_step"],
                    "energy": row["nj_per_step"] / first["nj_per_step"],
                }
            )
    return rows


def main() -> None:
    """Print the rows."""
    system = load_chip("generic-x64")
    for row in measure("64 chips", system, *layered(system)):
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        print(msgspec.json.encode(rounded).decode(), flush=True)


if __name__ == "__main__":
    main()
