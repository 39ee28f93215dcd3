"""All that a learner remembers, as plain containers of tensors (loadable without running code), and back."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bimhw.learning.forms.blk import BlockLearner
from bimhw.learning.forms.history import LayerHistory
from bimhw.learning.forms.lazy import LazyLearner
from bimhw.learning.forms.learner import Learner
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.models.bim.cell import Drive, LayerState, Record
from bimhw.models.bim.net import NetState
from simulator.base.errors import InputError


def learner_state(learner: Learner) -> dict[str, Any]:
    """State of the network and of the rule."""
    out: dict[str, Any] = {"layers": [_copied(s) for s in learner.state.layers], "taps": learner.state.taps.clone()}
    if isinstance(learner, RtrlLearner):
        out["traces"] = [t.state() for t in learner.traces]
    elif isinstance(learner, LazyLearner):
        out["lazy"] = [layer.state() for layer in learner.layers]
    elif isinstance(learner, SweepLearner):
        out["histories"] = [_history(h) for h in learner.histories]
        out["since"] = learner.since
        out["readout"] = dict(learner.readout_due)
        if isinstance(learner, BlockLearner):
            out["carries"] = [(c.e.clone(), c.own.clone()) for c in learner.carries]
    else:
        raise InputError("checkpoint", f"cannot hold a {type(learner).__name__}", "Take rule rtrl, tr, blk or lazy")
    return out


def load_learner(learner: Learner, state: dict[str, Any]) -> None:
    """Put a state back into a learner of the same configuration."""
    learner.state = NetState(tuple(LayerState(*s) for s in state["layers"]), state["taps"])
    if isinstance(learner, RtrlLearner):
        for traces, held in zip(learner.traces, state["traces"], strict=True):
            traces.load(held)
    elif isinstance(learner, LazyLearner):
        for layer, held in zip(learner.layers, state["lazy"], strict=True):
            layer.load(held)
    elif isinstance(learner, SweepLearner):
        learner.histories = [_as_history(learner, h) for h in state["histories"]]
        learner.since, learner.readout_due = int(state["since"]), dict(state["readout"])
        if isinstance(learner, BlockLearner):
            for carry, (e, own) in zip(learner.carries, state["carries"], strict=True):
                carry.e, carry.own = e, own


def _copied(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(v.clone() for v in values)


def _history(history: LayerHistory) -> dict[str, Any]:
    records = [(tuple(r.drive), *tuple(r)[1:]) for r in history.records]
    return {"inputs": list(history.inputs), "records": records, "deltas": list(history.deltas)}


def _as_history(learner: SweepLearner, held: dict[str, Any]) -> LayerHistory:
    records = [Record(Drive(*r[0]), *r[1:]) for r in held["records"]]
    return LayerHistory(learner.net.config, list(held["inputs"]), records, list(held["deltas"]))
