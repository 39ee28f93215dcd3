"""Do the tests notice a fault? Each mutant is one line changed; all must be caught.

`python tests/mutants.py` (`make mutants`) runs, for each mutant of the timing kernel, the comparison with the clocked definition
on random cases in a process of its own: a different stamp, a crash or a hang counts as caught. Each mutant of energy, credit,
silicon and function runs the tests that judge its figure. A mutant that survives fails the run.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

KERNEL = Path(__file__).resolve().parents[1] / "simulator" / "timing" / "kernel.py"
CASES, LIMIT_S = 120, 90  # CPU seconds, so that a busy machine makes no verdict

# what is wrong -> (text of the kernel, text in its place)
MUTANTS: dict[str, tuple[str, str]] = {
    "a slot is free one tick early": ("S[slot] = tail_gone", "S[slot] = tail_gone - _1"),
    "a link is free one tick early": ("S[out + LINK] = tail_gone", "S[out + LINK] = tail_gone - _1"),
    "an input is not held by the tail": (
        "max((head - OCCUPIED) >> key_bits, tail_gone)",
        "max((head - OCCUPIED) >> key_bits, now + _1)",
    ),
    "an idle input forgets its last tail": ("max(arrival, S[far_end + IDLE])", "arrival"),
    "the youngest packet wins": ("if key < best:", "if key > best:"),
    "the lowest port wins": ("if key < best:", "if key < _0:"),
    "the priority does not rotate": ("((chosen + _1) & port_mask)", "(chosen & port_mask)"),
    "priorities survive the step": (
        "S[_ROW0 + (U(row) << _4) + _8 + GRANTS] &= ~_TURN",
        "S[_ROW0 + (U(row) << _4) + _8 + GRANTS] &= ~_0",
    ),
    "a core's slot is free when service ends": ("S[into] = served + _1", "S[into] = done + _1"),
    "a core's slot is free one tick early": ("S[into] = served + _1", "S[into] = served"),
    "a packet arrives with its head": (
        "arrival = tail_gone + (link >> U(32)) - _1",
        "arrival = now + (link >> U(32))",
    ),
    "service does not wait for the packet before": ("served = max(arrival, S[far_end + C_DONE])", "served = arrival"),
    "a stalled soma sends one tick early": ("gen = max(gen, tail_gone)", "gen = max(gen, tail_gone - _1)"),
    "a stalled soma forgets its stall": ("S[up + C_GEN] = gen", "S[up + C_GEN] = S[up + C_GEN] + U(gap[w])"),
    "a late message ignores its release": (
        "                            gen = max(gen, base + U(rel[w]))",
        "                            gen = max(gen, base)",
    ),
    "a waiting output is not woken": ("elif S[up + STATE] == WAITING:", "elif S[up + STATE] == SET:"),
    "an output is woken too late": ("busy, up, tail_gone, now)", "busy, up, tail_gone + _1, now)"),
    "an event marks the slot after its own": (
        "occupied[word] |= _1 << (slot & _63)",
        "occupied[word] |= _1 << ((slot + _1) & _63)",
    ),
    "a head is expected where there is none": ("there = head >= OCCUPIED", "there = head >= _0"),
    "all hops take the time of a hop north": ("arrival = now + (link >> U(32))", "arrival = now + (S[links0] >> U(32))"),
    "work before the first message is lost": (
        "                gen += U(gap[m])",
        "                gen += U(gap[m]) if count else _0",
    ),
    "the trailing neurons take no time": ("S[core + C_GEN] + U(tail[step, c])", "S[core + C_GEN]"),
}  # fmt: skip

GPU, CHIP = "tests/energy_models/test_gpu.py", "tests/energy_models/test_chip_energy.py"
SILICON, CREDIT = "tests/bimhw/evidence/silicon/test_silicon.py", "tests/bimhw/learning/test_credit.py"
CAUSES, COPIES = "tests/bimhw/evidence/silicon/test_causes.py", "tests/bimhw/runs/test_copies.py"
NEURONS, COUNTING = "tests/simulator/neurons/test_neurons.py", "tests/simulator/function/test_counting.py"
COUNTED = "tests/bimhw/costs/test_counted.py"
# what is wrong -> (module, text of it, text in its place, test file, tests)
TESTED: dict[str, tuple[str, str, str, str, str]] = {
    "a GPU reaches its peak": (
        "energy_models.gpu", 'busy /= gpu.at("efficiency", other)', "busy /= 1.0", GPU, "by_hand"),
    "a GPU's power is squared": (
        "energy_models.gpu", "seconds * (idle + (full - idle) * busy / seconds)",
        "seconds * (idle + (full - idle) * busy / seconds) ** 2", GPU, "by_hand"),
    "the fused bound pays the launch": (
        "energy_models.gpu", "work.pointwise_flops / (PACKED * plain)", "work.pointwise_flops / plain", GPU, "by_hand"),
    "training writes no weights": (
        "energy_models.gpu_work", '(1 if mode == "inference" else 2)', "1", GPU, "hand_count"),
    "packets of the host are not received": (
        "energy_models.chip_energy", "_plus(_minus(packets, to_host), from_host)", "_minus(packets, to_host)", CHIP, "received"),
    "packets to the host are received by cores": (
        "energy_models.chip_energy", "_plus(_minus(packets, to_host), from_host)", "_plus(packets, from_host)", CHIP, "received"),
    "parameters are read for nothing": (
        "energy_models.chip_energy", "population *= np.append(times, 0.0)", "population *= 0.0", CHIP, "parameter"),
    "Quartz spikes three times": (
        "bimhw.evidence.silicon.quartz", "SPIKES = 2  #", "SPIKES = 3  #", SILICON, "quartz"),
    "the keyword net flatters": (
        "bimhw.evidence.silicon.kws", "excluded=why or _LINE", "excluded=why", SILICON, "recovered"),
    "credit forgets D": (
        "bimhw.learning.forms.credit", 'record.drive.c + layer.get_parameter("d").detach()', "record.drive.c", CREDIT,
        "filtered_membrane"),
    "learning takes no time": (
        "bimhw.costs.counted", "time += (", "time += 0.0 * (", COUNTED, "pays_for_its_time"),
    "learning misses the events of a step": (
        "bimhw.costs.counted_work", "running[:, ends + 1] - running", "running[:, ends] - running", COUNTED, "brute_force"),
    "a step reads the mean of its trace": (
        "bimhw.evidence.silicon.spread", "float(values.std() / values.mean())", "float(values.std())", CAUSES, "shape"),
    "the longest layer is the longest alone": (
        "bimhw.evidence.silicon.spread", "np.prod(below, axis=1)", "below.min(axis=1)", CAUSES, "longest"),
    "boards are powered for nothing": (
        "bimhw.evidence.silicon.counts", '+ report.energy_pj("static")', "+ 0.0", CAUSES, "static"),
    "a rule writes no weight": (
        "bimhw.evidence.silicon.counts", '"op_state_write": 1', '"op_state_write": 0', CAUSES, "rule"),
    "a sample is read from its neighbour": (
        "bimhw.runs.copies", "s % copies, each)", "(s + 1) % copies, each)", COPIES, "single_runs"),
    "a copy keeps the core of the first": (
        "mapping.copies", "place[used] = own", "place[used] = used", COPIES, "alone"),
    "a leaky voltage rounds down": (
        "simulator.neurons.lif", "(p + (4095 & (p >> 63))) >> 12", "p >> 12", NEURONS, ""),
    "an integrator forgets its bias": (
        "simulator.neurons.li", "+ int(acc[0, i]) + int(bias[i])", "+ int(acc[0, i])", NEURONS, ""),
    "synaptic events are counted by row": (
        "simulator.function.counting", "int(events[part] @ rows)", "int(rows.sum())", COUNTING, ""),
    "an Izhikevich neuron takes the time of a LIF": (
        "simulator.program.work", "ops.mul + ops.add + ops.lut", "0 * ops.mul", "tests/simulator/timing/test_programmed.py", ""),
}  # fmt: skip

# Loaded by pytest before any test: the module's text in place of the module.
PLUGIN = """
import importlib, importlib.util, sys, types
name, path = {name!r}, {path!r}
parent, _, child = name.rpartition(".")
package = importlib.import_module(parent)
module = types.ModuleType(name)
module.__file__, module.__package__ = {file!r}, parent
sys.modules[name] = module
exec(compile(open(path, encoding="utf-8").read().replace("cache=True, ", ""), {file!r}, "exec"), module.__dict__)
setattr(package, child, module)
"""

CHECK = """
import sys, types
import numpy as np
source = open(sys.argv[1], encoding="utf-8").read().replace("cache=True, ", "")
module = types.ModuleType("simulator.timing.kernel")
module.__file__ = sys.argv[1]
sys.modules["simulator.timing.kernel"] = module
exec(compile(source, sys.argv[1], "exec"), module.__dict__)
from simulator.timing.cases import random_case
from simulator.timing.clocked import run_clocked
from simulator.timing.compiled import run_compiled, run_steps
for seed in range(int(sys.argv[2])):
    mesh, work = random_case(seed, 200)
    a, b = run_clocked(mesh, work), run_compiled(mesh, work)
    assert (a.stamps == b.stamps).all() and (a.soma_end == b.soma_end).all() and (a.link_busy == b.link_busy).all(), seed
    if not work.rel.any() and not work.start.any():
        continue
    twice = [np.concatenate([x, x]) for x in (work.gap, module.pack(work.dst, work.srv))]
    off, tail = np.stack([work.off, work.off + work.dst.size]), np.stack([work.tail, work.tail])
    c = run_steps(mesh, off, *twice, tail, work.start - work.start.min(), stamps=True).stamps
    assert (c[: work.dst.size] == c[work.dst.size :]).all(), seed
"""


def verdict(text: str, folder: Path) -> str:
    """How the comparison ends with this kernel: "" (nothing noticed), "different", "crash" or "hang"."""
    path = folder / "kernel.py"
    path.write_text(text, encoding="utf-8")
    environment = dict(os.environ, PYTHONPATH=str(KERNEL.parents[2]))
    command = [sys.executable, "-c", CHECK, str(path), str(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=_limit_cpu)
    if done.returncode == 0:
        return ""
    if done.returncode == -signal.SIGXCPU:
        return "hang"
    return f"different: {done.stderr.strip().splitlines()[-1]}" if "AssertionError" in done.stderr else "crash"


def _limit_cpu() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))


def tested(name: str, text: str, file: str, tests: str, folder: Path) -> str:
    """Run the tests of a module with this text in its place: "" (nothing noticed) or what failed first."""
    root = KERNEL.parents[2]
    source, plugin = folder / "module.py", folder / "mutant_plugin.py"
    source.write_text(text, encoding="utf-8")
    place = str(root / Path(*name.split("."))) + ".py"
    plugin.write_text(PLUGIN.format(name=name, path=str(source), file=place), encoding="utf-8")
    environment = dict(os.environ, PYTHONPATH=f"{folder}{os.pathsep}{root}")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "mutant_plugin",
        "-p",
        "no:cacheprovider",
        file,
        "-k",
        tests,
    ]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    if done.returncode == 1 and lines:
        return lines[0]
    return (
        ""
        if done.returncode == 0
        else f"NO VERDICT (exit code {done.returncode}): {done.stdout[-300:]}{done.stderr[-300:]}"
    )


def judge_tested(folder: Path) -> int:
    """Run every mutant of energy, credit, silicon and function; return the number of wrong verdicts."""
    wrong, root = 0, KERNEL.parents[2]
    for what, (name, old, new, file, tests) in TESTED.items():
        text = Path(str(root / Path(*name.split("."))) + ".py").read_text(encoding="utf-8")
        if text.count(old) != 1:
            print(f"STALE     {what}: its line occurs {text.count(old)} times")
            wrong += 1
            continue
        found = tested(name, text.replace(old, new), file, tests, folder)
        caught = bool(found) and not found.startswith("NO VERDICT")
        print(f"{'caught   ' if caught else 'SURVIVED '} {what}: {found}", flush=True)
        wrong += not caught
    return wrong


def main() -> int:
    """Run the kernel as it is, then every mutant; returns the number of wrong verdicts."""
    with tempfile.TemporaryDirectory() as name:
        wrong = judge_tested(Path(name))
    print(f"{len(TESTED) - wrong} of {len(TESTED)} mutants of energy, credit, silicon and function caught")
    return wrong + judge_kernel()


def judge_kernel() -> int:
    """Run the timing kernel as it is, then every mutant of it; return the number of wrong verdicts."""
    text, wrong = KERNEL.read_text(encoding="utf-8"), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if unchanged := verdict(text, folder):
            print(f"the kernel itself fails: {unchanged}")
            return 1
        for what, (old, new) in MUTANTS.items():
            if text.count(old) != 1:
                print(f"STALE     {what}: its line occurs {text.count(old)} times")
                wrong += 1
                continue
            found = verdict(text.replace(old, new), folder)
            print(f"{'caught   ' if found else 'SURVIVED '} {what}: {found}", flush=True)
            wrong += not found
    print(f"{len(MUTANTS) - wrong} of {len(MUTANTS)} mutants caught")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
