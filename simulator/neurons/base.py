"""Definition of a neuron model: ports, state words, an integer kernel, a float twin and operation counts.

A model is one file that builds one `NeuronModel` and calls `register`; a user does the same in their own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from simulator.base.arrays import I32, Array, Floats
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
Params = Mapping[str, Array]  # parameter name -> [n] or ()
# float_step(acc {port: [n]}, state {name: [n]}, params {name: [n] or ()}) -> out [n]; updates state in place
FloatStep = Callable[
    [dict[str, Floats], dict[str, Floats], Params],
    Floats,
]
# sample_params(rng, n) -> parameter name -> float64 [n] or ()
Words = I32  # accumulators, states and parameters of a kernel
SampleParams = Callable[[np.random.Generator, int], dict[str, Any]]
# float_tables(params) -> table name -> int32 [any]
FloatTables = Callable[[Params], dict[str, I32]]


@dataclass(frozen=True)
class Word:
    """A state or parameter word.

    Attributes:
        name: its name in a population's parameters, or of a state.
        bits: stored bits.
        signed: two's complement, else unsigned.
        meaning: one line of documentation.
        unit: of a parameter, the port in whose accumulator's unit its value is held; "" for a value stored as it is.
            The compiler divides by that unit, so that a threshold and the weights share one scale.
        decay: a share of a state lost in each step; one below a hundredth of the word's least step is stored as 0.
    """

    name: str
    bits: int
    signed: bool = True
    meaning: str = ""
    unit: str = ""
    decay: bool = False


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
class Traits:
    """Properties of a model that other rooms ask for, so that nobody reads them out of its name.

    Attributes:
        psp: kernel of the post-synaptic potential (``delta``, ``exp``, ``alpha``), or "" for a model without one.
        modes: states of the selective or linear state space, 0 without one.
        adaptive: the threshold rises at a spike.
        graded: a variant that sends its membrane in every step.
        membrane: state word that holds the potential, or "".
        sends: state word that the payload carries, shifted right by the parameter ``sh_out`` if there is one; "" for
            spikes and their counts. Neurons with a parameter ``fires`` of 1 send spikes all the same.
        plastic_ports: ports whose weights can learn on the chip by the rules of `simulator.plasticity`.
        several: (parameter, value) with which a neuron sends several spikes of a step as one payload, or None.
        noise: parameter that is not 0 where the neuron draws random numbers, or "".
        fine_bits: bits by which accumulators should be finer than the weights: room for what decays leave.
        serves: the neurons serve a layer of the model or its readout, and are no layer of their own.
    """

    psp: str = ""
    modes: int = 0
    adaptive: bool = False
    graded: bool = False
    membrane: str = ""
    sends: str = ""
    plastic_ports: tuple[str, ...] = ()
    several: tuple[str, int] | None = None
    noise: str = ""
    fine_bits: int = 0
    serves: bool = False


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
        family: models that differ in words and operations only share one (``bim_d``, ``s6``, ``leaky`` ...); by default
            the model is a family of its own.
        traits: see `Traits`.
        lowering: module of the compiler with a ``LOWERING`` for this model; "" for the general one, which stores each
            parameter as a whole number in the unit of its `Word` (docs/neurons.md).
        sample_params: draws float parameters for n neurons, [n] or (), from a generator: the cross-checks' random
            networks take them. None leaves the model out of these networks.
        sample_weight: typical weight of a synapse onto the model in those networks.
        float_tables: makes the look-up tables of a float population, which holds none, from its parameters.
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
    family: str = ""
    traits: Traits = field(default_factory=Traits)
    lowering: str = ""
    sample_params: SampleParams | None = None
    sample_weight: float = 2.0**-3
    float_tables: FloatTables | None = None

    def __post_init__(self) -> None:
        if not self.family:
            object.__setattr__(self, "family", self.name)


@dataclass(frozen=True)
class _Family:
    make: Callable[[str], NeuronModel | None]
    examples: tuple[str, ...]


_MODELS: dict[str, NeuronModel] = {}
_FAMILIES: list[_Family] = []


def register(model: NeuronModel) -> NeuronModel:
    """Make a model known by its name; a second model of the same name replaces the first."""
    _MODELS[model.name] = model
    return model


def unregister(name: str) -> None:
    """Forget a model, as a test that registered one does."""
    _MODELS.pop(name, None)


def register_family(make: Callable[[str], NeuronModel | None], examples: tuple[str, ...] = ()) -> None:
    """Make an open family of models known, whose names carry a number.

    Args:
        make: builds the model of a name; None for a name that is not of the family.
        examples: names that stand for the family in `names`.
    """
    _FAMILIES.append(_Family(make, examples))


def names() -> tuple[str, ...]:
    """Return the names of all registered models and of the examples of the open families, sorted."""
    _load_built_in()
    examples = {name for family in _FAMILIES for name in family.examples}
    made = {name for name in _MODELS if any(f.make(name) is not None for f in _FAMILIES)}
    return tuple(sorted((_MODELS.keys() - made) | examples))


def get(name: str) -> NeuronModel:
    """Return the model of this name.

    Raises:
        InputError: no such model; the message lists those there are.
    """
    _load_built_in()
    if name not in _MODELS:
        made = next((model for family in _FAMILIES if (model := family.make(name)) is not None), None)
        if made is not None:
            return register(made)
        known = ", ".join(sorted(_MODELS))
        raise InputError(f"neuron model {name!r}", "is not registered", f"Known models: {known}")
    return _MODELS[name]


def _load_built_in() -> None:
    import simulator.neurons  # noqa: F401 - registers the built-in models
