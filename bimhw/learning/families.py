"""Parts of training that differ by family: inputs through the network with gradients, initial scales, presets."""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import Tensor

from bimhw.learning.event_form import event_form
from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.presets import EVENT_PRESETS, LEAKY_PRESETS, META_PRESETS, P_SPIKESSM_PRESETS, PRESETS
from bimhw.learning.rules.registry import learning_rule, rules
from bimhw.learning.settings import TrainSettings
from bimhw.models.bim.net import Init, as_bim
from bimhw.models.event.net import EventInit, EventNet
from bimhw.models.leaky.config import FAMILY as LEAKY
from bimhw.models.leaky.net import LeakyInit, LeakyNet
from bimhw.models.meta.net import MetaInit, MetaNet
from bimhw.models.nets import Net, NetRun
from bimhw.models.registry import NetConfig, family_of, trainable
from bimhw.models.spikessm.net import Draws, PSpikeInit, PSpikeNet
from bimhw.models.spikessm.s4_net import S4SpikeInit, S4SpikeNet
from bimhw.models.training import Training
from bimhw.tasks.registry import task_preset
from simulator.base.errors import InputError
from simulator.base.random import STREAM_TRAINING


def bim() -> Training:
    """Return how BIM networks are trained: by every rule, pruned or not."""
    return Training(
        Init,
        PRESETS,
        task_preset,
        lambda net, seed: functools.partial(run_compiled, as_bim(net, "BPTT")),
        prunes=True,
    )


def p_spikessm() -> Training:
    """Return how P-SpikeSSM networks are trained: by BPTT."""
    return Training(PSpikeInit, P_SPIKESSM_PRESETS, lambda task: "default", SampledForm, rules=("bptt",))


def p_spikessm_s4() -> Training:
    """Return how P-SpikeSSM networks of S4 are trained: by BPTT."""
    return Training(S4SpikeInit, P_SPIKESSM_PRESETS, lambda task: "default", SampledForm, rules=("bptt",))


def leaky() -> Training:
    """Return how leaky networks are trained: by the local rules online, or by BPTT."""
    local = tuple(rule.name for rule in rules().values() if rule.family == LEAKY)
    return Training(LeakyInit, LEAKY_PRESETS, lambda task: "default", _leaky_run, rules=(*local, "bptt"))


def _leaky_run(net: Net, seed: int) -> Callable[[Tensor], NetRun]:
    if not isinstance(net, LeakyNet):
        raise InputError(type(net).__name__, "is no leaky network")
    return net.run


def event() -> Training:
    """Return how networks learnt by spike times are trained: by EventProp."""
    return Training(EventInit, EVENT_PRESETS, lambda task: "default", _event_run, rules=("eventprop",), regular=False)


def _event_run(net: Net, seed: int) -> Callable[[Tensor], NetRun]:
    if not isinstance(net, EventNet):
        raise InputError(type(net).__name__, "is no network learnt by spike times")
    return event_form(net)


def meta() -> Training:
    """Return how networks of meta-neurons are trained: by BPTT."""
    return Training(MetaInit, META_PRESETS, lambda task: "default", SampledForm, rules=("bptt",))


def check_settings(config: NetConfig, settings: TrainSettings) -> None:
    """Raise `InputError` where a family cannot be trained so."""
    rule = learning_rule(settings.rule)
    only = rule.only
    if only:
        raise InputError(f"rule {settings.rule!r}", f"is for {only}", "Take rule bptt")
    family, training = trainable(family_of(config).name)
    if rule.family and rule.family != family.name:
        raise InputError(f"rule {rule.name!r}", f"is for {rule.family} networks", f"Train with family {rule.family}")
    if training.rules is not None and settings.rule not in training.rules:
        known = " or ".join(training.rules)
        problem = f"does not train the family {family.name}, which is trained by {known}"
        raise InputError(f"rule {settings.rule!r}", problem, "Leave --rule out")
    if settings.prune and not training.prunes:
        raise InputError("training setting prune", f"is set, and the family {family.name} has no masks", "Set it to 0")
    if settings.rate_strength and not training.regular:
        problem = f"is set, and rule {settings.rule} knows no gradient of a number of spikes"
        raise InputError("training setting rate_strength", problem, "Set it to 0")


class SampledForm:
    """Numbers the training sequences in the order in which they are seen, so that no two draw the same random numbers.

    Args:
        net: the network.
        seed: key of the numbers, in a stream of their own: an evaluation draws others.
    """

    def __init__(self, net: object, seed: int) -> None:
        if not isinstance(net, PSpikeNet | S4SpikeNet | MetaNet):
            raise InputError(type(net).__name__, "is no network whose neurons draw random numbers")
        self.net, self.seed, self.seen = net, seed, 0

    def __call__(self, x: Tensor) -> NetRun:
        """Run inputs [T, B, n_in] through the network."""
        draws = Draws(self.seed, self.seen, STREAM_TRAINING)
        self.seen += x.shape[1]
        return self.net.run(x, draws)
