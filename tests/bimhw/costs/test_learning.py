"""What learning costs beside inference: every parameter against the sums by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bimhw.costs.learning import LearningPrice, learning_forms
from energy_models.forms import form_counts
from energy_models.learning import learning_counts
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program

M, H, C = 6, 10, 3
RATES = {"in": 0.3, "hid": 0.2, "out": 0.1}
CHIP = load_chip("loihi2")
# pJ: nominal constants of loihi2
MUL, ADD, READ, WRITE, SEND, STDP = 1.4, 1.2, 3.7, 3.9, 0.0, 120.0  # sending is unknown: not in nominal sums


def program() -> Program:
    populations = (
        Population("in", "input", M, role="input"),
        Population("hid", "bim_d_alpha", H, {}, layer=1),
        Population("out", "readout_li", C, {}, layer=2, role="output"),
    )
    from simulator.neurons import base

    ports = base.get("bim_d_alpha").ports
    out = base.get("readout_li").ports[0]
    ones = np.ones((H, M), np.int8)
    q = [Projection(f"p{k}", "in", "hid", port, *dense_to_csr(ones)) for k, port in enumerate(ports)]
    q.append(Projection("r", "hid", "out", out, *dense_to_csr(np.ones((C, H), np.int8))))
    core = np.concatenate([np.full(M, HOST), np.zeros(H + C)]).astype(np.int32)
    return Program(CHIP.name, CHIP.sha256(), populations, tuple(q), core)


def table(chip: Any = CHIP, **price: Any) -> dict[str, dict[str, Any]]:
    return {r["rule"]: r for r in learning_forms(program(), chip, RATES, 2.0, LearningPrice(**price))}


def charge(counts: dict[str, int], width: float = 1.0, event_pj: float | None = None) -> float:
    """nJ by hand."""
    word = (READ + WRITE) * width
    prices = {
        "learn_trace_rmw": word, "learn_trace_mac": MUL + ADD, "learn_carry_mac": MUL + ADD, "learn_sweep_mac": MUL + ADD,
        "learn_weight_mac": MUL + ADD, "learn_events": ADD, "learn_history_read": READ * width,
        "learn_history_write": WRITE * width, "learn_weight_updates": STDP, "learn_error_mac": MUL + ADD,
        "learn_error_words": SEND, "learn_optimiser_rmw": word, "learn_stdp_rmw": word, "learn_stdp_events": STDP,
    }  # fmt: skip
    total = sum(n * prices[k] for k, n in counts.items())
    if event_pj is not None:
        total += counts["learn_events"] * (event_pj - ADD - word)
    return total / 1e3


@pytest.mark.parametrize("psp", ["alpha", "delta"])
@pytest.mark.parametrize("form", ["dense", "seq", "tr", "blk", "lazy"])
def test_each_form_is_its_counts_times_the_constants(form: Any, psp: Any) -> None:
    row = table(block=16, lookback=8, psp=psp)[form]  # the kernel may differ from the program's own
    assert row["step_nj"] == pytest.approx(charge(form_counts(form, M, H, psp, 0.3, 16, 8)), rel=1e-9)
    update = learning_counts(M, H, psp, C, optimiser="rms")
    own = ("learn_weight_updates", "learn_error_words", "learn_error_mac", "learn_optimiser_rmw")
    by_hand = charge({k: n for k, n in update.items() if k in own})
    assert row["update_nj"] == pytest.approx(by_hand, rel=1e-9)
    assert row["nj"] == pytest.approx(row["step_nj"] + by_hand / 16, rel=1e-9)
    assert row["times_inference"] == pytest.approx(row["nj"] / 2.0)
    assert 0 < row["step_low_nj"] <= row["step_nj"] <= row["step_high_nj"]


def test_trace_width_scales_words_that_are_read_and_written() -> None:
    counts = form_counts("dense", M, H, "alpha", 0.3)
    assert table(trace_bits=8)["dense"]["step_nj"] == pytest.approx(charge(counts, 0.5), rel=1e-9)
    assert table(trace_bits=16)["dense"]["step_nj"] == pytest.approx(table()["dense"]["step_nj"], rel=1e-12)
    plain = msgspec.structs.replace(CHIP, state_word_bits=None)
    with pytest.raises(InputError, match="does not say for which width"):
        table(plain, trace_bits=8)


def test_lambda_adds_stdp_and_zero_leaves_it_alone() -> None:
    stdp = charge({"learn_stdp_rmw": M + H, "learn_stdp_events": round((0.3 + 0.2) * M * H)})
    pure, mixed, alone = table(), table(lam=0.5), table(lam=0.0)
    assert pure["stdp"]["nj"] == pytest.approx(stdp, rel=1e-9)
    assert mixed["dense + STDP"]["step_nj"] == pytest.approx(pure["dense"]["step_nj"] + stdp, rel=1e-9)
    assert set(alone) == {"stdp"}


def test_price_of_an_event_and_optimiser() -> None:
    counts = form_counts("seq", M, H, "alpha", 0.3)
    assert table(event_pj=120.0)["seq"]["step_nj"] == pytest.approx(charge(counts, event_pj=120.0), rel=1e-9)
    rms, adam, sgd = (table(optimiser=o)["dense"]["update_nj"] for o in ("rms", "adam", "sgd"))
    word = (READ + WRITE) / 1e3
    assert rms - sgd == pytest.approx(3 * H * word) and adam - sgd == pytest.approx(6 * M * H * word)


def test_every_kernel_has_every_form() -> None:
    assert set(table(psp="exp")) == {"dense", "seq", "tr", "blk", "lazy", "stdp"}


@pytest.mark.parametrize(
    ("price", "message"),
    [({"lam": 2}, "--lambda"), ({"lam": float("nan")}, "--lambda"), ({"trace_bits": 0}, "--trace-bits"),
     ({"event_pj": float("nan")}, "--event-pj"), ({"psp": "box"}, "--psp"), ({"optimiser": "lion"}, "--optimiser")],
)  # fmt: skip
def test_refusals(price: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(**price)


def test_plot_of_an_unknown_kind(tmp_path: Path) -> None:
    from bimhw.costs.codesign import Codesign
    from bimhw.views.codesign_plot import plot_codesign

    with pytest.raises(InputError, match="must end in"):
        plot_codesign(Codesign([], [], [], [], []), tmp_path / "a.gif")
    with pytest.raises(InputError, match="nothing to plot"):
        plot_codesign(Codesign([], [], [], [], []), tmp_path / "a.png")
