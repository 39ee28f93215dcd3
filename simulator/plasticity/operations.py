"""Operations and words of exact learning: the one table that counters, prices, formulas and documents read.

A layer's neuron has a trace vector per synapse and port: n entries (x, then r, I, V, f as the PSP kernel has them; f is the
readout filter) at the ports in and d, n - 1 at c, whose injection does not pass through x. With n = 3, 4, 5 (delta, exp, alpha)::

    words       n + n + (n - 1)                          8  11  14    of a synapse triple (one synapse at each port)
    trace       chain + 2, chain + 2, chain             16  22  31    MACs of one dense trace step, chain = 4, 6, 9
    catch-up    sum over ports of n (n + 1) / 2         15  26  40    MACs of e <- F e, F lower triangular
    carry       sum over ports of n (n + 3) / 2         23  37  54    MACs of e <- S e and G += A . e
    propagator  n (n + 1) (n + 2) / 6                   10  20  35    MACs of a product of two lower triangular matrices
    sweep       back + 7                                12  14  17    MACs of one backward step of a neuron, back = 5, 7, 10
    live                                                11  19  31    MACs that move a propagator by a step, column by column

One MAC is a multiplication and an addition; an event adds without multiplying. The dense trace step is that of a soft, detached
reset, whose factor f is 1; the sweep reads f from the history and multiplies by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Psp = Literal["delta", "exp", "alpha"]
Eligibility = Literal["trace", "full", "pair"]
Signal = Literal["chain", "broadcast", "label", "local", "none"]

PORTS = 3  # in, d, c
HISTORY_WORDS = 7  # of a neuron and step: Abar, c, psi, g, x, z, delta


@dataclass(frozen=True)
class KernelOperations:
    """Costs of learning with one PSP kernel.

    Attributes:
        psp: the kernel.
        states: n, entries of a trace vector at the ports in and d.
        chain_macs: MACs from E^q to E^f of one synapse in the dense form.
        back_macs: MACs of one backward step from the readout filter to l_q, the words of V and the filter included.
        live_macs: MACs that move one propagator of a neuron by a step (LAZY).
    """

    psp: Psp
    states: int
    chain_macs: int
    back_macs: int
    live_macs: int

    def sizes(self, filtered: bool = True) -> tuple[int, int, int]:
        """Return the trace words of a synapse at the ports in, d and c (without the readout filter: one less each)."""
        n = self.states - (not filtered)
        return n, n, n - 1

    def words(self, filtered: bool = True) -> int:
        """Return the trace words of a synapse triple."""
        return sum(self.sizes(filtered))

    def trace_macs(self, filtered: bool = True) -> tuple[int, int, int]:
        """Return the MACs of one dense trace step at the ports in, d and c; the readout filter takes 2 of each."""
        chain = self.chain_macs - 2 * (not filtered)
        return chain + 2, chain + 2, chain

    @property
    def sweep_macs(self) -> int:
        """MACs of one backward step of a neuron."""
        return self.back_macs + 7

    @property
    def catch_up_macs(self) -> tuple[int, int, int]:
        """MACs of e <- F e at the ports in, d and c."""
        x, d, c = (n * (n + 1) // 2 for n in self.sizes())
        return x, d, c

    @property
    def carry_macs(self) -> tuple[int, int, int]:
        """MACs of e <- S e and G += A . e at the ports in, d and c (BLK, once a block)."""
        x, d, c = (n * (n + 3) // 2 for n in self.sizes())
        return x, d, c

    @property
    def propagator_macs(self) -> int:
        """MACs of S <- M S of a neuron."""
        return self.states * (self.states + 1) * (self.states + 2) // 6

    @property
    def injection_macs(self) -> int:
        """MACs of Y beta of a neuron, at the ports in, d, c and for D (BLK, once a step)."""
        return sum(self.catch_up_macs) + self.catch_up_macs[2]

    @property
    def block_macs(self) -> int:
        """MACs of BLK per neuron and labelled step, the sweep apart: S <- M S, Y <- Y M, Y beta, A += delta S."""
        return 2 * self.propagator_macs + self.injection_macs + self.states


# In the order of the kernels' codes (`simulator.plasticity.forms.base.KERNELS`).
KERNEL_OPERATIONS = (
    KernelOperations("delta", 3, 4, 5, 11),
    KernelOperations("exp", 4, 6, 7, 19),
    KernelOperations("alpha", 5, 9, 10, 31),
)
OPERATIONS: dict[Psp, KernelOperations] = {each.psp: each for each in KERNEL_OPERATIONS}


def s6_history_words(states: int) -> int:
    """Return the history words of an s6 neuron and step: state and decay of each of N states, z, d, sigmoid(d), psi, delta."""
    return 2 * states + 5


def s6_sweep_macs(kernel: KernelOperations, states: int, zoh: bool, rates: bool) -> int:
    """Return the MACs of one backward step of an s6 neuron.

    Args:
        kernel: PSP kernel.
        states: N.
        zoh: zero-order hold instead of Euler.
        rates: A_log learns too.
    """
    each = 10 + 2 * zoh + rates * (2 + 2 * zoh)
    return kernel.back_macs + 3 + states * each


class LocalPair(NamedTuple):
    """Parts of a local rule of leaky networks; `bimhw.learning.local_rules` has the equations.

    Attributes:
        eligibility: ``trace``, ``full`` or ``pair``.
        signal: ``chain``, ``broadcast``, ``label`` or ``local``; ``none``: the readout alone learns.
        filtered: ``readout``: the eligibility is filtered as the readout filters spikes; ``next``: as the layer above does
            (the readout above the top layer); "": it is not.
        recurrent, adaptive: the rule is defined for recurrent layers, for ALIF neurons.
    """

    eligibility: Eligibility
    signal: Signal
    filtered: str = ""
    recurrent: bool = False
    adaptive: bool = False


LOCAL_RULES: dict[str, LocalPair] = {
    "delta": LocalPair("trace", "none", recurrent=True, adaptive=True),
    "e-prop": LocalPair("trace", "broadcast", "readout", recurrent=True, adaptive=True),
    "ottt": LocalPair("trace", "chain"),
    "ostl": LocalPair("full", "chain", adaptive=True),
    "otpe": LocalPair("full", "chain", "next", adaptive=True),
    "s-tllr": LocalPair("pair", "chain", recurrent=True),
    "etlp": LocalPair("trace", "label", recurrent=True, adaptive=True),
    "decolle": LocalPair("trace", "local"),
}


@dataclass(frozen=True)
class LocalOperations:
    """Costs of a local rule of leaky networks in one layer, a sequence (letters as in docs/rules.md).

    Attributes:
        words: kept from step to step.
        step_macs: MACs of the eligibility in every step.
        step_slopes: look-ups of psi in every step.
        label_macs: MACs of signal and weight changes at a labelled step.
        label_slopes: look-ups of psi at a labelled step, where it is not looked up in every one.
        error_words: words of error or label that each core of the layer gets at a labelled step.
        matrix_words: entries of the layer's fixed random matrix; 0 where counters can draw them or there is none.
    """

    words: int
    step_macs: int
    step_slopes: int
    label_macs: int
    label_slopes: int
    error_words: int
    matrix_words: int


@dataclass(frozen=True)
class LocalLayer:
    """Layer sizes that set the costs of a local rule.

    Attributes:
        inputs: M, its own last spikes included where it is recurrent.
        neurons: H.
        classes: C.
        above: neurons of the hidden layer above; 0 for the top layer.
        adaptive: ALIF.
    """

    inputs: int
    neurons: int
    classes: int
    above: int = 0
    adaptive: bool = False


def local_operations(eligibility: Eligibility, signal: Signal, filtered: bool, layer: LocalLayer) -> LocalOperations:
    """Return the costs of a local rule in a layer; a spike adds without multiplying.

    Products of a weight with e or f, H M, are all there are at a labelled step beside the signal; where the eligibility is
    psi_j eps_i it is taken with the slope in the signal, which saves the matrix.

    Args:
        eligibility: ``trace``, ``full`` or ``pair``.
        signal: ``chain``, ``broadcast``, ``label`` or ``local``.
        filtered: a filter lies behind the eligibility.
        layer: its sizes.
    """
    if signal == "none":
        return LocalOperations(0, 0, 0, 0, 0, 0, 0)
    m, h = layer.inputs, layer.neurons
    synapses, dense = m * h, eligibility == "full" or layer.adaptive or filtered
    if eligibility == "pair":
        dense = filtered
        words, step = m + h, m + h + (synapses + h) * filtered
    elif eligibility == "trace":
        words, step = m, m + synapses * (dense + 2 * layer.adaptive)
        words += 2 * synapses * layer.adaptive
    else:
        words, step = 2 * synapses, 3 * synapses
        words, step = words + synapses * layer.adaptive, step + 3 * synapses * layer.adaptive
    each_step = dense or eligibility == "pair"
    label = synapses + (0 if dense else 3 * h if eligibility == "pair" else h)
    macs, error, matrix = _signal_costs(signal, layer, dense)
    return LocalOperations(
        words + synapses * filtered, step + synapses * filtered, h * each_step,
        label + macs, h * (not each_step), error, matrix,
    )  # fmt: skip


def _signal_costs(signal: Signal, layer: LocalLayer, dense: bool) -> tuple[int, int, int]:
    """Return MACs, words that come in, and entries of a random matrix; the readout's gain is in the error's scale.

    What goes down a chain is psi L of the layer above, which that layer has made already unless its slope is in the eligibility.
    """
    h, c = layer.neurons, layer.classes
    if signal == "label":
        return 0, 1, h * c
    if signal == "local":
        return h * c, 1, h * c
    if signal == "broadcast":
        return h * c, c, h * c if layer.above else 0
    return (layer.above * (h + dense), layer.above, 0) if layer.above else (h * c, c, 0)
