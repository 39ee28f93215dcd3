"""`CompileResult`: the program, the networks it came from, and the figures of its compilation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mapping.network import Network
from simulator.program.program import Program


@dataclass(frozen=True, eq=False)
class CompileResult:
    """What `compile` returns.

    Attributes:
        program: mapped integers, ready to save.
        network: the integer network before mapping.
        float_network: what the front end made (of an integer network, that network).
        rates: population -> messages a step of each neuron in calibration, by which it was mapped.
        report: JSON-able figures: cores, neurons, synapses, axons, bytes against limits, formats, weight errors, notes.
    """

    program: Program
    network: Network
    float_network: Network
    report: Mapping[str, Any]
    rates: Mapping[str, npt.NDArray[np.float64]]
