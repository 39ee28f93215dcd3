"""Do the tests notice a timing fault? Each mutant is one line of the compiled kernel changed; all must be caught.

`python tests/mutants.py` (`make mutants`) runs the comparison with the clocked definition on random cases in a process of its
own for each mutant: a different stamp, a crash or a hang counts as caught. A mutant that survives fails the run.
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


def main() -> int:
    """Run the kernel as it is, then every mutant; returns the number of wrong verdicts."""
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
