"""Registries of what a chip can learn by: rules (what is learnt) and forms (how the gradient of a rule is computed).

Both are frozen values found by name. A file that calls `register_rule` or `register_form` adds one; the built-in forms of
BIM-D layers are in `simulator.plasticity.kinds.diag`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simulator.base.errors import unknown_name
from simulator.base.found import import_all


class Settings(Protocol):
    """Settings that rules and forms read of a `LearnConfig`, which names them."""

    @property
    def lam(self) -> float:
        """Share of the gradient in the hybrid rule."""

    @property
    def block(self) -> int:
        """Steps between two updates."""

    @property
    def history(self) -> int:
        """Older steps that a window sweep visits too."""


@dataclass(frozen=True)
class ChipRule:
    """Rule by which the hidden layers learn.

    Attributes:
        name: as in `LearnConfig.rule`.
        gradient: the layers follow their gradient.
        share: weight of the gradient against STDP, from the configuration.
        stdp: the input port has an STDP term, from the configuration.
        hidden: hidden layers learn at all.
    """

    name: str
    gradient: bool
    share: Callable[[Settings], float]
    stdp: Callable[[Settings], bool] = lambda c: False
    hidden: bool = True


@dataclass(frozen=True)
class ChipForm:
    """Form in which the gradient of a BIM-D layer is computed.

    Attributes:
        name: as in `LearnConfig.form`.
        kept: steps of history that a neuron keeps beside those on the error's way, from (configuration, steps of a sample).
        step: what a core does at the late visit of each step, from (layer, part, step, labelled); None: nothing.
        step_all: the same for all cores at once, from (layer, step, labelled); `count_step`, with the arguments of `step`,
            then counts each core's part. None: core by core.
        sweep: what a core does when a sweep is due, from (layer, part, visit); None: it has none and updates at labelled
            steps.
        traces: a synapse keeps eligibility traces.
        narrow: the traces have a kernel in whole words, with stochastic rounding.
        carries: a neuron keeps block propagators.
        blocks: a sweep is due every K steps, not only at the end of a sample.
        lookback: a sweep also visits L older steps.
        shared: s6 layers can use it: it keeps nothing by synapse.
    """

    name: str
    kept: Callable[[Settings, int], int]
    step: Callable[..., None] | None = None
    step_all: Callable[..., None] | None = None
    count_step: Callable[..., None] | None = None
    sweep: Callable[..., None] | None = None
    traces: bool = False
    narrow: bool = False
    carries: bool = False
    blocks: bool = False
    lookback: bool = False
    shared: bool = False


_RULES: dict[str, ChipRule] = {}
_FORMS: dict[str, ChipForm] = {}


def register_rule(rule: ChipRule) -> ChipRule:
    """Make a rule known by its name, and return it."""
    _RULES[rule.name] = rule
    return rule


def register_form(form: ChipForm) -> ChipForm:
    """Make a form known by its name, and return it."""
    _FORMS[form.name] = form
    return form


def chip_rules() -> tuple[str, ...]:
    """Return the names of all rules."""
    return tuple(_RULES)


def chip_forms() -> tuple[str, ...]:
    """Return the names of all forms."""
    import_all("simulator.plasticity.kinds")
    return tuple(_FORMS)


def chip_rule(name: str) -> ChipRule:
    """Return a rule by its name.

    Raises:
        InputError: no such rule.
    """
    if name not in _RULES:
        raise unknown_name(
            "learning: rule", name, _RULES, more="or --rule-file with a rule file or its name, as e-prop"
        )
    return _RULES[name]


def chip_form(name: str) -> ChipForm:
    """Return a form by its name.

    Raises:
        InputError: no such form.
    """
    if name not in chip_forms():
        raise unknown_name("learning: form", name, _FORMS)
    return _FORMS[name]


register_rule(ChipRule("rtrl", True, lambda c: 1.0))
register_rule(ChipRule("hybrid", True, lambda c: c.lam, lambda c: c.lam < 1))
register_rule(ChipRule("stdp", False, lambda c: 0.0, lambda c: True))
register_rule(ChipRule("frozen", False, lambda c: 0.0, hidden=False))
