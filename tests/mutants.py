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
from typing import Any

TIMING = Path(__file__).resolve().parents[1] / "simulator" / "timing"
KERNEL = TIMING / "kernel.py"
# Modules of the compiled kernel, each of which imports those before it.
PARTS = ("words", "arbiter", "tokens", "kernel")
CASES, LIMIT_S = 120, 90  # CPU seconds, so that a busy machine makes no verdict

# what is wrong -> (text of the kernel, text in its place)
MUTANTS: dict[str, tuple[str, str]] = {
    "a slot is free one tick early": ("S[slot] = gone", "S[slot] = gone - _1"),
    "a link is free one tick early": ("S[out + LINK] = tail_gone", "S[out + LINK] = tail_gone - _1"),
    "an input is not held by the tail": (
        "max((head - OCCUPIED) >> key_bits, gone)",
        "max((head - OCCUPIED) >> key_bits, now + _1)",
    ),
    "both networks are one": ("((there >> _8) & OUT) + _2", "_2"),
    "an idle input forgets its last tail": ("max(arrival, S[far_end + IDLE])", "arrival"),
    "the youngest packet wins": ("if key < best:", "if key > best:"),
    "the lowest port wins": ("if key < best:", "if key < _0:"),
    "the priority does not rotate": ("((chosen + _1) & port_mask)", "(chosen & port_mask)"),
    "priorities survive the step": (
        "S[ROW0 + (U(row) << _4) + _8 + GRANTS] &= ~TURN",
        "S[ROW0 + (U(row) << _4) + _8 + GRANTS] &= ~_0",
    ),
    "a core's slot is free when service ends": ("S[into] = served + _1", "S[into] = done + _1"),
    "a core's slot is free one tick early": ("S[into] = served + _1", "S[into] = served"),
    "a packet arrives with its head": (
        "arrival = tail_gone + (link >> _32) - _1",
        "arrival = now + (link >> _32)",
    ),
    "service does not wait for the packet before": ("served = max(arrival, S[far_end + C_DONE])", "served = arrival"),
    "a stalled soma sends one tick early": ("gen = max(gen, gone)", "gen = max(gen, gone - _1)"),
    "a stalled soma forgets its stall": ("S[up + C_GEN] = gen", "S[up + C_GEN] = S[up + C_GEN] + U(gap[w])"),
    "a late message ignores its release": (
        "                            gen = max(gen, base + U(rel[w]))",
        "                            gen = max(gen, base)",
    ),
    "a waiting output is not woken": ("elif S[up + STATE] == WAITING:", "elif S[up + STATE] == SET:"),
    "an output is woken too late": ("busy, up, gone, now)", "busy, up, gone + _1, now)"),
    "an event marks the slot after its own": (
        "occupied[word] |= _1 << (slot & _63)",
        "occupied[word] |= _1 << ((slot + _1) & _63)",
    ),
    "a head is expected where there is none": ("there = head >= OCCUPIED", "there = head >= _0"),
    "all hops take the time of a hop north": (
        "arrival = now + (link >> _32)\n                    key",
        "arrival = now + (S[links0] >> _32)\n                    key",
    ),
    "work before the first message is lost": (
        "gen = max(gen + U(gap[m]), S[slot])",
        "gen = max(gen + (U(gap[m]) if m else _0), S[slot])",
    ),
    "the trailing neurons take no time": ("S[core + C_GEN] + U(tail[step, c])", "S[core + C_GEN]"),
}  # fmt: skip

# The same of packets with several leaves.
FORKED: dict[str, tuple[str, str]] = {
    "a slot is free when the first tail has left": ("gone = max(tail_gone, S[p + IDLE])", "gone = tail_gone"),
    "a head leaves with its first branch": ("popped = carry >> _32 == _1", "popped = True"),
    "a branch takes the leaves of the next one": (" += _1\n    return m, beyond", " += _1\n    return m, stop"),
    "a branch has the leaves of the head": ("!= port:\n        m += _1", "!= port and m < _0:\n        m += _1"),
    "outputs are asked once a leaf": ("if out != last:", "if out != nil:"),
}  # fmt: skip

# The same of cores that shake hands with their neighbours.
SHAKEN: dict[str, tuple[str, str]] = {
    "a token takes no time": ("over if own else over + local.ticks[e]", "over"),
    "the finish of a neighbour is known at once": ("quiet if own else quiet + local.ticks[e]", "quiet"),
    "a handshake takes no time": ("local.begins[parity, to] + local.handshake", "local.begins[parity, to]"),
    "a core does not wait for packets": ("local.senders[c] + local.due[s + 1, c] + 1", "local.senders[c] + 1"),
    "tokens of two steps are taken for one another": ("local.known[c], s & 1", "local.known[c], 0"),
    "a soma is through before its last neurons": ("C_GEN]) + local.tail[s, c]", "C_GEN])"),
    "a soma goes on where its ring ended": ("S[up + C_TAIL] = after\n", "S[up + C_TAIL] = slot\n"),
    "a packet of a later step ignores the input's tail": ("max(gen + enqueue, S[p + IDLE])", "gen + enqueue"),
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
    "a fused scan only reads": (
        "energy_models.gpu", "moved = 2 * work.least_bytes if scan", "moved = work.least_bytes if scan", GPU, "fused_scan"),
    "a delay product of all samples": (
        "energy_models.items", "self.sim_time_ns * 1e-9, self.samples**2)", "self.sim_time_ns * 1e-9, self.samples)", CHIP,
        "delay_product"),
    "a delay product has one time": (
        "energy_models.items", "Spread(total.low * low, total", "Spread(total.low * nominal, total", CHIP, "delay_product"),
    "learning takes the time of inference": (
        "energy_models.times", "learning * factors[0]", "learning * factors[1]", COUNTED, "range_of_its_words"),
    "a composed constant is as good as its best part": (
        "energy_models.learning", "max((p.quality for p in parts)", "min((p.quality for p in parts)", CHIP, "composed_constant"),
    "the fused bound pays the launch": (
        "energy_models.gpu", "work.pointwise_flops / (PACKED * plain)", "work.pointwise_flops / plain", GPU, "by_hand"),
    "training writes no weights": (
        "energy_models.gpu_work", '(1 if mode == "inference" else 2)', "1", GPU, "hand_count"),
    "packets of the host are not received": (
        "energy_models.chip_energy", "_plus(_minus(packets, to_host), from_host)", "_minus(packets, to_host)", CHIP, "received"),
    "a row of one synapse is fetched": (
        "energy_models.chip_energy", "received = _minus(received, own)", "received = _minus(received, _minus(own, own))", CHIP,
        "one_to_one"),
    "two neurons that meet one are from one to one": (
        "simulator.program.one_to_one", "row_of[c] == i or block_of[j] == block", "row_of[c] == i",
        "tests/simulator/program/test_one_to_one.py", ""),
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
    "the first samples stand for the run": (
        "bimhw.costs.plan", "* runs // self.samples * each", "* each", COUNTED, "all_over"),
    "a run that learnt has the usual errors": (
        "bimhw.costs.counted_work", "self.shares.own.get(name, usual)", "usual", COUNTED, "a_run_that_learnt"),
    "a bias changes as seldom as a weight": (
        "bimhw.costs.counted_work", "seen * share.words", "seen * share.changed", COUNTED, "a_run_that_learnt"),
    "a form that updates every step learns no pilot": (
        "bimhw.costs.plan", "self.block < SLOW", "self.block < 0", COUNTED, "by_themselves"),
    "an empty cell lets a row judge": (
        "bimhw.evidence.silicon.counts", 'else said or "the table does not say that it judges"', "else said", SILICON,
        "ends_nothing"),
    "an operation without a constant costs nothing": (
        "bimhw.evidence.silicon.counts", "if n and _price(chip, op) is None", "if False", SILICON, "ends_nothing"),
    "spikes of learning layers are known": (
        "bimhw.costs.counted_work", "1.0 if g.source in inputs else self.shares.spikes", "1.0", COUNTED, "have_a_range"),
    "a pilot says nothing of time": (
        "bimhw.costs.pilot", "time * factors.get(_TIME, 1.0)", "time", COUNTED, "all_samples"),
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

LOCAL, FORKS = "tests/simulator/timing/test_neighbours.py", "tests/simulator/timing/test_multicast.py"
NETWORKS = "tests/simulator/timing/test_networks.py"
FUNCTION, UPDATES = "tests/simulator/function/test_function.py", "tests/simulator/plasticity/test_update_parts.py"
HANDS, MESHES = "random_meshes or by_hand", "random_trees or by_hand or holds_the_slot"
TESTED |= {
    "a weight is not shifted": (
        "simulator.function.kernels", "np.uint64(indptr[row + 1]), 1 << shift)", "np.uint64(indptr[row + 1]), 1)", FUNCTION,
        "dictionary"),
    "one synapse of eight is lost": (
        "simulator.base.intrinsics", "for lane in range(8):", "for lane in range(7):",
        "tests/simulator/function/test_kernels.py", "adds_each_synapse"),
    "a fourth spike of a word is lost": (
        "simulator.function.kernels", "while word != _U0:", "if word != _U0:",
        "tests/simulator/function/test_kernels.py", "who_fired"),
    "no spike is counted as one": (
        "simulator.function.kernels", "at += some", "at += _U1", "tests/simulator/function/test_kernels.py", "who_fired"),
    "a payload is not scaled": (
        "simulator.function.kernels", "value = int(payload[k]) << shift\n        add_row(",
        "value = 1 << shift\n        add_row(", FUNCTION, "dictionary"),
    "a sum is not cleared": (
        "simulator.function.kernels", " acc[port, i] = 0\n", " acc[port, i] = acc[port, i]\n", FUNCTION, "dictionary"),
    "a saturated sum wraps": (
        "simulator.function.kernels", "x = min(max(x, -2147483647), 2147483647)", "x = x", FUNCTION, "32_bits"),
    "a trace forgets what was before": (
        "simulator.plasticity.rules.stdp", "else kept + u[j], K_PRE", "else u[j], K_PRE", UPDATES, "double_sum"),
    "a weight passes its bound": (
        "simulator.plasticity.words.rounding", "= min(max(w, -limit), limit)", "= min(max(w, -limit - 1), limit + 1)",
        UPDATES, "twin or bound"),
    "a dead synapse learns": (
        "simulator.plasticity.words.rounding", "on = np.int64(live[j, i])", "on = np.int64(1)", UPDATES, "twin"),
    "weights round down": (
        "simulator.plasticity.words.rounding", "0x80008000, np.uint32", "0x00000000, np.uint32", UPDATES, "twin"),
    "the mean square forgets its bias correction": (
        "simulator.plasticity.rules.optimiser", "math.sqrt(moved / corrected)", "math.sqrt(moved)", UPDATES, "mean_square"),
    "tokens go to receivers only": (
        "simulator.timing.neighbours", "pairs = np.union1d(sends, sends % n * n + sends // n)", "pairs = sends", LOCAL, HANDS),
    "the events engine counts no packets": (
        "simulator.timing.handshake", "self._served[c] < self._expected[c]", "False", LOCAL, HANDS),
    "tokens between chips take the time of a hop": (
        "simulator.timing.wires", "mesh.chip_barrier_ticks * (chips - boards)", "mesh.barrier_hop_ticks * (chips - boards)",
        LOCAL, "token_between"),
    "a slot is free when the first branch has left": (
        "simulator.timing.fabric", "self.held_until = max(self.held_until, until)", "self.held_until = until", FORKS, MESHES),
    "the definition frees a slot with the last branch granted": (
        "simulator.timing.clocked", "held[row] = max(held[row], t + L)", "held[row] = t + L", FORKS, MESHES),
    "a shared link is loaded by every leaf": (
        "simulator.timing.bound", "if last[out] != packet[m]:", "if packet[m]:", FORKS, MESHES),
    "a fork pays for every leaf": (
        "simulator.timing.expand", "if ends.size:  # one packet", "if False:  # one packet",
        FORKS, "events_equal"),
    "a tree's column begins at its first leaf": (
        "simulator.program.traffic", "            low = high = y[home]", "            low = high = y[c]", FORKS, "brute_force"),
    "the host has no place among the leaves": (
        "simulator.timing.plan", "np.lexsort((wires(mesh).leaf_key[dst], np", "np.lexsort((dst, np", FORKS, "among_others"),
    "a tree of each network leads to the host": (
        "simulator.program.traffic", "leaves & (topology.mesh_cores % topology.networks == network)", "leaves",
        NETWORKS, "brute_force"),
    "the definition has one network": (
        "simulator.timing.wires", "% mesh.networks * LOCAL", "% 1 * LOCAL", NETWORKS, "by_hand"),
    "tokens and barriers are both paid": (
        "energy_models.chip_energy", 'not (key == "barrier" and by_neighbours)', "True", CHIP, "stand_in"),
    "leaves are received once": (
        "energy_models.chip_energy", 'if "packets_received" in self.activity.counts:', "if False:", CHIP, "leaves_of"),
}  # fmt: skip

# Loaded by pytest before any test: whoever imports the module, first or later, gets this text of it.
PLUGIN = """
import importlib.abc, importlib.util, pathlib, sys
name, path = {name!r}, {path!r}

class Mutant(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, within, target=None):
        return importlib.util.spec_from_loader(name, self, origin={file!r}) if fullname == name else None

    def exec_module(self, module):
        module.__file__ = {file!r}
        text = pathlib.Path(path).read_text(encoding="utf-8").replace("cache=True, ", "")
        exec(compile(text, {file!r}, "exec"), module.__dict__)

assert name not in sys.modules
sys.meta_path.insert(0, Mutant())
"""

CHECK = """
import dataclasses, sys, types
import numpy as np
import simulator.timing
for name in ("words", "arbiter", "tokens", "kernel"):
    path = f"{sys.argv[1]}/{name}.py"
    source = open(path, encoding="utf-8").read().replace("cache=True, ", "")
    module = types.ModuleType(f"simulator.timing.{name}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    setattr(simulator.timing, name, module)
    exec(compile(source, path, "exec"), module.__dict__)
from simulator.timing.words import pack
from simulator.timing.cases import random_case, random_mesh
from tests.simulator.timing.cases import forked, random_run
from simulator.timing.clocked import run_clocked, run_clocked_local
from simulator.timing.compiled import run_compiled, run_compiled_local, run_steps
for seed in range(int(sys.argv[2])):
    if sys.argv[3] == "shaken":
        rng = np.random.default_rng(seed)
        mesh = dataclasses.replace(random_mesh(rng), handshake_ticks=int(rng.integers(0, 6)))
        local = random_run(mesh, rng, 5, 120)
        a, b = run_clocked_local(mesh, local), run_compiled_local(mesh, local)
        assert (a.stamps == b.stamps).all() and (a.quiet == b.quiet).all() and (a.start == b.start).all(), seed
        continue
    mesh, work = random_case(seed, 200)
    mesh = dataclasses.replace(mesh, networks=1 + seed // 2 % 2)
    if sys.argv[3] == "forks":
        work = forked(mesh, work, np.random.default_rng(seed))
    a, b = run_clocked(mesh, work), run_compiled(mesh, work)
    assert (a.stamps == b.stamps).all() and (a.soma_end == b.soma_end).all() and (a.link_busy == b.link_busy).all(), seed
    if work.ends is not None or not work.rel.any() and not work.start.any():
        continue
    twice = [np.concatenate([x, x]) for x in (work.gap, pack(work.dst, work.srv))]
    off, tail = np.stack([work.off, work.off + work.dst.size]), np.stack([work.tail, work.tail])
    c = run_steps(mesh, off, *twice, tail, work.start - work.start.min(), stamps=True).stamps
    assert (c[: work.dst.size] == c[work.dst.size :]).all(), seed
"""


def verdict(change: tuple[str, str], folder: Path) -> str:
    """How the comparison ends with this change of the kernel: "" (nothing noticed), "different", "crash" or "hang"."""
    mode = "forks" if change in FORKED.values() else "shaken" if change in SHAKEN.values() else ""
    for part in PARTS:
        text = (TIMING / f"{part}.py").read_text(encoding="utf-8")
        (folder / f"{part}.py").write_text(text.replace(*change) if change[0] else text, encoding="utf-8")
    environment = dict(os.environ, PYTHONPATH=str(KERNEL.parents[2]))
    command = [sys.executable, "-c", CHECK, str(folder), str(CASES), mode]
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
    if name.startswith("simulator."):  # a kernel that calls the mutant is not taken from, nor left in, the cache
        environment["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(dir=folder)
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


def chosen(mutants: dict[str, Any]) -> dict[str, Any]:
    """Return the mutants that a word on the command line names by a part of their name; all without one."""
    words = sys.argv[1:]
    if unknown := [w for w in words if not any(w in what for what in TESTED | MUTANTS | FORKED | SHAKEN)]:
        sys.exit(f"no mutant has {unknown[0]!r} in its name; name parts of names, or nothing for all")
    return {what: m for what, m in mutants.items() if not words or any(w in what for w in words)}


def judge_tested(folder: Path) -> int:
    """Run every mutant of energy, credit, silicon and function; return the number of wrong verdicts."""
    wrong, root = 0, KERNEL.parents[2]
    for what, (name, old, new, file, tests) in chosen(TESTED).items():
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
    n = len(chosen(TESTED))
    print(f"{n - wrong} of {n} mutants of energy, learning, silicon, function and synchronisation caught")
    return wrong + judge_kernel()


def judge_kernel() -> int:
    """Run the timing kernel as it is, then every mutant of it; return the number of wrong verdicts."""
    text, wrong = "".join((TIMING / f"{part}.py").read_text(encoding="utf-8") for part in PARTS), 0
    mutants = chosen(MUTANTS | FORKED | SHAKEN)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if unchanged := verdict(("", ""), folder):
            print(f"the kernel itself fails: {unchanged}")
            return 1
        for what, change in mutants.items():
            if text.count(change[0]) != 1:
                print(f"STALE     {what}: its line occurs {text.count(change[0])} times")
                wrong += 1
                continue
            found = verdict(change, folder)
            print(f"{'caught   ' if found else 'SURVIVED '} {what}: {found}", flush=True)
            wrong += not found
    print(f"{len(mutants) - wrong} of {len(mutants)} mutants of the timing kernel caught")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
