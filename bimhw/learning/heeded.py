"""Settings of training that each rule and form reads; one table for `bimhw.train`, the command, and studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bimhw.learning.rules.registry import gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from simulator.base.heeded import Heed, refuse_unheeded


def _reads(name: str, s: TrainSettings) -> bool:
    rule = learning_rule(s.rule)
    return name in (gradient_form(s.form).settings if rule.forms else rule.settings)


def _has_stdp(s: TrainSettings) -> bool:
    return learning_rule(s.rule).stdp


def _has_shares(s: TrainSettings) -> bool:
    """Return whether an `Updater` moves the hidden layers."""
    rule = learning_rule(s.rule)
    return (
        (rule.hidden or rule.stdp)
        and rule.name not in ("tbptt", "ctc")
        and not (rule.forms and gradient_form(s.form).single)
    )


TABLE: Sequence[Heed[TrainSettings]] = (
    Heed(("form",), "rules that have forms (rtrl, hybrid)", lambda s: learning_rule(s.rule).forms),
    Heed(("block",), "forms tr and blk", lambda s: _reads("block", s)),
    Heed(("lookback",), "form tr", lambda s: _reads("lookback", s)),
    Heed(("credit",), "rules rtrl, hybrid and stdp", lambda s: _reads("credit", s)),
    Heed(("k_credit",), "form dense, or rule stdp", lambda s: _reads("k_credit", s)),
    Heed(("lam",), "rule hybrid", lambda s: _has_stdp(s) and learning_rule(s.rule).forms),
    Heed(("kappa", "w_max", "pairing", "zero_drift", "third_factor"), "rules hybrid and stdp", _has_stdp),
    Heed(("tau_e",), "third_factor reward", lambda s: s.third_factor != "none"),
    Heed(("prune_mode", "prune_readout", "prune_every"), "a share to prune (prune)", lambda s: s.prune > 0),
    Heed(("rate_target",), "a regulariser (rate_strength)", lambda s: s.rate_strength > 0),
    Heed(("lr_course",), "a decay (lr_end below 1)", lambda s: s.lr_end < 1),
    Heed(("lr_hidden",), "rules that learn hidden layers by updates, not tbptt and ctc", _has_shares),
    Heed(("order", "lm_weight", "bonus"), "a beam (beam)", lambda s: getattr(s, "beam", 0) > 0),
    Heed(("window",), "rule tbptt", lambda s: s.rule == "tbptt"),
)


def check_heeded(options: Mapping[str, object], *settings: TrainSettings) -> None:
    """Raise `InputError` for an option (None: not given) that none of the trainings would read."""
    refuse_unheeded(TABLE, [name for name, value in options.items() if value is not None], *settings)
