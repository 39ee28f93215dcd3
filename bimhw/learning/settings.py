"""Settings of training: one frozen value, saved beside every result."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from bimhw.learning.forms.seq import SweepCredit
from bimhw.learning.optim import OptimiserName
from bimhw.learning.pruning import Mode
from bimhw.learning.rules.registry import gradient_form, learning_rule, rule_and_form
from bimhw.models.config_rules import check_types
from simulator.base.errors import check_fields
from simulator.base.schedule import LR_COURSES, LrCourse


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of training.

    Attributes:
        rule: what is learnt, see `bimhw.learning.rules.registry`: ``rtrl`` the exact gradient online; ``hybrid`` that and STDP;
            ``stdp`` STDP on W_in, readout online; ``bptt`` one update a sequence by back-propagation through time; ``frozen``
            only the readout, online. The name of a form stands for rtrl in that form.
        form: of the gradient of rtrl and hybrid: ``dense`` forward traces, an update at every labelled step; ``seq`` a sweep
            inside each neuron, one update a sequence; ``tr`` a sliding window; ``blk`` blocks with a carry, exact; ``lazy``
            work at events only (batch 1, sgd, an update at every labelled step).
        epochs: passes over the training split.
        batch: sequences in parallel.
        lr: learning rate.
        lr_end: the last update's learning rate as a fraction of the first; 1: constant.
        lr_course: of the decay, in updates, see `simulator.base.schedule`.
        lr_hidden: learning rate of all but the readout, as a share of lr.
        clip: largest norm of the gradient of an update, which is scaled down to it; 0: no limit (``tbptt``, ``ctc``: 1).
        dropout: share of the readout's features that a sequence is trained without; rules of autograd alone.
        average: share of the updates, the last ones, over which the weights that are left are the mean; rules of autograd alone.
        optimiser: ``adam``, ``rms`` (one second moment per neuron) or ``sgd``.
        credit: how the error reaches lower layers, see `bimhw.learning.forms.credit` (``exact``: seq and bptt).
        k_credit: decay of the lower layers' eligibility in form ``dense``; 0: that of the readout filter.
        block: K of ``tr`` and ``blk``.
        lookback: L of ``tr``.
        lam: lambda of ``hybrid``: 1 gradient only, 0 STDP on W_in.
        kappa: scale of the STDP term; 0: the running ratio of the root mean squares.
        w_max: bound on W_in of ``hybrid`` and ``stdp``.
        pairing: of spikes in STDP, ``all`` or ``nearest``.
        zero_drift: A- such that uncorrelated trains do not change the weights (A+ = A- potentiates them, through the tie).
        third_factor: ``reward`` lets STDP act only through a broadcast reward, see `bimhw.learning.rules.hybrid`; or ``none``.
        tau_e: decay of the eligibility of the third factor in steps.
        prune: share of synapses to prune while training; 0: none.
        prune_mode: ``gated``, ``resampled`` or ``regrow``, see `bimhw.learning.pruning`.
        prune_readout: prune the readout's weights too.
        prune_every: updates between two calls of the pruner.
        rate_target: spike rate that the rate regulariser aims at.
        rate_strength: its strength; 0: none.
        seed: of initial weights, order of the data and random matrices.
    """

    rule: str = "rtrl"
    form: str = "dense"
    epochs: int = 8
    batch: int = 64
    lr: float = 0.006
    lr_end: float = 1.0
    lr_course: LrCourse = "cosine"
    lr_hidden: float = 1.0
    clip: float = 0.0
    dropout: float = 0.0
    average: float = 0.0
    optimiser: OptimiserName = "adam"
    credit: SweepCredit = "filt-win"
    k_credit: float = 0.0
    block: int = 16
    lookback: int = 32
    lam: float = 0.5
    kappa: float = 0.0
    w_max: float = 4.0
    pairing: Literal["all", "nearest"] = "all"
    zero_drift: bool = False
    third_factor: Literal["none", "reward"] = "none"
    tau_e: float = 20.0
    prune: float = 0.0
    prune_mode: Mode = "gated"
    prune_readout: bool = False
    prune_every: int = 10
    rate_target: float = 0.1
    rate_strength: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self, "training setting ")
        rule_name, form_name = rule_and_form(self.rule, self.form)
        msgspec.structs.force_setattr(self, "rule", rule_name)
        msgspec.structs.force_setattr(self, "form", form_name)
        form = gradient_form(form_name)
        single = learning_rule(rule_name).forms and form.single
        rules = (
            ("epochs", self.epochs >= 1, "must be at least 1"),
            ("batch", self.batch >= 1, "must be at least 1"),
            ("lr", 0 < self.lr < math.inf, "must be positive"),
            ("lr_end", 0 <= self.lr_end <= 1, "must be in [0, 1]"),
            ("lr_course", self.lr_course in LR_COURSES, f"must be one of {', '.join(LR_COURSES)}"),
            ("lr_hidden", 0 < self.lr_hidden <= 1, "must be above 0, at most 1"),
            ("k_credit", 0 <= self.k_credit < 1, "must be in [0, 1)"),
            ("k_credit", form_name == "dense" or not self.k_credit, "belongs to form dense"),
            ("clip", 0 <= self.clip < math.inf, "must not be negative"),
            ("clip", not single or not self.clip, f"form {form_name} applies its own updates, without a limit"),
            ("dropout", 0 <= self.dropout < 1, "must be in [0, 1)"),
            ("dropout", not (self.dropout and learning_rule(rule_name).online), f"does nothing with rule {rule_name}"),
            ("average", 0 <= self.average <= 1, "must be in [0, 1]"),
            ("average", not (self.average and learning_rule(rule_name).online), f"does nothing with rule {rule_name}"),
            ("prune", 0 <= self.prune <= 0.99, "must be in [0, 0.99]"),
            ("prune_every", self.prune_every >= 1, "must be at least 1"),
            ("block", self.block >= 1, "must be at least 1"),
            ("lookback", self.lookback >= 0, "must not be negative"),
            ("lam", 0 <= self.lam <= 1, "must be in [0, 1]"),
            ("kappa", 0 <= self.kappa < math.inf, "must not be negative"),
            ("w_max", self.w_max > 0, "must be positive"),
            ("tau_e", 0 < self.tau_e < math.inf, "must be positive"),
            *_of_stdp(self),
            ("batch", not single or self.batch == 1, f"form {form_name} works on one sequence at a time"),
            ("optimiser", not single or self.optimiser == "sgd", f"form {form_name} is plain gradient descent (sgd)"),
            (
                "rule",
                not (single and learning_rule(rule_name).stdp),
                f"has no form {form_name}, which applies its own updates",
            ),
            (
                "rate_strength",
                (not single and rule_name != "frozen") or not self.rate_strength,
                "does nothing with this rule",
            ),
            ("rate_strength", self.rate_strength >= 0, "must not be negative"),
        )
        check_fields("training setting ", self, rules)

    def check_autograd(self) -> None:
        """Raise `InputError` for what autograd with clipped Adam does not have."""
        none = f"rule {self.rule} has none"
        rules = ("optimiser", self.optimiser == "adam", none), ("rate_strength", not self.rate_strength, none)
        check_fields("training setting ", self, rules, "Leave it out")


def _of_stdp(s: TrainSettings) -> list[tuple[str, bool, str]]:
    stdp, rule = learning_rule(s.rule).stdp, "belongs to the rules hybrid and stdp"
    return [
        ("zero_drift", stdp or not s.zero_drift, rule),
        ("third_factor", stdp or s.third_factor == "none", rule),
    ]
