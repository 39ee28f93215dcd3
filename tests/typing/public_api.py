"""Read by mypy, never run: the façade has the types of the functions behind it.

A line marked to be ignored must be an error: `make lint` has mypy refuse a mark that is not needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import bimhw
from bimhw.compiler.pipeline import CompileResult
from bimhw.runs.simulate import SimulationResult

compiled = bimhw.compile("x.pt", chip="loihi2")
assert_type(compiled, CompileResult)
run = bimhw.simulate(compiled.program, samples=3)
assert_type(run, SimulationResult)
assert_type(run.folder, Path)

bimhw.compile("x.pt", chipp="loihi2")  # type: ignore[call-arg]
bimhw.simulate(compiled.program, samples="3")  # type: ignore[arg-type]
print(bimhw.no_such_name)  # type: ignore[attr-defined]
