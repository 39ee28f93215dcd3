"""Language models: the score against a count by hand, learning, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bimhw.cli.commands.train import command
from bimhw.learning.checkpoints import Saved
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.objectives.blocks import ByBlocks
from bimhw.learning.objectives.language import (
    LANGUAGE_INIT,
    LanguageSettings,
    language_config,
    online_loop,
    train_language,
)
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.learning.objectives.scoring import bim_forward, cut_streams, one_hot, score_text, score_whole
from bimhw.learning.objectives.text_batches import TextBatches
from bimhw.learning.saved_words import saved_words
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.tasks.sources.text import Corpus, character_corpus
from simulator.base.errors import InputError


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return character_corpus("abcd, efgh. " * 900, "low")


def test_streams_are_stretches_of_the_text() -> None:
    ids = np.arange(23, dtype=np.int32)
    streams = cut_streams(ids, 4)
    assert streams.T.tolist() == [list(range(k * 5, k * 5 + 5)) for k in range(4)]
    batches = TextBatches(streams, lambda symbols: symbols, 2, whole=True).batches(1)
    assert [(b.x[:, 1].tolist(), b.y[:, 1].tolist()) for b in batches] == [([5, 6], [6, 7]), ([7, 8], [8, 9])]
    with pytest.raises(InputError, match="longer text"):
        cut_streams(ids, 12)


def test_score_is_the_sum_over_scored_symbols(corpus: Corpus) -> None:
    """Against a step-by-step run of one stream after the other."""
    net = BimNet(language_config(corpus, hidden=(8,)), seed=3)
    torch.nn.init.normal_(net.readout.weight, std=2.0, generator=torch.Generator().manual_seed(0))
    size, ids = len(corpus.symbols), corpus.whole_train[:320]
    nll, tokens = score_text(bim_forward(net), ids, size, streams=4, skip=7, chunk=13)
    expected = 0.0
    with torch.no_grad():
        for stream in ids.reshape(4, 80):
            logits = net(one_hot(torch.from_numpy(stream[:-1]).long(), size)[:, None])[:, 0]
            log_p = torch.log_softmax(logits, -1)
            expected -= sum(float(log_p[t, stream[t + 1]]) for t in range(7, 79))
    assert tokens == 4 * (79 - 7)
    assert nll == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("n", "streams", "warm"), [(321, 4, 7), (16, 16, 3), (50, 7, 0), (33, 8, 11)])
def test_the_whole_score_counts_every_symbol_once(corpus: Corpus, n: int, streams: int, warm: int) -> None:
    """Against one stream at a time: `warm` symbols of context, silence before the text."""
    net = BimNet(language_config(corpus, hidden=(8,)), seed=3)
    torch.nn.init.normal_(net.readout.weight, std=2.0, generator=torch.Generator().manual_seed(0))
    size, ids = len(corpus.symbols), corpus.whole_train[:n]
    nll, tokens = score_whole(bim_forward(net), ids, size, streams, warm, chunk=13)
    expected, length = 0.0, -(-n // streams)
    with torch.no_grad():
        for first in range(0, n, length):
            stop = min(first + length, n)
            before = np.array([-1 if k < 0 else ids[k] for k in range(first - warm - 1, stop - 1)])
            log_p = torch.log_softmax(net(one_hot(torch.from_numpy(before).long(), size)[:, None])[:, 0], -1)
            expected -= sum(float(log_p[warm + t - first, ids[t]]) for t in range(first, stop))
    assert tokens == n
    assert nll == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rule", ["rtrl", "tbptt"])
def test_learns_a_repeating_text(corpus: Corpus, rule: str) -> None:
    config = language_config(corpus, hidden=(16,))
    few = LanguageSettings(rule=rule, batch=8, epochs=3 if rule == "rtrl" else 8, lr=0.03, symbols=1600)  # type: ignore[arg-type]
    result = train_language(corpus, config, few)
    again = train_language(corpus, config, few)
    assert result.score.bits_per_character == again.score.bits_per_character
    assert result.score.bits_per_character < 0.9
    assert result.score.perplexity == pytest.approx(2**result.score.bits_per_character)
    assert result.updates == (3 * 199 if rule == "rtrl" else 8 * 12)
    assert 0 < result.rates[0] < 1


def test_frozen_hidden_layers_stay(corpus: Corpus) -> None:
    config = language_config(corpus, hidden=(8,))
    result = train_language(corpus, config, LanguageSettings(rule="frozen", symbols=400))
    fresh = BimNet(config, 0, LANGUAGE_INIT)
    torch.testing.assert_close(result.model.layer(0).weight("in"), fresh.layer(0).weight("in"))
    assert not torch.equal(result.model.readout.weight, fresh.readout.weight)


@pytest.mark.parametrize("rule", ["rtrl", "tbptt", "hybrid"])
def test_a_text_that_is_broken_off_gives_the_same_weights(corpus: Corpus, tmp_path: Path, rule: str) -> None:
    """State, traces and optimiser go on within a pass."""
    config = language_config(corpus, hidden=(8,))
    few = LanguageSettings(rule=rule, batch=4, epochs=2, symbols=1200, window=32, prune=0.4)
    whole = train_language(corpus, config, few)
    saved, seen = Saved(tmp_path / "run.pt"), []

    def stop(count: int) -> None:
        seen.append(count)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_language(corpus, config, few, progress=stop, saved=saved)
    again = train_language(corpus, config, few, saved=saved._replace(resume=True))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert (whole.score, whole.updates) == (again.score, again.updates)


def test_tuning_scores_the_validation_part(corpus: Corpus) -> None:
    config = language_config(corpus, hidden=(4,))
    result = train_language(corpus, config, LanguageSettings(rule="frozen", batch=2, symbols=64), tuning=True)
    assert result.score.tokens <= len(corpus.validation)
    assert result.score.tokens < len(corpus.test)
    whole = train_language(corpus, config, LanguageSettings(rule="frozen", batch=2, symbols=64))
    assert whole.score.tokens == 16 * (len(corpus.test) // 16 - 51)


def test_saved_words_counts_what_autograd_keeps() -> None:
    x, w = torch.ones(7, 3), torch.ones(3, 5, requires_grad=True)
    with saved_words() as counter:
        y = (x @ w).tanh()
    assert counter.words == 7 * 3 + 7 * 5
    assert y.requires_grad
    with saved_words(active=False) as off:
        (x @ w).tanh()
    assert off.words == 0


def test_refuses(corpus: Corpus) -> None:
    for options, said in [
        ({"rule": "seq"}, "sequences with an end"),
        ({"rule": "no"}, "Rules: rtrl"),
        ({"rule": "tbptt", "optimiser": "sgd"}, "rule tbptt has none"),
        ({"lr": 0.0}, "lr"),
        ({"batch": 0}, "batch"),
    ]:
        with pytest.raises(InputError, match=said):
            LanguageSettings(**options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="37 symbols"):
        train_language(corpus, language_config(corpus, n_in=5, n_out=5))
    with pytest.raises(InputError, match="does not exist for a text"):
        language_recipe(corpus, strings=3)
    with pytest.raises(InputError, match="Presets: online, words, deep"):
        language_recipe(corpus, preset="level")
    with pytest.raises(InputError, match="integers separated by commas"):
        language_recipe(corpus, hidden="a")
    with pytest.raises(InputError, match="diverged"):
        train_language(
            corpus, language_config(corpus, hidden=(4,)), LanguageSettings(rule="frozen", lr=1e38, symbols=3000)
        )


def test_command(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("abcd, efgh. " * 900)
    model = tmp_path / "m.pt"
    arguments = [
        "lm",
        "--data",
        str(text),
        "--hidden",
        "8",
        "--rule",
        "tbptt",
        "--json",
        "--window",
        "8",
        "-o",
        str(model),
    ]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["bits_per_character"] == pytest.approx(facts["nll_nats"] / math.log(2) / facts["test_characters"])
    assert model.is_file()
    assert isinstance(
        CliRunner().invoke(command, ["lm", "--data", str(text), "--credit", "nothing"]).exception, InputError
    )


def test_presets_of_a_text_can_be_changed() -> None:
    corpus = character_corpus("abc " * 50)
    config, settings, init = language_recipe(corpus, 3, preset="online", lr=0.5, gain_in=2.0, delays="0,1")
    assert (settings.form, settings.block, settings.batch, settings.lr, settings.seed) == ("tr", 4, 16, 0.5, 3)
    assert (config.k_o, config.input_delays) == (0.2, (0, 1))
    assert (init.gain_in, init.delta_max) == (2.0, 1.0)
    assert language_recipe(corpus).init == LANGUAGE_INIT
    deep = language_recipe(corpus, preset="deep")
    assert (deep.config.hidden, deep.settings.epochs, deep.config.detach_reset) == ((128, 128), 3, False)


def test_a_text_is_pruned_while_it_is_learnt(corpus: Corpus) -> None:
    config, settings, init = language_recipe(
        corpus, 0, hidden="12", batch=8, prune=0.4, prune_readout=True, form="tr", block=4
    )
    model = train_language(corpus, config, settings, init).model
    masks = [b for n, b in model.named_buffers() if ".mask_" in n]
    assert len(masks) == 3
    for mask in masks:
        assert 0.25 < 1 - float(mask.float().mean()) <= 0.45
    assert float((model.readout.weight == 0).float().mean()) > 0.25


def test_traces_that_do_not_fit_are_said_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from bimhw.learning.forms import rtrl
    from simulator.base import host_memory

    net = BimNet(BimConfig(n_in=40, hidden=(8,), n_out=3))
    rtrl.RtrlLearner(net, 2)
    monkeypatch.setattr(rtrl, "_LARGE", 1)
    monkeypatch.setattr(host_memory, "available_bytes", lambda: 10_000)
    with pytest.raises(InputError, match=r"the traces of 2 sequences.*vocabulary=1000"):
        rtrl.RtrlLearner(net, 2)


def test_a_large_vocabulary_is_read_in_shorter_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights bit for bit, the same score up to the order of its sum."""
    from bimhw.learning.objectives import scoring

    corpus = character_corpus("the cat sat on the mat. " * 700, "az")
    results = []
    for held in (2**26, 8 * 16 * 27):
        monkeypatch.setattr(scoring, "_HELD", held)
        results.append(
            train_language(corpus, language_config(corpus, hidden=(8,)), LanguageSettings(batch=4, symbols=200))
        )
    assert results[0].score.nll_nats == pytest.approx(results[1].score.nll_nats, rel=1e-6)
    assert results[0].score.tokens == results[1].score.tokens and results[0].updates == results[1].updates
    weights = [r.model.state_dict() for r in results]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("hidden", ["12", "8,8"])
@pytest.mark.parametrize("form", ["tr", "blk"])
def test_blocks_at_once_learn_what_single_steps_learn(
    form: str, hidden: str, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the rounding of products of several steps at once; a rest that fills no block is learnt step by step."""
    config, settings, init = language_recipe(
        corpus, 0, hidden=hidden, batch=4, form=form, block=5, lookback=3, credit="exact", symbols=1000
    )
    streams = cut_streams(corpus.train[:1000], 4)
    nets, blocks = [], []
    whole = SweepLearner.learn_block
    monkeypatch.setattr(ByBlocks, "_takes_windows", lambda *_: False)  # one loop over all windows: test_stretch
    monkeypatch.setattr(SweepLearner, "learn_block", lambda *given: blocks.append(1) or whole(*given))
    for at_once in (True, False):
        net = BimNet(config, 0, init)
        loop = online_loop(net, streams, settings)
        if not at_once:
            monkeypatch.setattr(SweepLearner, "takes_blocks", False)
        loop.run(1, lambda _: None)
        nets.append(net.state_dict())
    assert len(blocks) == 249 // 5
    for name, value in nets[0].items():
        assert torch.allclose(value, nets[1][name], atol=2e-5), name
