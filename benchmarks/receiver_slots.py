"""How much of a step's time hangs on the buffers: python -m benchmarks.receiver_slots [--nets s_5,m_1] [--steps 5]

The reference nets (../shared/bench) on `loihi1-fitted`, one functional run each, timed with other depths of the FIFO that a core
receives packets in, of the routers' inputs, on a clock of 1 ns, which BookSim has in SANA-FE, and with two
networks. One JSON line a net.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from benchmarks.function import REFERENCE, SHARED
from bimhw.frontends.npz import read_plain
from mapping.files import program_as_given
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.timing.run import run_timing

# name -> values of the chip file's section `timing`
VARIANTS: dict[str, dict[str, float]] = {
    "as the file": {},
    **{f"core slots {n}": {"core_slots": n} for n in (1, 2, 3, 4, 6, 8, 12)},
    "port slots 8": {"port_slots": 8},
    "flit time 1 ns": {"flit_time": 1.0},
    "clock 1 ns": {"tick": 1.0, "enqueue": 1.0},
}


def changed(chip: Chip, values: dict[str, float]) -> Chip:
    """Return the chip with other numbers in its section `timing`."""
    assert chip.timing is not None
    new = {k: msgspec.structs.replace(getattr(chip.timing, k), value=v, low=None, high=None) for k, v in values.items()}
    return msgspec.structs.replace(chip, timing=msgspec.structs.replace(chip.timing, **new))


def main(arguments: list[str] | None = None) -> None:
    """Print one line a net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", default=",".join(REFERENCE))
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args(arguments)
    if SHARED is None:
        sys.exit("needs the reference nets (../shared/bench)")
    chip = load_chip("loihi1-fitted")
    for name in options.nets.split(","):
        net = read_plain(Path(str(SHARED)) / "nets" / f"{name}.npz")
        program = program_as_given(net.network, chip)
        spikes = run(program, net.inputs, options.steps).spikes
        times = {what: run_timing(program, changed(chip, v), spikes).sim_time_ns for what, v in VARIANTS.items()}
        double = msgspec.structs.replace(chip, topology=msgspec.structs.replace(chip.topology, networks=2))
        times["two networks"] = run_timing(program, double, spikes).sim_time_ns
        line = {what: round(ns / options.steps / 1e3, 4) for what, ns in times.items()}
        print(json.dumps({"net": name, "steps": options.steps, "us_per_step": line}), flush=True)


if __name__ == "__main__":
    main()
