"""Credit rules for lower layers: exact where they must be, near BPTT's direction where they claim to be."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from bimhw.learning.forms.credit import direct_signals
from bimhw.learning.forms.learner import add, softmax_error
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.traces import LayerTraces, spike_slope
from bimhw.learning.presets import PRESETS
from bimhw.learning.settings import TrainSettings
from bimhw.models.bim.net import BimNet
from energy_models.learning import learning_counts
from simulator.base.errors import InputError

_spec = importlib.util.spec_from_file_location("exact_help_credit", Path(__file__).with_name("test_rtrl_exact.py"))
assert _spec is not None
assert _spec.loader is not None
_help = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_help)


def by_rule(net: BimNet, x: torch.Tensor, y: torch.Tensor, credit: Any) -> dict[str, torch.Tensor]:
    learner, total = RtrlLearner(net, x.shape[1], credit, 1), {}
    for u, t in zip(x, y, strict=True):
        add(total, learner.observe(u, t).gradients or {})
    return total


MEMBRANE = {"readout": "membrane", "psp": "delta"}
CASES = [("inst", {"dense_readout": True}), ("filt-inst", {"dense_readout": True}), ("inst", MEMBRANE)]


@pytest.mark.parametrize(("kind", "n", "disc"), [("diag", 1, "zoh"), ("s6", 3, "zoh"), ("s6", 3, "euler")])
@pytest.mark.parametrize(("credit", "options"), CASES)
def test_same_step_jacobians_are_exact_on_one_step(
    credit: str, kind: str, n: int, disc: str, options: dict[str, Any]
) -> None:
    """Sequences of one step have no paths through memory: the whole stack's gradient must be autograd's."""
    net = _help.net_of(3, hidden=(7, 6, 5), kind=kind, n_states=n, discretisation=disc, theta=0.05, **options)
    x, y = _help.data(4, graded=True)
    exact, _ = _help.by_autograd(net, x[:1], y[:1])
    mine = by_rule(net, x[:1], y[:1], credit)
    for name, g in exact.items():
        if name.startswith("layers"):
            assert float((mine[name] - g).abs().max()) <= 1e-10 * float(g.abs().max()), name
    assert exact["layers.0.w_in"].abs().max() > 1e-5


def test_filt_win_points_the_way_of_bptt() -> None:
    net = _help.net_of(5, hidden=(24, 24), dense_readout=True, theta=0.3)
    x, y = _help.data(6)
    exact, _ = _help.by_autograd(net, x, y)
    mine = {rule: by_rule(net, x, y, rule) for rule in ("filt-win", "direct", "dfa", "local")}

    def cosine(rule: str) -> float:
        a, b = (g["layers.0.w_in"].flatten() for g in (mine[rule], exact))
        return float(torch.cosine_similarity(a, b, dim=0))

    assert cosine("filt-win") > 0.8
    assert cosine("filt-win") > max(cosine("dfa"), cosine("local")) + 0.2
    for rule in mine:  # the top layer is exact under every rule
        torch.testing.assert_close(mine[rule]["layers.1.w_in"], exact["layers.1.w_in"], rtol=1e-9, atol=1e-12)


def test_filtered_membrane_sends_c_and_d() -> None:
    """What a layer that is read by its membrane sends down: ((c + D) delta) W_in, by hand."""
    from bimhw.learning.forms.credit import CreditAssigner

    net = _help.net_of(5, hidden=(6, 5), readout="membrane", psp="delta")
    x, _ = _help.data(4)
    assigner = CreditAssigner(net, "filt-win")
    record_c = torch.linspace(0.1, 0.5, 5, dtype=torch.double)[None].expand(x.shape[1], -1)
    signal = torch.linspace(-1, 1, 5, dtype=torch.double)[None].expand(x.shape[1], -1)

    class Drive:
        c = record_c

    class Record:
        drive = Drive()

    with torch.no_grad():
        net.layer(1).get_parameter("d").copy_(torch.linspace(0.3, 0.9, 5))
    got = assigner._message(1, signal, Record())  # type: ignore[arg-type]
    expected = ((record_c + net.layer(1).get_parameter("d")) * signal) @ net.layer(1).weight("in")
    torch.testing.assert_close(got, expected.detach(), rtol=1e-12, atol=0.0)
    assert not torch.allclose(got, (record_c * signal) @ net.layer(1).weight("in").detach())


def test_the_averaged_slope_is_its_own_recurrence() -> None:
    """`filt-avg` by hand: psi-bar of the upper layer over all steps, labelled or not, then filt-win with it."""
    net = _help.net_of(5, hidden=(7, 6), dense_readout=True, theta=0.1)
    x, y = _help.data(6, graded=True)
    learner, mean = RtrlLearner(net, x.shape[1], "filt-avg", 1), torch.zeros(x.shape[1], 6).double()
    plain = LayerTraces(net.layer(0), x.shape[1])
    for t, (u, label) in enumerate(zip(x, y, strict=True)):
        got = learner.observe(u, label if t % 2 else None).gradients
        mean = 0.9 * mean + 0.1 * spike_slope(learner.records[1], net.config)
        plain.advance(learner.inputs[0], learner.records[0])
        if got is None:
            continue
        logits = net.readout(net.features([s.f for s in learner.state.layers])).detach()
        error = softmax_error(logits, label, 1.0)[1]
        direct = direct_signals(net, error)
        signal = direct[0] + (mean * direct[1]) @ net.layer(1).weight("in")
        expected = plain.gradient(signal.detach(), plain.ef)
        for name, g in expected.items():
            torch.testing.assert_close(got[f"layers.0.{name}"], g, rtol=1e-10, atol=1e-12)
    assert float(mean.max()) > 1e-3 and learner.memory_words == sum(t.words for t in learner.traces) + 6


@pytest.mark.parametrize("adapt", [0.0, 0.2])
def test_a_slower_eligibility_of_its_own(adapt: float) -> None:
    """With k_credit the lower traces are those of a network whose readout filter has that decay; the top layer's stay."""
    options = {"hidden": (7, 6), "theta": 0.1, "adapt_beta": adapt}
    net, slow = _help.net_of(5, k_o=0.8, **options), _help.net_of(5, k_o=0.95, **options)
    slow.load_state_dict(net.state_dict())
    x, _ = _help.data(6, graded=True)
    mine = RtrlLearner(net, x.shape[1], k_credit=0.95)
    other, plain = RtrlLearner(slow, x.shape[1]), RtrlLearner(net, x.shape[1])
    for u in x:
        for learner in (mine, other, plain):
            learner.observe(u, None)
    for index, twin in ((0, other), (1, plain)):
        a, b = mine.traces[index].state(), twin.traces[index].state()
        assert all(torch.equal(a[k], b[k]) for k in a) and any(float(v.abs().max()) > 0 for v in a.values())


def test_averaged_slopes_survive_a_checkpoint() -> None:
    net = _help.net_of(5, hidden=(7, 6), theta=0.1)
    x, y = _help.data(6, graded=True)
    first, second = (RtrlLearner(net, x.shape[1], "filt-avg") for _ in range(2))
    for u, label in zip(x[:4], y, strict=False):
        first.observe(u, label)
    second.restore(first.checkpoint())
    a, b = (learner.observe(x[4], y[4]).gradients for learner in (first, second))
    assert a is not None and b is not None and all(torch.equal(a[k], b[k]) for k in a)


def test_settings_of_the_online_stack() -> None:
    settings = TrainSettings(**PRESETS["online-stack"].settings)
    assert (settings.credit, settings.k_credit) == ("filt-avg", 0.95)
    with pytest.raises(InputError, match="k_credit"):
        TrainSettings(form="tr", k_credit=0.9)
    with pytest.raises(InputError, match="k_credit"):
        TrainSettings(k_credit=1.0)
    more = learning_counts(64, 64, "delta", 10, between_layers=True, averaged_slope=True)
    less = learning_counts(64, 64, "delta", 10, between_layers=True)
    assert {k: more[k] - less[k] for k in more if more[k] != less[k]} == {"learn_trace_rmw": 64, "learn_trace_mac": 64}
