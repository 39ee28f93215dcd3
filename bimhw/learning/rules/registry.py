"""Learning rules and forms of their gradient: two registries of frozen descriptions, found by name.

A rule says what the layers learn from, a form how the gradient of a rule is computed; any rule that takes forms goes with any
form. Training on the host, learning on the chip (`ChipForm`), `bimhw codesign` and the energy of a step (`operations`) read the
same description. A file that calls `register_rule` or `register_form` adds one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bimhw.learning.forms.blk import BlockLearner
from bimhw.learning.forms.credit import Credit
from bimhw.learning.forms.layer_forms import (
    LayerForm,
    carried_blocks,
    forward_traces,
    sliding_window,
    whole_sequence,
)
from bimhw.learning.forms.lazy import LazyLearner
from bimhw.learning.forms.learner import Learner
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepCredit, SweepLearner
from bimhw.learning.rules.homeostasis import Homeostasis
from bimhw.models.bim.net import BimNet, as_bim
from bimhw.models.nets import Net
from energy_models.forms import FormCounts, register_counts
from simulator.base.errors import InputError, unknown_name
from simulator.base.found import import_all
from simulator.plasticity.methods import ChipForm, ChipRule
from simulator.plasticity.methods import register_form as register_chip_form
from simulator.plasticity.methods import register_rule as register_chip_rule


@dataclass(frozen=True)
class LearnerSettings:
    """Numbers that a learner is made from.

    Attributes:
        rule: what is learnt.
        form: how the gradient is computed.
        credit: how the error reaches lower layers.
        seed: of random matrices.
        block: K of tr and blk.
        lookback: L of tr.
        lr: learning rate (lazy applies it itself).
        homeostasis: rate regulariser.
        k_credit: decay of the lower layers' eligibility (form dense); None: the readout filter's.
    """

    rule: str = "rtrl"
    form: str = "dense"
    credit: SweepCredit = "filt-win"
    seed: int = 0
    block: int = 16
    lookback: int = 32
    lr: float = 0.0
    homeostasis: Homeostasis | None = None
    k_credit: float | None = None


class Steps(Protocol):
    """Settings that the number of updates depends on."""

    @property
    def block(self) -> int:
        """Steps of a block."""
        ...


Make = Callable[[BimNet, LearnerSettings, int], Learner]
MakeRule = Callable[[Net, LearnerSettings, int], Learner]
Updates = Callable[[Steps, Sequence[bool]], int]  # updates of a sequence, from which of its steps are labelled


def _each_label(settings: Steps, labelled: Sequence[bool]) -> int:
    return sum(labelled)


def _each_block(settings: Steps, labelled: Sequence[bool]) -> int:
    return math.ceil(len(labelled) / settings.block)


def _each_sequence(settings: Steps, labelled: Sequence[bool]) -> int:
    return 1


OF_FORMS: Final = ("credit", "k_credit", "block", "lookback")  # what a rule or form of your own may read


@dataclass(frozen=True)
class GradientForm:
    """Form in which the gradient of a rule is computed.

    Attributes:
        name: as in `--form`.
        summary: one line for people.
        make: the learner on the host.
        updates: of a sequence.
        streams: learns from a stream without an end.
        single: one sequence at a time, and it applies plain gradient descent itself.
        operations: counters of one step (`energy_models.forms`); None: those of the name, or none are known.
        chip: the form on a chip; None: that of the name, or there is none.
        layer: the form of one layer behind any loss (`bimhw.nn.BIM`); None: there is none.
        settings: fields of `LearnerSettings` that it reads.
        delays: it learns delays too (`bimhw.models.bim.delays`).
        kinds: of layers that it knows.
    """

    name: str
    summary: str
    make: Make
    updates: Updates = _each_label
    streams: bool = True
    single: bool = False
    operations: FormCounts | None = None
    chip: ChipForm | None = None
    layer: LayerForm | None = None
    settings: tuple[str, ...] = OF_FORMS
    delays: bool = False
    kinds: tuple[str, ...] = ("diag", "s6")


@dataclass(frozen=True)
class LearningRule:
    """Rule by which the layers learn.

    Attributes:
        name: as in `--rule`.
        summary: one line for people.
        forms: it follows a gradient in a form of choice; else `make` gives its learner.
        make: the learner of a rule without forms; None: autograd does it, offline.
        stdp: W_in has an STDP term beside the gradient.
        hidden: hidden layers follow their gradient (with `stdp`: beside it).
        chip: the rule on a chip; None: that of the name, or there is none.
        only: the one kind of data that it is for, ``texts`` or ``transcripts``; "": any.
        family: the one family of models that it is for; "": the family says which rules train it.
        loops: its loops are compiled for the CPU.
        settings: fields of `LearnerSettings` that its `make` reads; with `forms`, the form says which.
    """

    name: str
    summary: str
    forms: bool = False
    make: MakeRule | None = None
    stdp: bool = False
    hidden: bool = True
    chip: ChipRule | None = None
    only: str = ""
    family: str = ""
    loops: bool = False
    settings: tuple[str, ...] = OF_FORMS

    @property
    def online(self) -> bool:
        """True if it learns while a sequence runs."""
        return self.forms or self.make is not None


_RULES: dict[str, LearningRule] = {}
_FORMS: dict[str, GradientForm] = {}
# Names of rules from when a form was named as a rule -> the form of rule rtrl that they mean.
_FORM_AS_RULE = ("seq", "tr", "blk", "lazy")


def register_rule(rule: LearningRule) -> LearningRule:
    """Make a rule known by its name, on the chip too where it has one, and return it."""
    _RULES[rule.name] = rule
    if rule.chip is not None:
        register_chip_rule(rule.chip)
    return rule


def register_form(form: GradientForm) -> GradientForm:
    """Make a form known by its name, on the chip and in the energy models too where it has those, and return it."""
    _FORMS[form.name] = form
    if form.chip is not None:
        register_chip_form(form.chip)
    if form.operations is not None:
        register_counts(form.name, form.operations)
    return form


def rules() -> Mapping[str, LearningRule]:
    """Return all rules by name."""
    import_all("bimhw.learning.rules.kinds")
    return _RULES


def forms() -> Mapping[str, GradientForm]:
    """Return all forms by name."""
    return _FORMS


def learning_rule(name: str) -> LearningRule:
    """Return a rule by its name.

    Raises:
        InputError: no such rule.
    """
    known = rules()
    if name not in known:
        raise unknown_name("rule", name, known)
    return known[name]


def gradient_form(name: str) -> GradientForm:
    """Return a form by its name.

    Raises:
        InputError: no such form.
    """
    if name not in _FORMS:
        raise unknown_name("form", name, _FORMS)
    return _FORMS[name]


def rule_and_form(rule: str, form: str) -> tuple[str, str]:
    """Return rule and form, where the rule may be the old name of a form."""
    return ("rtrl", rule) if rule in _FORM_AS_RULE and rule not in _RULES else (rule, form)


def check_kind(form: GradientForm, kind: str, what: str) -> None:
    """Raise `InputError` for layers of a kind that a form does not know."""
    if kind not in form.kinds:
        able = ", ".join(f.name for f in _FORMS.values() if kind in f.kinds)
        raise InputError(
            f"{what} in form {form.name!r}",
            f"does not exist for layers of kind {kind!r}",
            f"Take form {able}, or rule bptt",
        )


def make_learner(net: Net, settings: LearnerSettings, batch: int) -> Learner:
    """Return the online learner of a rule in a form.

    Raises:
        InputError: it does not exist for this network or credit rule, the rule is not online (``bptt``), or no sequences.
    """
    if not isinstance(batch, int) or batch < 1:
        raise InputError("learner: batch", f"is {batch!r}", "Give the sequences in parallel, 1 or more")
    name, form = rule_and_form(settings.rule, settings.form)
    rule = learning_rule(name)
    if rule.forms:
        kind = as_bim(net, f"rule {settings.rule!r}").config.kind
        check_kind(gradient_form(form), kind, f"rule {name!r}")
        return gradient_form(form).make(as_bim(net, f"rule {settings.rule!r}"), settings, batch)
    if rule.make is None:
        raise InputError(f"rule {name!r}", "has no online learner: autograd does it", "Take rule rtrl")
    return rule.make(net, settings, batch)


def _dense(net: BimNet, s: LearnerSettings, batch: int) -> Learner:
    credit = _without_sweep(s.credit)
    return RtrlLearner(net, batch, credit, s.seed, homeostasis=s.homeostasis, k_credit=s.k_credit)


def _frozen(net: Net, s: LearnerSettings, batch: int) -> Learner:
    return RtrlLearner(as_bim(net, "rule 'frozen'"), batch, seed=s.seed, frozen=True)


def _stdp(net: Net, s: LearnerSettings, batch: int) -> Learner:
    return _dense(as_bim(net, "rule 'stdp'"), s, batch)


def _seq(net: BimNet, s: LearnerSettings, batch: int) -> Learner:
    credit = s.credit if net.config.n_layers > 1 else "exact"  # one layer: all rules are exact
    return SweepLearner(net, batch, credit, s.seed, homeostasis=s.homeostasis)


def _tr(net: BimNet, s: LearnerSettings, batch: int) -> Learner:
    return SweepLearner(net, batch, s.credit, s.seed, s.block, s.lookback, s.homeostasis)


def _blk(net: BimNet, s: LearnerSettings, batch: int) -> Learner:
    return BlockLearner(net, batch, s.credit, s.seed, s.block, s.homeostasis)


def _lazy(net: BimNet, s: LearnerSettings, batch: int) -> Learner:
    return LazyLearner(net, s.lr, s.credit, s.seed)


def _without_sweep(credit: SweepCredit) -> Credit:
    if credit == "exact":
        raise InputError("credit rule 'exact'", "needs a history to sweep back over", "Take form seq, or rule bptt")
    return credit


register_form(
    GradientForm(
        "dense", "exact forward traces, an update at every labelled step", _dense, layer=forward_traces,
        settings=("credit", "k_credit"), kinds=("diag", "s6", "complex"),
    )
)  # fmt: skip
register_form(
    GradientForm(
        "seq", "a sweep inside each neuron, one update a sequence", _seq, _each_sequence, streams=False,
        layer=whole_sequence, settings=("credit",), delays=True,
    )
)  # fmt: skip
register_form(
    GradientForm(
        "tr", "the sweep over a sliding window", _tr, _each_block, layer=sliding_window,
        settings=("credit", "block", "lookback"), delays=True,
    )
)  # fmt: skip
register_form(
    GradientForm(
        "blk", "blocks with a carry, exact", _blk, _each_block, layer=carried_blocks, settings=("credit", "block")
    )
)
register_form(GradientForm("lazy", "work at events only (batch 1, sgd)", _lazy, single=True, settings=("credit",)))
register_rule(LearningRule("rtrl", "the exact gradient online", forms=True))
register_rule(LearningRule("hybrid", "the gradient and STDP on W_in", forms=True, stdp=True))
register_rule(
    LearningRule(
        "stdp", "STDP on W_in, readout online", make=_stdp, stdp=True, hidden=False, settings=("credit", "k_credit")
    )
)
register_rule(LearningRule("bptt", "back-propagation through time, one update a sequence", settings=()))
register_rule(LearningRule("tbptt", "truncated BPTT, one update a window", only="texts", settings=()))
register_rule(LearningRule("ctc", "BPTT of the loss of whole transcripts", only="transcripts", settings=()))
register_rule(LearningRule("frozen", "only the readout, online", make=_frozen, hidden=False, settings=()))
