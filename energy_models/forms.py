"""Cost of a step of each form of exact learning: dense RTRL, SEQ, TR, BLK, LAZY (diag layers).

With M inputs, H neurons, input rate p, blocks of K steps, look-back L and S = M H synapse triples; names as in the table
`simulator.plasticity.operations`::

    dense  (trace + 3) S MACs, (words + 3) S words touched
    SEQ    sweep MACs a neuron, 3 p S events (an add each), 3 p S words touched; 7 history words a neuron, written and read
    TR     SEQ x (K + L) / K, history written once
    BLK    carry S / K MACs, sweep + block MACs a neuron, (words + 3) p S event adds,
           (words + 3) (p + 1/K) S words touched, history as SEQ
    LAZY   (catch-up + words) p S MACs and words p S adds at events, live + n MACs a neuron and live time,
           (words + 3) p S words touched; live times = sum_k 1 - (1 - p (1 - p)^k)^M

All are per labelled step; third factor and optimiser are counted apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from energy_models.chip_energy import chip_energy, counters
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.plasticity.operations import HISTORY_WORDS, OPERATIONS, PORTS, KernelOperations, Psp
from simulator.program.activity import Activity

# Counters of a step from M, H, the kernel's costs, input rate, K and L.
FormCounts = Callable[[int, int, KernelOperations, float, int, int], Mapping[str, float]]
FORMS: dict[str, FormCounts] = {}


def register_counts(name: str, counts: FormCounts) -> None:
    """Make the operations of a form known: `bimhw codesign` prices it beside the others."""
    FORMS[name] = counts


def form_counts(
    form: str, n_in: int, n_hidden: int, psp: Psp = "alpha", rate: float = 0.1, block: int = 64, lookback: int = 64
) -> dict[str, int]:
    """Count operations of one step (equations above), as counters of learning.

    Raises:
        InputError: an unknown form or kernel, a size below 1, a rate outside 0..1.
    """
    if form not in FORMS or psp not in OPERATIONS:
        raise InputError(f"form {form!r} with kernel {psp!r}", "is not known", f"Forms: {', '.join(FORMS)}")
    if min(n_in, n_hidden, block) < 1 or lookback < 0 or not 0 <= rate <= 1:
        raise InputError(
            "learning form", f"got M={n_in}, H={n_hidden}, rate={rate}, K={block}", "Give sizes >= 1, rate 0..1"
        )
    counts = FORMS[form](n_in, n_hidden, OPERATIONS[psp], rate, block, lookback)
    return {k: round(v) for k, v in counts.items() if round(v)}


def _dense(m: int, h: int, costs: KernelOperations, p: float, k: int, look: int) -> dict[str, float]:
    s = m * h
    words = (costs.words() + PORTS) * s
    return {"learn_trace_mac": sum(costs.trace_macs()) * s, "learn_weight_mac": PORTS * s, "learn_trace_rmw": words}


def _seq(m: int, h: int, costs: KernelOperations, p: float, k: int, look: int) -> dict[str, float]:
    events, history = PORTS * p * m * h, HISTORY_WORDS * h
    return {
        "learn_sweep_mac": costs.sweep_macs * h,
        "learn_events": events,
        "learn_trace_rmw": events,
        "learn_history_write": history,
        "learn_history_read": history,
    }


def _tr(m: int, h: int, costs: KernelOperations, p: float, k: int, look: int) -> dict[str, float]:
    factor = (k + look) / k
    return {n: v if n == "learn_history_write" else v * factor for n, v in _seq(m, h, costs, p, k, look).items()}


def _blk(m: int, h: int, costs: KernelOperations, p: float, k: int, look: int) -> dict[str, float]:
    s, words, history = m * h, costs.words() + PORTS, HISTORY_WORDS * h
    return {
        "learn_trace_mac": sum(costs.carry_macs) * s / k,
        "learn_carry_mac": costs.block_macs * h,
        "learn_sweep_mac": costs.sweep_macs * h,
        "learn_events": words * p * s,
        "learn_trace_rmw": words * (p + 1 / k) * s,
        "learn_history_write": history,
        "learn_history_read": history,
    }


def _lazy(m: int, h: int, costs: KernelOperations, p: float, k: int, look: int) -> dict[str, float]:
    s = m * h
    return {
        "learn_trace_mac": (sum(costs.catch_up_macs) + costs.words()) * p * s,
        "learn_events": costs.words() * p * s,
        "learn_carry_mac": (costs.live_macs + costs.states) * live_times(p, m) * h,
        "learn_trace_rmw": (costs.words() + PORTS) * p * s,
    }


for _name, _counts in (("dense", _dense), ("seq", _seq), ("tr", _tr), ("blk", _blk), ("lazy", _lazy)):
    register_counts(_name, _counts)


def live_times(rate: float, n_in: int) -> float:
    """Return the expected number of distinct last-event times of `n_in` inputs: sum over k of 1 - (1 - p (1-p)^k)^M."""
    total, share = 0.0, rate
    while share * n_in > 1e-9:
        total += 1 - (1 - share) ** n_in
        share *= 1 - rate
    return total


def form_energy_pj(chip: Chip, counts: Mapping[str, int], event_pj: float | None = None) -> tuple[float, float, float]:
    """Return low, nominal and high energy [pJ] of these operations on a chip.

    Args:
        chip: whose constants are used.
        counts: of `form_counts`.
        event_pj: price of one replayed synaptic event with its word, in the place of an addition and a word touched
            (between a SynOp, 23.6 pJ, and an STDP update, 120 pJ, on Loihi 1: it decides what SEQ costs).
    """
    kept, priced = dict(counts), 0.0
    if event_pj is not None:
        events = kept.pop("learn_events", 0)
        kept["learn_trace_rmw"] = max(0, kept.get("learn_trace_rmw", 0) - events)
        priced = events * event_pj
    native = any_neuron(chip)
    report = chip_energy(Activity(counters(kept), 1, 1, ("layer",)), native)
    items = [i for i in report.items if i.hardware == "learning"]
    low, high = sum(i.low_pj for i in items), sum(i.high_pj or 0.0 for i in items)
    return low + priced, sum(i.energy_pj or 0.0 for i in items) + priced, high + priced


def any_neuron(chip: Chip) -> Chip:
    """Return the chip with its neuron constants for all models."""
    import msgspec

    return msgspec.structs.replace(chip, capabilities=msgspec.structs.replace(chip.capabilities, native_models=("*",)))
