"""CTC on strings of made-up digits: the loss by brute force over paths, and learning."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bimhw.learning.checkpoints import Saved
from bimhw.learning.feeds import DigitStream, stream_of
from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.objectives.classes import EachStep
from bimhw.learning.objectives.ctc import (
    SYMBOLS,
    Ctc,
    CtcSettings,
    Transcripts,
    decode,
    fit_ctc,
    moving_mean,
    padded_labels,
    step_labels,
    string_sets,
    transcripts,
)
from bimhw.learning.objectives.ctc_online import fit_online
from bimhw.learning.objectives.speech import train_speech
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.studies.baselines.models import build
from bimhw.studies.results.points import run_point
from bimhw.studies.results.rows import Row
from bimhw.tasks.features.audio import FrontEnd
from bimhw.tasks.sources.connected import BLANK, best_path, digit_strings
from bimhw.tasks.sources.fsdd import SpokenDigits
from simulator.base.errors import InputError
from tests.bimhw.models import test_delays


@pytest.fixture(scope="module")
def tones() -> SpokenDigits:
    """Ten "digits": tones of 300 to 3000 Hz, in takes 0-11 of one speaker."""
    t = np.arange(1200) / 8000
    keys = [(digit, take) for digit in range(10) for take in range(12)]
    signals = tuple(np.sin(2 * np.pi * (300 + 300 * d + 3 * k) * t).astype(np.float32) for d, k in keys)
    digits, takes = (np.array([k[i] for k in keys]) for i in range(2))
    frames = tuple(FrontEnd().frames(s) for s in signals)
    return SpokenDigits(frames, digits, np.zeros(len(keys), int), takes, ("ann",), FrontEnd(), signals)


def test_strings_of_a_stream_are_those_of_training(tones: SpokenDigits) -> None:
    settings = CtcSettings(rule="rtrl", batch=2, strings=4, seed=1)
    feed, again = DigitStream(tones, settings), DigitStream(tones, settings)
    shown = [feed.at(t, torch.zeros(1)) for t in range(feed.steps + 2)]
    for t in reversed(range(feed.steps + 2)):
        for a, b in zip(shown[t], again.at(t, torch.zeros(1)), strict=True):
            assert a is not None and b is not None and torch.equal(a, b)
    strings = string_sets(tones, msgspec.structs.replace(settings, epochs=1)).train[0]
    assert torch.equal(shown[0][0][1], torch.from_numpy(strings.inputs[1][0]))
    trainer = stream_of(tones, 1, {"hidden": "4", "batch": 2, "strings": 4})
    assert trainer.run(30).labelled == 30
    assert set(trainer.judge()) == {"word_error_rate"}


def test_loss_is_the_sum_over_paths() -> None:
    """All 11^3 paths of three steps, those that read 4 7."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, SYMBOLS, generator=rng)
    loss = Ctc().loss(logits, transcripts(np.array([[4, 7]]), torch.tensor([3])))
    p = torch.softmax(logits[:, 0], -1).numpy()
    total = sum(
        float(p[0, a] * p[1, b] * p[2, c])
        for a, b, c in itertools.product(range(SYMBOLS), repeat=3)
        if best_path(np.eye(SYMBOLS)[[a, b, c]]) == [4, 7]
    )
    assert float(loss) == pytest.approx(-np.log(total) / 2, rel=1e-5)  # torch divides by the length of the target
    steps = EachStep().loss(logits, padded_labels([np.array([4, BLANK, 7])]))
    assert float(steps) == pytest.approx(-np.log(p[0, 4] * p[1, BLANK] * p[2, 7]) / 3, rel=1e-5)


def test_sets_are_repeatable_and_apart(tones: SpokenDigits) -> None:
    settings = CtcSettings(epochs=2, strings=5)
    a, b = string_sets(tones, settings), string_sets(tones, settings)
    np.testing.assert_array_equal(a.test.inputs[0], b.test.inputs[0])
    assert len(a.test.inputs) == 200
    assert a.n_in == 64
    other = string_sets(tones, CtcSettings(epochs=2, strings=5, seed=7))
    np.testing.assert_array_equal(a.test.digits, other.test.digits)
    assert not np.array_equal(a.train[0].digits, other.train[0].digits)
    assert not np.array_equal(a.train[0].digits, a.train[1].digits)


def test_padding_does_not_change_what_is_read(tones: SpokenDigits) -> None:
    sets = string_sets(tones, CtcSettings(epochs=1, strings=2))
    model = build("gru", sets.n_in, SYMBOLS, 8, 0)
    together = decode(model, sets.test.inputs[:6])
    assert together == [decode(model, [f])[0] for f in sets.test.inputs[:6]]


def test_learns_tones(tones: SpokenDigits) -> None:
    settings = CtcSettings(epochs=5, strings=64, batch=16, lr=0.03)
    sets = string_sets(tones, settings)
    model = build("gru", sets.n_in, SYMBOLS, 32, 0)
    result = fit_ctc(model, model, sets, settings)
    assert result.errors.words == 1000
    assert result.errors.rate < 0.8
    assert (result.updates, result.strings) == (20, 320)


def test_runs_on_bim_and_as_a_point(tones: SpokenDigits) -> None:
    row = Row("x", "bim-ctc", {"hidden": (8,), "epochs": 1, "strings": 4}, seeds=1)
    point = run_point(tones, "connected", row, row.options, 0, False)
    assert point.word_error_rate is not None
    assert 0 < point.word_error_rate <= 1.5
    assert point.rate is not None


@pytest.mark.parametrize("residual", [False, True])
def test_the_loss_of_transcripts_reaches_delays_and_all_layers(residual: bool) -> None:
    """Against autograd of the network written out, in double precision."""
    config = BimConfig(
        n_in=3, hidden=(5, 5, 4), n_out=4, theta=0.2, hidden_delays=4, channel_delays=2, residual=residual
    )
    x, found = test_delays.spikes_in(14), []
    y = Transcripts(torch.tensor([1, 2, 3, 2, 2]), torch.tensor([14, 12]), torch.tensor([3, 2]))
    for forward in (lambda net: run_compiled(net, x).logits, lambda net: test_delays.reference(net, x)):
        net = test_delays.network(config)
        Ctc(blank=0).loss(forward(net), y).backward()
        found.append({n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None})
    test_delays.equal(*found)
    assert {"layers.0.delay", "layers.1.delay", "layers.2.delay"} <= found[0].keys()


def test_delays_are_trained_by_transcripts(tones: SpokenDigits) -> None:
    options = {"hidden": (8, 6), "hidden_delays": 6, "channel_delays": 3}
    result = train_speech(tones, rule="ctc", epochs=1, strings=4, batch=2, lr=0.3, **options)
    before = BimNet(result.model.config)
    for i in range(2):
        assert not torch.equal(result.model.layer(i).get_parameter("delay"), before.layer(i).get_parameter("delay"))


def test_divergence_is_said(tones: SpokenDigits) -> None:
    settings = CtcSettings(epochs=1, strings=4)
    sets = string_sets(tones, settings)
    broken = replace(sets, train=(replace(sets.train[0], inputs=tuple(f * np.nan for f in sets.train[0].inputs)),))
    model = build("gru", sets.n_in, SYMBOLS, 8, 0)
    with pytest.raises(InputError, match="diverged"):
        fit_ctc(model, model, broken, settings)


def test_labels_stand_where_the_digits_are(tones: SpokenDigits) -> None:
    """Sample by sample: the label of a step is that of its middle sample, and every digit has steps of its own."""
    strings = digit_strings(tones, np.arange(len(tones.digits)), count=5, seed=3)
    front = tones.front
    for digits, spans, frames in zip(strings.digits, strings.spans, strings.frames, strict=True):
        assert (np.diff(spans, axis=1) == 1200).all(), "a tone's samples"
        assert ((spans[1:, 0] - spans[:-1, 1]) >= 400).all(), "at least 50 ms of silence"
        truth = np.full(int(spans[-1, 1]) + 4000, BLANK)
        for digit, (start, end) in zip(digits, spans, strict=True):
            truth[(start + end) // 2 : end + 400] = digit
        steps = len(frames) // 2
        labels = step_labels(steps, digits, spans, front)
        assert labels.tolist() == [truth[2 * s * front.hop + (front.hop + front.window) // 2] for s in range(steps)]
        assert best_path(np.eye(SYMBOLS)[labels]) == digits.tolist(), "what decoding would read from perfect scores"


def test_learns_tones_online(tones: SpokenDigits) -> None:
    settings = CtcSettings(rule="rtrl", epochs=1, strings=96, batch=16, lr=0.01, smooth=3)
    sets = string_sets(tones, settings)
    config = BimConfig(n_in=sets.n_in, hidden=(32,), n_out=SYMBOLS, psp="delta")
    result = fit_online(BimNet(config), sets, settings)
    frozen = fit_online(BimNet(config), sets, msgspec.structs.replace(settings, rule="frozen"))
    assert result.errors.rate < min(0.5, frozen.errors.rate)
    assert result.updates == sum(max(len(x) for x in sets.train[0].inputs[i : i + 16]) for i in range(0, 96, 16))
    with pytest.raises(InputError, match="Rules: rtrl, hybrid"):
        fit_online(BimNet(config), sets, msgspec.structs.replace(settings, rule="bptt"))


def test_learns_tones_by_labelled_steps(tones: SpokenDigits) -> None:
    settings = CtcSettings(loss="steps", epochs=5, strings=64, batch=16, lr=0.03, smooth=2)
    sets = string_sets(tones, settings)
    model = build("gru", sets.n_in, SYMBOLS, 32, 0)
    assert fit_ctc(model, model, sets, settings).errors.rate < 0.2
    for wrong in ({"loss": "frames"}, {"smooth": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            CtcSettings(**wrong)


@given(length=st.integers(1, 6), steps=st.integers(1, 8))
def test_moving_mean_is_a_mean(length: int, steps: int) -> None:
    x = np.random.default_rng(length).normal(size=(steps, 3))
    brute = [x[max(0, t + 1 - length) : t + 1].mean(0) for t in range(steps)]
    np.testing.assert_allclose(moving_mean(x, length), brute, atol=1e-12)


@pytest.mark.parametrize("rule", ["bptt", "rtrl"])
def test_a_run_that_is_broken_off_gives_the_same_weights(tones: SpokenDigits, tmp_path: Path, rule: str) -> None:
    """Broken off after three batches of an epoch, by the interrupt that Ctrl-C raises; with pruning, which strings have too."""
    options = {"rule": rule, "hidden": "8", "epochs": 2, "strings": 20, "batch": 4, "prune": 0.5, "prune_every": 3}
    whole = train_speech(tones, 0, **options)
    saved, seen = Saved(tmp_path / "run.pt"), []

    def stop(count: int) -> None:
        seen.append(count)
        if len(seen) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_speech(tones, 0, saved=saved, progress=stop, **options)
    again = train_speech(tones, 0, saved=saved._replace(resume=True), **options)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert (whole.result.updates, whole.result.errors) == (again.result.updates, again.result.errors)
    masked = whole.model.layer(0).weight("in")
    assert 0.3 < float((masked == 0).float().mean()) < 0.7
    with pytest.raises(InputError, match="epochs is 2 there, 3 in this run"):
        train_speech(tones, 0, saved=saved._replace(resume=True), **(options | {"epochs": 3}))
    with pytest.raises(InputError, match="--resume"):
        train_speech(tones, 0, saved=saved, **options)
