"""Word models: the adaptive softmax against torch's, gradients against autograd, training, resuming and files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.learning.checkpoints import Saved
from bimhw.learning.loop import Batch
from bimhw.learning.methods import Clock
from bimhw.learning.objectives.language import WORDS_INIT, LanguageSettings, train_language, words_config
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.learning.objectives.words import ByRuleBetweenWords, RowAdam, words_loop
from bimhw.models.io import load_arrays, load_model, save_model
from bimhw.models.registry import family_of
from bimhw.models.words.config import Cluster, WordsConfig, make_clusters
from bimhw.models.words.net import AdaptiveWords, WordNet
from bimhw.tasks.sources.text import Corpus, wikitext
from simulator.base.errors import InputError


def zipf(n: int, size: int, seed: int = 0) -> np.ndarray:
    weights = 1.0 / np.arange(1, size + 1)
    return np.random.default_rng(seed).choice(size, n, p=weights / weights.sum()).astype(np.int32)


def corpus_of(size: int, n: int = 500) -> Corpus:
    ids = zipf(n, size)
    symbols = tuple(f"w{i}" for i in range(size))
    return Corpus("zipf", symbols, ids, ids[:200], ids[:200], 5.0, "", words=True, official=True)


def test_clusters_cover_the_vocabulary() -> None:
    assert make_clusters(300, 128) == (300, ())
    first, clusters = make_clusters(267_735, 128)
    assert (first, [c.size for c in clusters]) == (1000, [9000, 90_000, 167_735])
    assert [c.width for c in clusters] == [32, 8, 2]


def test_nats_are_those_of_torch() -> None:
    """The readout holds head and projections of `torch.nn.AdaptiveLogSoftmaxWithLoss`."""
    torch.manual_seed(0)
    theirs = nn.AdaptiveLogSoftmaxWithLoss(16, 30, [5, 12], div_value=2.0).double()
    ours = AdaptiveWords(4, 5, (Cluster(7, 8), Cluster(18, 4))).double()
    for tail, (_, own) in zip(ours.tails, theirs.tail, strict=True):
        tail.weight.data.copy_(own.weight)
    x, y = torch.randn(200, 16, dtype=torch.float64), torch.randint(0, 30, (200,))
    weights = [theirs.head.weight, *(down.weight for down, _ in theirs.tail)]
    outputs = functional.linear(x, torch.cat(weights))
    assert torch.allclose(-ours.nats(outputs, y), theirs(x, y).output, atol=1e-12)


def model_of(taps: tuple[int, ...] = (0,), hidden: tuple[int, ...] = (6,)) -> WordNet:
    config = words_config(corpus_of(40), 5, shortlist=8, hidden=hidden, input_delays=taps)
    net = WordNet(config, 1, WORDS_INIT).double()
    with torch.no_grad():
        net.core.readout.weight.normal_(generator=torch.Generator().manual_seed(2))
    return net


def autograd(net: WordNet, symbols: Tensor, targets: Tensor) -> dict[str, Tensor]:
    net.words.embedding.sparse = False
    outputs = net.core.run(net.words.inputs(symbols)).logits
    nats = net.words.nats(outputs.flatten(0, 1), targets.flatten())
    net.zero_grad()
    (nats.sum() / targets.shape[1]).backward()
    gradients = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    return gradients


def test_rows_move_as_by_torch() -> None:
    """Clusters by Adam, rows of the embedding too: those without a gradient keep moments and place."""
    net, twin = model_of((0,)).words, model_of((0,)).words
    mine, table = RowAdam(net), twin.embedding.weight.detach().clone()
    theirs = torch.optim.Adam(twin.tails.parameters(), betas=(0.9, 0.99))
    rows = torch.zeros(2, *table.shape, dtype=table.dtype)
    rng = torch.Generator().manual_seed(0)
    for count in range(1, 4):
        symbols = torch.randint(0, 30, (7,), generator=rng)
        for tables in (net, twin):
            loss = tables.embedding(symbols).square().sum() + sum(p.sin().sum() for p in tables.tails.parameters())
            loss.backward()
        seen, g = symbols.unique(), twin.embedding.weight.grad.to_dense()
        for moment, beta, value in zip(rows, (0.9, 0.99), (g, g * g), strict=True):
            moment[seen] = beta * moment[seen] + (1 - beta) * value[seen]
        step = rows[0] / (1 - 0.9**count) / ((rows[1] / (1 - 0.99**count)).sqrt() + 1e-8)
        table[seen] -= 0.1 * step[seen]
        mine.step(0.1)
        theirs.param_groups[0]["lr"] = 0.1
        theirs.step()
        twin.zero_grad()
        with torch.no_grad():
            twin.embedding.weight.copy_(table)
        for a, b in zip(net.parameters(), twin.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-12)


class Caught(RowAdam):
    """Sums the gradients instead of moving by them."""

    def step(self, lr: float, scale: float = 1.0) -> None:
        held = self.__dict__.setdefault("sums", {})
        for p in (self.row, *self.dense):
            if p.grad is not None:
                held[p] = held.get(p, 0) + (p.grad.to_dense() if p.grad.is_sparse else p.grad) * scale
                p.grad = None


@pytest.mark.parametrize("taps", [(0,), (0, 2)])
@pytest.mark.parametrize("form", ["tr", "blk", "dense"])
def test_online_gradients_are_those_of_autograd(form: str, taps: tuple[int, ...]) -> None:
    """In every form for the network and the clusters; for the embedding where the form sweeps back over the window."""
    net, steps = model_of(taps), 9
    symbols = torch.from_numpy(zipf(steps * 3 + 3, 40, 5)).long().view(steps + 1, 3)
    expected = autograd(net, symbols[:-1], symbols[1:])
    settings = LanguageSettings(form=form, block=steps, lookback=0, lr=1e-30, lr_end=1.0)
    method = ByRuleBetweenWords(net, settings, Clock(100))
    method.adam = Caught(net.words)
    summed: dict[str, Tensor] = {}
    method.updater.update = lambda gradients: [summed.update({n: summed.get(n, 0) + g}) for n, g in gradients.items()]
    method.learn(Batch(symbols[:-1], symbols[1:], steps, ends=False))
    del summed["layers.0.a_log"]  # stands still
    for name, g in summed.items():
        assert torch.allclose(g, expected[f"core.{name}"], atol=1e-12), name
    sums = method.adam.sums
    for tail in net.words.tails.parameters():
        assert torch.allclose(sums[tail], expected[next(n for n, p in net.named_parameters() if p is tail)], atol=1e-12)
    row = sums[net.words.embedding.weight]
    if form != "dense":
        assert torch.allclose(row, expected["words.embedding.weight"], atol=1e-12)
    else:  # what the newest step passes on
        assert functional.cosine_similarity(row.flatten(), expected["words.embedding.weight"].flatten(), 0) > 0.5


@pytest.mark.parametrize("options", [{"clip": 1.0}, {"form": "tr", "block": 4, "lookback": 4}, {"rule": "tbptt"}])
def test_a_word_model_learns_and_goes_on_from_its_checkpoint(options: dict[str, object], tmp_path: Path) -> None:
    corpus = corpus_of(60)
    config, settings, init = language_recipe(corpus, 0, hidden="12", embedding=8, shortlist=10, batch=4, **options)
    whole = train_language(corpus, config, settings, init)
    assert whole.score.nll_nats / whole.score.tokens < np.log(60) - 0.1

    count = 0

    def stop(n: int) -> None:
        nonlocal count
        count += n
        if count > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_language(corpus, config, settings, init, progress=stop, saved=Saved(tmp_path / "c.pt"))
    again = train_language(corpus, config, settings, init, saved=Saved(tmp_path / "c.pt", resume=True))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_no_work_grows_with_the_vocabulary() -> None:
    """An update touches the rows that were read and the clusters that were due, and nothing else."""
    net = model_of()
    before = {n: v.clone() for n, v in net.state_dict().items()}
    symbols = torch.tensor([[0, 3], [1, 2], [3, 0]])  # of the shortlist
    words_loop(net.float(), symbols, LanguageSettings(batch=2)).run(1, lambda _: None)
    after = net.state_dict()
    moved = (before["words.embedding.weight"].float() != after["words.embedding.weight"]).any(1).nonzero().flatten()
    assert set(moved.tolist()) <= {0, 1, 2, 3} and len(moved)
    assert all(torch.equal(before[n].float(), after[n]) for n in before if "tails" in n)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_and_the_chip(suffix: str, tmp_path: Path) -> None:
    net = model_of((0, 1)).float()
    save_model(net, tmp_path / f"m{suffix}")
    config, arrays = load_arrays(tmp_path / f"m{suffix}")
    assert config == net.config and msgspec.convert(msgspec.to_builtins(config), WordsConfig) == config
    loaded = load_model(tmp_path / f"m{suffix}")
    assert all(torch.equal(v, loaded.state_dict()[n]) for n, v in net.state_dict().items())
    network = family_of(config).network(config, arrays)
    assert [p.name for p in network.populations] == ["input", "layer1", "readout"]
    symbols = torch.tensor([[0, 39], [-1, 7]])
    sent = net.payloads(symbols) * config.core.input_scale
    assert torch.allclose(sent, net.words.inputs(symbols), atol=config.core.input_scale / 2) and not sent[1, 0].any()


@pytest.mark.parametrize(
    "options",
    [{"rule": "hybrid"}, {"optimiser": "rms"}, {"lr_hidden": 0.5}, {"prune": 0.5}, {"rule": "tbptt", "prune": 0.5}],
)
def test_what_word_models_do_not_have(options: dict[str, object]) -> None:
    corpus = corpus_of(30)
    with pytest.raises(InputError, match=r"words|word models|vocabulary"):
        train_language(corpus, *language_recipe(corpus, 0, **options))


def test_wikitext_by_words_is_a_corpus_of_words(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / f"wiki.{split}.tokens").write_text(" a b b c \n \n = a = \n" * 30, encoding="utf-8")
    corpus = wikitext(tmp_path, level="word", vocabulary=3)
    assert corpus.words and len(corpus.symbols) == 4
    assert words_config(corpus).vocabulary == 4
    (tmp_path / "wiki.test.tokens").write_text("\n \n", encoding="utf-8")
    with pytest.raises(InputError, match="is empty"):
        wikitext(tmp_path, level="word")
