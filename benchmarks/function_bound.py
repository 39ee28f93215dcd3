"""The least time that this processor needs for a step of WHAT, beside bimhw and the best C, in one run.

    python -m benchmarks.function_bound [NET ...]

One JSON line a net of the reference (../shared/bench), in us a step. `stream_us` reads the rows of the neurons that fire, in
their order, and does nothing else: the bytes that must move, at the bandwidth of this machine (`gb_per_s`). `sums_us` adds
them to sums of 16 bits as well: the better of two loops, one synapse at a time and four targets by one load. It leaves out all
else: updates, finding who fired, counting. No step is faster by adding synapse after synapse. Needs gcc.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.function import REFERENCE, SHARED, compare, yardstick
from bimhw.frontends.npz import read_plain
from mapping.files import program_as_given
from simulator.chips.load import load_chip
from simulator.function import run

STEPS, REPEATS = 50, 15
SOURCE = r"""
#include <stdint.h>
#include <string.h>
#define IN_ORDER __asm__ volatile("" ::: "memory");
#define ROWS int64_t n, const int32_t *ids, const int64_t *row, const uint16_t *target, const int8_t *weight
#define EACH_ROW for (int64_t k = 0; k < n; k++) { \
  int64_t lo = row[ids[k]], hi = row[ids[k] + 1], ahead = k + 4 < n ? row[ids[k + 4]] : lo, e = lo; \
  for (int64_t o = 0; o < hi - lo; o += 32) __builtin_prefetch(target + ahead + o); \
  for (int64_t o = 0; o < hi - lo; o += 64) __builtin_prefetch(weight + ahead + o);
int64_t stream(ROWS) {
  int64_t all = 0;
  EACH_ROW
    uint16_t a = 0; uint8_t b = 0;
    for (; e < hi; e++) a ^= target[e];
    for (e = lo; e < hi; e++) b ^= (uint8_t)weight[e];
    all += a + b;
  }
  return all;
}
int64_t one(ROWS, int16_t *u) {
  EACH_ROW
#pragma GCC unroll 4
    for (; e < hi; e++) { u[target[e]] += weight[e]; IN_ORDER }
  }
  return u[0];
}
int64_t four(ROWS, int16_t *u) {
  EACH_ROW
    for (; e + 4 <= hi; e += 4) {
      uint64_t a; memcpy(&a, target + e, 8);
      u[a & 0xffff] += weight[e]; IN_ORDER
      u[a >> 16 & 0xffff] += weight[e + 1]; IN_ORDER
      u[a >> 32 & 0xffff] += weight[e + 2]; IN_ORDER
      u[a >> 48] += weight[e + 3]; IN_ORDER
    }
    for (; e < hi; e++) u[target[e]] += weight[e];
  }
  return u[0];
}
"""


def library(folder: Path) -> ctypes.CDLL:
    """Compile the loops for this processor."""
    (folder / "bound.c").write_text(SOURCE)
    command = [
        "gcc",
        "-O3",
        "-march=native",
        "-shared",
        "-fPIC",
        "-o",
        str(folder / "bound.so"),
        str(folder / "bound.c"),
    ]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "bound.so"))


def caller(function: Any, *arguments: Any) -> Callable[[], int]:
    """Bind a loop to its arrays and numbers."""
    function.restype = ctypes.c_int64
    given = [ctypes.c_int64(a) if isinstance(a, int) else a.ctypes.data_as(ctypes.c_void_p) for a in arguments]
    keep = arguments  # arrays live as long as the call

    def call() -> int:
        return int(function(*given)) if keep else 0

    return call


def microseconds(call: Callable[[], int]) -> float:
    """CPU time of the thread, best of several."""
    found = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        call()
        found.append((time.thread_time() - begin) * 1e6)
    return min(found)


def floors(lib: ctypes.CDLL, path: Path) -> dict[str, float]:
    """Return the times of the three parts a step, and the bandwidth of the first."""
    net, chip = read_plain(path), load_chip("loihi1-fitted")
    spikes = run(program_as_given(net.network, chip), net.inputs, STEPS, topology=chip.topology).spikes
    ids, file = np.ascontiguousarray(spikes.ids, np.int32), np.load(path)
    row, n = np.ascontiguousarray(file["indptr"], np.int64), file["indptr"].size - 1
    target, weight = np.ascontiguousarray(file["indices"], np.uint16), np.ascontiguousarray(file["weights"], np.int8)
    step = (ids.size, ids, row)
    stream = microseconds(caller(lib.stream, *step, target, weight)) / STEPS
    sums = [microseconds(caller(form, *step, target, weight, np.zeros(n, np.int16))) for form in (lib.one, lib.four)]
    events = int(np.diff(row)[ids].sum()) / STEPS
    return {
        "synapses_per_step": events,
        "stream_us": stream,
        "gb_per_s": 3 * events / stream / 1e3,
        "sums_us": min(sums) / STEPS,
    }


def main(names: list[str] | None = None) -> None:
    """Run everything and print one JSON line a net."""
    if SHARED is None or shutil.which("gcc") is None:
        sys.exit("function_bound needs gcc and the reference networks (../shared/bench)")
    with tempfile.TemporaryDirectory() as folder:
        lib, script = library(Path(folder)), yardstick(Path(folder))
        for name in names or REFERENCE:
            path = SHARED / "nets" / f"{name}.npz"
            both, part = compare(path, script), floors(lib, path)
            times = {"c_us": both["c_s"] * 1e3, "bimhw_us": both["bimhw_s"] * 1e3}
            over_c = {"sums_over_c": part["sums_us"] / times["c_us"], "bimhw_over_c": both["ratio"]}
            print(json.dumps({"net": name} | part | times | over_c), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
