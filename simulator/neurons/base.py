"""What a neuron model is: ports, state words, an integer kernel, a float twin and operation counts.

A model is one file that builds one `NeuronModel` and calls `register`; a user does the same in their own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError

# kernel(acc, state, params, table, out, lo, hi, step, seed, first_id) -> number of saturated values
#   acc    int32 [ports, n]    port accumulators of this step (read only; the engine clears them)
#   state  int32 [states, n]   updated in place
#   params int32 [params, n]   in the order of NeuronModel.params
#   table  int32 [any]         look-up tables, one after another in the order of NeuronModel.tables
#   out    int32 [n]           payload emitted by each neuron this step, 0 = silent
#   lo, hi                     the neurons to update (a core's slice)
#   step, seed, first_id       keys of the counter-based random numbers; first_id is the logical id of neuron 0
IntegerKernel = Callable[..., int]
# float_step(acc {port: [n]}, state {name: [n]}, params {name: [n] or ()}) -> out [n]; updates state in place
FloatStep = Callable[
    [dict[str, npt.NDArray[np.float64]], dict[str, npt.NDArray[np.float64]], Mapping[str, npt.NDArray[Any]]],
    npt.NDArray[np.float64],
]


@dataclass(frozen=True)
class Word:
    """A state or parameter word: name, stored bits, signedness and meaning."""

    name: str
    bits: int
    signed: bool = True
    meaning: str = ""


@dataclass(frozen=True)
class UpdateOps:
    """Operations of one neuron update, for the energy model (bits: operand width of the arithmetic)."""

    mul: int = 0
    add: int = 0
    lut: int = 0
    state_read: int = 0
    state_write: int = 0
    random: int = 0


@dataclass(frozen=True)
class NeuronModel:
    """One neuron model. The docstring of its module is its equation.

    Attributes:
        name: what `Population.model` says.
        ports: names of the input accumulators, in the order of the kernel's ``acc``.
        states: state words, in the order of the kernel's ``state``.
        params: parameter words, in the order of the kernel's ``params``.
        kernel: integer update, or None for neurons that are driven from outside.
        float_step: the same equation in real numbers, in the same units, or None.
        ops: operations of one update.
        emits: ``binary`` (payload 1), ``graded`` (any payload) or ``none``.
        tables: names of the look-up tables, in the order in which the kernel finds them in ``table``.
        table_entries: entries that the kernel reads of each table; it follows its index without a check.
        table_row: parameter that holds the first entry of a neuron's own table, where there may be several.
        float_states: names of the float twin's states.
        initial: state name -> parameter that holds its value before the first step; a state not named starts at 0.
        fires: the firing rule, for people.
        defaults: parameter name -> value taken where a population does not give it.
        brian2: the update as Brian2 statements, or "": states and parameters by their names, a port's accumulator as
            ``acc_<port>``; it sets ``out``. Written apart from the kernels, it is their independent twin.
        brian2_integer: the same in the integers of the kernel (all values are exact in a double), or "".
        draws: the float twin fires at random: ``state["uniform"]`` holds the numbers in [0, 1) that the chip draws in this step
            (`simulator.base.random.uniforms`).
        parallel: no state depends on the neuron's own spikes: all steps of a sequence can be computed at once, by a scan.
    """

    name: str
    ports: tuple[str, ...]
    states: tuple[Word, ...]
    params: tuple[Word, ...]
    kernel: IntegerKernel | None
    float_step: FloatStep | None
    ops: UpdateOps
    emits: Literal["binary", "graded", "none"] = "binary"
    tables: tuple[str, ...] = ()
    table_entries: Mapping[str, int] = field(default_factory=dict)
    table_row: str = ""
    float_states: tuple[str, ...] = ()
    initial: Mapping[str, str] = field(default_factory=dict)  # state name -> parameter that holds its initial value
    fires: str = "V >= theta"
    defaults: Mapping[str, int] = field(default_factory=dict)
    brian2: str = ""
    brian2_integer: str = ""
    draws: bool = False
    parallel: bool = False


_MODELS: dict[str, NeuronModel] = {}
_FAMILIES: list[Callable[[str], NeuronModel | None]] = []


def register(model: NeuronModel) -> NeuronModel:
    """Make a model known by its name; a second model of the same name replaces the first."""
    _MODELS[model.name] = model
    return model


def register_family(make: Callable[[str], NeuronModel | None]) -> None:
    """Make a family of models known: `make` builds the model of a name, or gives None for a name that is not its own."""
    _FAMILIES.append(make)


def get(name: str) -> NeuronModel:
    """The model of this name.

    Raises:
        InputError: no such model; the message lists those there are.
    """
    import simulator.neurons  # noqa: F401 - registers the built-in models

    if name not in _MODELS:
        made = next((model for make in _FAMILIES if (model := make(name)) is not None), None)
        if made is not None:
            return register(made)
        known = ", ".join(sorted(_MODELS))
        raise InputError(f"neuron model {name!r}", "is not registered", f"Known models: {known}")
    return _MODELS[name]
