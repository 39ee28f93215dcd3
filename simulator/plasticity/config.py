"""Settings of on-chip learning: one frozen value, JSON-able, stored in `Program.learning`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from simulator.base.errors import InputError, check_fields
from simulator.base.heeded import Heed
from simulator.base.schedule import LrCourse
from simulator.plasticity.methods import chip_form, chip_rule
from simulator.plasticity.rules.loihi import MOST_TAU


class LearnConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Configuration of on-chip learning.

    Attributes:
        rule: ``rtrl``; ``hybrid`` lam x gradient and (1 - lam) x STDP on the input port; ``stdp`` on the input port, the
            readout by its gradient; ``frozen`` the readout only.
        form: of the gradient: ``dense`` traces, ``seq`` sweep per sequence, ``tr`` sliding window, ``blk`` exact blocks
            (s6 layers: seq or tr).
        words: ``chip`` rounds every word to its width; ``wide`` keeps float64 (the reference of the rounding).
        every: labelled steps between two updates (dense).
        accumulate: samples whose gradient sums are added before an update at the end of the last of them; 1: updates
            within a sample, as the form has them.
        block: K, steps between two updates (tr, blk).
        history: L, older steps that a window sweep visits too (tr).
        credit: how the error reaches lower layers, ``filt-win`` or ``direct``.
        error_at: who makes the error, see `third_factor`.
        optimiser: ``sgd`` or ``rms`` (one word per neuron and port).
        lr: learning rate.
        lr_end: the last update's learning rate as a fraction of the first.
        lr_course: of the decay, in samples, see `simulator.base.schedule`.
        beta: decay of the second moment.
        eps: added to its root (wide words).
        lam: share of the gradient in the hybrid rule.
        kappa: scale of the STDP term against the gradient; 0: running ratio of their root mean squares (EMA 0.99).
        a_plus, a_minus: STDP amplitudes; a_minus 0: the zero-drift value.
        tau_plus, tau_minus: STDP time constants, steps.
        pairing: ``all`` or ``nearest``.
        weight_bits: 8, 12 or 16.
        rounding: of the weight update.
        trace_rounding: of eligibility traces (form dense); STDP and feature traces are rounded to nearest.
        weight_range: hard bound of the hidden layers' input weights (a power of two: the unit is range / 2^(bits - 1)).
        delta_range, c_range: of the weights into the ports d and c (they start small: a finer unit, less rounding noise);
            c_range also of those into the neurons of B and C (s6).
        readout_range: of the readout's weights.
        trace_bits: of eligibility, STDP and feature traces.
        history_bits: of a neuron's history words.
        adjoint_bits: of the sweep's words and port products.
        accumulator_bits: of gradient sums and Omega.
        error_bits: of an error word.
        state_bits: of the neurons' state words while learning (headroom over calibration); 0: as compiled.
        learn_biases: biases and D learn too (hidden and readout).
        learn_a_log: with ``learn_biases``, A_log of s6 layers learns too (BIM-D's decay comes from one table, a = 1).
        skip_zero: synapses of a neuron whose third factor is 0 are not touched: no gradient sum at that step (dense), and
            where it was 0 at all steps since the last update no random number and no optimiser work (what is learnt is
            the same; coarse error words are 0 often). Not for STDP.
        surrogate, surrogate_width, detach_reset: of the spike's derivative.
        prune_target: share of pruned synapses rho of each hidden matrix; 0: no pruning.
        prune_every: samples between two calls of the pruning controller.
        prune_mode: ``mask`` (hard), ``gated`` (irreversible sampling), ``regrow``.
        fracs: population -> word -> binary point, filled by calibration.
    """

    rule: str = "rtrl"
    form: str = "dense"
    words: Literal["chip", "wide"] = "chip"
    every: int = 1
    accumulate: int = 1
    block: int = 16
    history: int = 32
    credit: Literal["filt-win", "direct"] = "filt-win"
    error_at: Literal["host", "core"] = "host"
    optimiser: Literal["sgd", "rms"] = "rms"
    lr: float = 0.003
    lr_end: float = 1.0
    lr_course: LrCourse = "linear"
    beta: float = 0.99
    eps: float = 1e-8
    lam: float = 1.0
    kappa: float = 0.0
    a_plus: float = 1.0
    a_minus: float = 0.0
    tau_plus: float = 5.0
    tau_minus: float = 5.0
    pairing: Literal["all", "nearest"] = "all"
    weight_bits: Literal[8, 12, 16] = 8
    rounding: Literal["stochastic", "nearest"] = "stochastic"
    weight_range: float = 4.0
    delta_range: float = 4.0
    c_range: float = 4.0
    readout_range: float = 8.0
    trace_bits: int = 8
    trace_rounding: Literal["nearest", "stochastic"] = "nearest"
    history_bits: int = 16
    adjoint_bits: int = 16
    accumulator_bits: int = 32
    error_bits: int = 16
    state_bits: int = 0
    learn_biases: bool = True
    learn_a_log: bool = False
    skip_zero: bool = True
    surrogate: Literal["fast_sigmoid", "triangle"] = "fast_sigmoid"
    surrogate_width: float = 0.5
    detach_reset: bool = True
    prune_target: float = 0.0
    prune_every: int = 64
    prune_mode: Literal["mask", "gated", "regrow"] = "mask"
    fracs: dict[str, dict[str, int]] = {}

    def __post_init__(self) -> None:
        chip_rule(self.rule), chip_form(self.form)
        check_fields("learning: ", self, _rules(self))

    @property
    def wide(self) -> bool:
        """True if nothing is rounded."""
        return self.words == "wide"

    @property
    def gradient(self) -> bool:
        """True if hidden layers follow their gradient."""
        return chip_rule(self.rule).gradient

    @property
    def stdp(self) -> bool:
        """True if the input port has an STDP term."""
        return chip_rule(self.rule).stdp(self)

    @property
    def hidden(self) -> bool:
        """True if hidden layers learn at all."""
        return chip_rule(self.rule).hidden

    def bound(self, port: str) -> float:
        """Return the hard bound of the weights into a port (z or in of a layer, d, c; ``readout``)."""
        names = {"z": "weight_range", "d": "delta_range", "c": "c_range", "readout": "readout_range"}
        return float(getattr(self, names[port]))

    @property
    def share(self) -> float:
        """lam of the rule in use."""
        return chip_rule(self.rule).share(self)


_MOST = 1e6  # of a rate or an amplitude: products with words stay far within a float


def _rules(c: LearnConfig) -> list[tuple[str, bool, str]]:
    widths = [(n, 4 <= getattr(c, n) <= 24, "must be 4 to 24") for n in ("trace_bits", "history_bits", "adjoint_bits")]
    positive = [
        (n, 0 < getattr(c, n) <= most, f"must be positive and at most {most:g}")
        for names, most in ((("lr", "a_plus", "surrogate_width"), _MOST), (("tau_plus", "tau_minus"), MOST_TAU))
        for n in names
    ]
    counts = [(n, getattr(c, n) >= 1, "must be at least 1") for n in ("every", "accumulate", "block", "prune_every")]
    power = f"must be a power of two from {_MOST**-1:g} to {_MOST:g} (then a weight's unit is one too)"
    return [
        *widths,
        *positive,
        *counts,
        ("learn_a_log", c.learn_biases or not c.learn_a_log, "needs learn_biases"),
        ("trace_rounding", c.trace_rounding == "nearest" or chip_form(c.form).narrow, "needs the traces of form dense"),
        ("history", c.history >= 0, "must not be negative"),
        ("lam", 0 <= c.lam <= 1, "must be in [0, 1]"),
        ("beta", 0 < c.beta < 1, "must be in (0, 1)"),
        ("lr_end", 0 <= c.lr_end <= 1, "must be in [0, 1]"),
        *((n, _MOST**-1 < getattr(c, n) < _MOST and math.log2(getattr(c, n)).is_integer(), power) for n in _RANGES),
        *((n, 0 <= getattr(c, n) <= _MOST, f"must be in [0, {_MOST:g}]") for n in ("kappa", "a_minus", "eps")),
        ("accumulator_bits", 16 <= c.accumulator_bits <= 40, "must be 16 to 40 (fewer bias the sums)"),
        ("error_bits", 4 <= c.error_bits <= 24, "must be 4 to 24 (a graded spike's payload)"),
        ("state_bits", c.state_bits == 0 or 8 <= c.state_bits <= 24, "must be 0 or 8 to 24"),
        ("prune_target", 0 <= c.prune_target <= 0.99, "must be in [0, 0.99]"),
    ]


_RANGES = ("weight_range", "delta_range", "c_range", "readout_range")


def _learns_by(c: LearnConfig, share: float) -> float:
    return chip_rule(c.rule).share(msgspec.structs.replace(c, lam=share))


HEEDED: Sequence[Heed[LearnConfig]] = (
    Heed(("every",), "forms without a sweep (dense)", lambda c: chip_form(c.form).sweep is None and c.accumulate == 1),
    Heed(("block",), "forms tr and blk", lambda c: chip_form(c.form).blocks),
    Heed(("history", "lookback"), "form tr", lambda c: chip_form(c.form).lookback),
    Heed(("lam",), "rule hybrid", lambda c: _learns_by(c, 0.25) != _learns_by(c, 0.75)),
    Heed(
        ("kappa", "a_plus", "a_minus", "tau_plus", "tau_minus", "pairing"),
        "STDP: rule stdp, or hybrid with lam below 1",
        lambda c: c.stdp,
    ),
    Heed(("credit", "surrogate", "surrogate_width", "detach_reset"), "rules with a gradient", lambda c: c.gradient),
    Heed(("beta", "eps"), "optimiser rms", lambda c: c.optimiser == "rms"),
    Heed(("prune_mode", "prune_every"), "a share to prune (prune)", lambda c: c.prune_target > 0),
    Heed(("lr_course",), "a decay (lr_end below 1)", lambda c: c.lr_end < 1),
)


def learn_config(value: Mapping[str, Any] | LearnConfig) -> LearnConfig:
    """Make a configuration from a plain mapping.

    Raises:
        InputError: an unknown field, a wrong type or value.
    """
    if isinstance(value, LearnConfig):
        return value
    try:
        return msgspec.convert(dict(value), LearnConfig)
    except msgspec.ValidationError as error:
        raise InputError("learning", str(error), "See docs/on-chip-learning.md for the fields") from error


def plain(config: LearnConfig) -> dict[str, Any]:
    """Return the configuration as plain JSON values."""
    out: dict[str, Any] = msgspec.to_builtins(config)
    return out
