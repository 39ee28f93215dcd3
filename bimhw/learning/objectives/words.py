"""Learning of word models: the BIM network by a rule of its own, the tables of the vocabulary row by row.

The loss of a step is that of the adaptive softmax (`bimhw.models.words.net`). Its gradient is exact for the readout, the clusters
and, as the rule gives it, the network. What the rows of the embedding get::

    rtrl   the part of dL/du that the newest step passes on (the network's own gradient stays exact)
    tr     dL/du of the whole window, exact within it
    tbptt  the same of its window

A row of the embedding moves when its word was read, a cluster when one of its words was due: no work grows with the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bimhw.learning.averaging import averaged
from bimhw.learning.checkpoints import Content
from bimhw.learning.dropout import dropped
from bimhw.learning.forms.learner import Gradients, Learner, StepResult, softmax_error
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.loop import Batch, Learnt, Loop
from bimhw.learning.methods import ByAutograd, Clock
from bimhw.learning.objectives.blocks import ByBlocks
from bimhw.learning.objectives.classes import EachStep
from bimhw.learning.objectives.scoring import Carried, Forward, Symbols, bim_forward
from bimhw.learning.objectives.text_batches import STRETCH, TextBatches
from bimhw.learning.objectives.text_settings import LanguageSettings
from bimhw.learning.optim import Moments, adam
from bimhw.learning.rules.registry import gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.updater import Updater
from bimhw.models.words.net import AdaptiveWords, WordNet
from simulator.base.errors import check_fields
from simulator.base.schedule import learning_rate


class RowAdam:
    """Adam for a vocabulary's tables and what is trained with them: rows and clusters without a gradient stand still.

    Args:
        words: the tables.
        others: further parameters.
    """

    def __init__(self, words: AdaptiveWords, others: Sequence[nn.Parameter] = ()) -> None:
        self.row = words.embedding.weight
        self.dense = [*words.tails.parameters(), *(p for p in others if p.requires_grad)]
        self._moments = [Moments(torch.zeros_like(p), torch.zeros_like(p), 0) for p in (self.row, *self.dense)]

    def squares(self) -> float:
        """Return the sum of the squares of all gradients."""
        self._coalesce()
        given = [p.grad for p in self.dense if p.grad is not None]
        sparse = [] if self.row.grad is None else [self.row.grad.values()]
        return float(sum((g.square().sum() for g in (*given, *sparse)), torch.zeros(())))

    def step(self, lr: float, scale: float = 1.0) -> None:
        """Update by the gradients times `scale`, and clear them."""
        self._coalesce()
        for i, (p, (first, second, count)) in enumerate(zip((self.row, *self.dense), self._moments, strict=True)):
            if p.grad is None:
                continue
            self._moments[i] = moments = Moments(first, second, count + 1)
            if p.grad.is_sparse:
                self._rows(p.detach(), p.grad.indices()[0], _scaled(p.grad.values(), scale), moments, lr)
            else:
                flat = Moments(first.view(-1), second.view(-1), count + 1)
                adam(p.detach().view(-1), _scaled(p.grad, scale).view(-1), flat, lr)
            p.grad = None

    @staticmethod
    def _rows(table: Tensor, rows: Tensor, g: Tensor, moments: Moments, lr: float) -> None:
        held = [t[rows] for t in (table, moments.first, moments.second)]
        values, first, second = (t.view(-1) for t in held)
        adam(values, g.view(-1), Moments(first, second, moments.updates), lr)
        for t, new in zip((table, *moments[:2]), held, strict=True):
            t[rows] = new

    def _coalesce(self) -> None:
        if self.row.grad is not None and not self.row.grad.is_coalesced():
            self.row.grad = self.row.grad.coalesce()

    def state(self) -> Content:
        """Return all that `load` needs."""
        return {"moments": [(first.clone(), second.clone(), count) for first, second, count in self._moments]}

    def load(self, state: Content) -> None:
        """Continue from `state`."""
        for i, (moments, (first, second, count)) in enumerate(zip(self._moments, state["moments"], strict=True)):
            self._moments[i] = Moments(moments.first.copy_(first), moments.second.copy_(second), int(count))


def _scaled(g: Tensor, scale: float) -> Tensor:
    return g if scale == 1.0 else g * scale


class RowDescent:
    """Descent of a whole word model by `RowAdam`, with a cosine decay and clipped gradients; see `Descent`.

    Args:
        words: the tables.
        others: what lies between them.
        settings: learning rate and limit of the norm (0: 1).
        total: updates over which the rate decays.
    """

    def __init__(
        self, words: AdaptiveWords, others: Sequence[nn.Parameter], settings: TrainSettings, total: int
    ) -> None:
        self.adam, self.settings, self.total, self.updates = RowAdam(words, others), settings, total, 0

    def step(self, loss: Tensor) -> None:
        """See `Descent`."""
        loss.backward()  # type: ignore[no-untyped-call]
        s = self.settings
        scale = min(1.0, (s.clip or 1.0) / max(self.adam.squares() ** 0.5, 1e-30))
        self.adam.step(learning_rate(s.lr, s.lr_end, self.updates / self.total), scale)
        self.updates += 1

    def finish(self) -> None:
        """See `Descent`."""

    def state(self) -> Content:
        """See `Descent`."""
        return self.adam.state() | {"updates": self.updates}

    def load(self, state: Content) -> None:
        """See `Descent`."""
        self.updates = int(state["updates"])
        self.adam.load(state)


@torch.no_grad()
def word_errors(words: AdaptiveWords, outputs: Tensor, symbols: Tensor, weight: float) -> tuple[float, Tensor]:
    """Return the mean -log p and `weight` times its gradient at the outputs; add that of the clusters to their ``grad``."""
    error = torch.zeros_like(outputs)
    (head, *projected), (to_head, *below) = words.parts(outputs), words.parts(error)
    of_head, rows = words.places(symbols)
    loss, gradient = softmax_error(head, of_head, weight)
    to_head.copy_(gradient)
    for tail, part, to_part, (due, within) in zip(words.tails, projected, below, rows, strict=True):
        if not len(due):
            continue
        share, read, table = len(due) / len(symbols), part[due], tail.get_parameter("weight")
        more, gradient = softmax_error(read @ table.T, within, weight * share)
        loss += share * more
        to_part[due] = gradient @ table
        own = gradient.T @ read
        table.grad = own if table.grad is None else table.grad.add_(own)
    return loss, error


class ByRuleBetweenWords(ByBlocks):
    """A forward rule for the network between the tables; their gradients come from its two ends.

    Args:
        net: the word model.
        settings: the rule and its numbers.
        clock: counts the steps, for the learning rate.
    """

    def __init__(self, net: WordNet, settings: TrainSettings, clock: Clock) -> None:
        super().__init__(Updater(net.core, settings, clock.total, clock.share), clock)
        self.words, self.trained, self.adam = net.words, net, RowAdam(net.words)
        self._taps = net.config.core.input_delays
        self._read: list[Tensor] = []  # words of the newest steps [B], oldest first

    def learn(self, batch: Batch[Tensor]) -> Learnt:
        """See `Method`; x [T, B] are words."""
        if batch.begins:
            self._read = []
        return super().learn(batch)

    def _begin(self, lanes: int) -> Learner:
        learner = self.updater.learner(lanes)
        assert isinstance(learner, RtrlLearner | SweepLearner)
        learner.loss_of, learner.sends_below = partial(word_errors, self.words), True
        return learner

    def _observe(self, learner: Learner, u: Tensor, y: Tensor | None) -> StepResult:
        self._read.append(u)
        with torch.no_grad():
            result = learner.observe(self.words.inputs(u), y)
        if result.gradients is not None:
            assert isinstance(learner, RtrlLearner | SweepLearner)
            self._update(learner.below, result.gradients)
        return result

    def _block(self, learner: SweepLearner, x: Tensor, y: Tensor) -> float:
        self._read += x.unbind(0)
        with torch.no_grad():
            loss, gradients = learner.learn_block(self.words.inputs(x), y)
        self._update(learner.below, gradients)
        return loss

    def _update(self, below: Tensor | None, gradients: Gradients) -> None:
        s = self.updater.settings
        if below is not None:  # rule frozen sends nothing
            self.words.embedding.weight.grad = self._rows(below)
        scale, lr = 1.0, self.updater.lr
        if s.clip:
            own = sum(float(g.square().sum()) for g in gradients.values())
            scale = min(1.0, s.clip / max((own + self.adam.squares()) ** 0.5, 1e-30))
            gradients = {name: g * scale for name, g in gradients.items()}
        self.updater.update(gradients)
        self.adam.step(lr, scale)
        keep = max(self._taps) + s.lookback
        del self._read[: max(len(self._read) - keep, 0)]

    def _rows(self, below: Tensor) -> Tensor:
        """Return the gradient of the embedding from dL/du [T, B, taps D]: each tap's part goes to the word that it saw."""
        symbols: list[Tensor] = []
        parts: list[Tensor] = []
        for delay, part in zip(self._taps, below.chunk(len(self._taps), -1), strict=True):
            end = len(self._read) - delay
            seen = self._read[max(end - len(part), 0) : max(end, 0)]
            symbols += seen
            parts += part[len(part) - len(seen) :]
        rows, values = torch.cat(symbols), torch.cat(parts)
        weight = self.words.embedding.weight
        return torch.sparse_coo_tensor(rows[None], values, weight.shape, check_invariants=False)

    def state(self) -> Content:
        """See `Method`."""
        return super().state() | {"tables": self.adam.state(), "read": list(self._read)}

    def load(self, state: Content) -> None:
        """See `Method`."""
        super().load(state)
        self.adam.load(state["tables"])
        self._read = list(state["read"])


class EachWord(EachStep):
    """The next word at every step, by the adaptive softmax."""

    def __init__(self, words: AdaptiveWords) -> None:
        self.words = words

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """See `Objective`; logits are the readout's outputs [T, B, R], y [T, B]."""
        return self.words.nats(logits.flatten(0, 1), y.flatten()).mean()


def word_symbols(words: AdaptiveWords) -> Symbols:
    """Return how a word model reads words and is scored on them."""
    return Symbols(words.inputs, lambda y, s: words.nats(y, s).sum(), words.embedding.num_embeddings)


def check_words(settings: TrainSettings) -> None:
    """Raise `InputError` for what the tables of a vocabulary do not have."""
    stdp, single = learning_rule(settings.rule).stdp, gradient_form(settings.form).single
    rules = (
        ("rule", not stdp, "has no form for word models"),
        ("form", not single, "works on one sequence at a time, and word models read streams"),
        ("optimiser", settings.optimiser == "adam", "is not for the tables of a vocabulary"),
        ("lr_hidden", settings.lr_hidden == 1, "is not for the tables of a vocabulary"),
        ("credit", settings.credit != "local", "takes each output of the readout for a class"),
        ("prune", not settings.prune, "is set, and word models are not pruned"),
    )
    check_fields("training setting ", settings, rules, "Leave it out")


def words_loop(net: WordNet, symbols: Tensor, settings: LanguageSettings) -> Loop[Tensor]:
    """Return the loop that trains a word model on streams [T, B], online or by truncated BPTT."""
    if settings.rule == "tbptt":
        return words_by_autograd(net.words, net.core, bim_forward(net.core), symbols, settings)
    clock = Clock(settings.epochs * (len(symbols) - 1))
    source = TextBatches(symbols, _as_they_are, STRETCH, whole=False)
    return Loop(ByRuleBetweenWords(net, settings, clock), source, settings.lr)


def words_by_autograd(
    words: AdaptiveWords,
    core: nn.Module,
    forward: Forward,
    symbols: Tensor,
    settings: LanguageSettings,
) -> Loop[Tensor]:
    """Return the loop of truncated BPTT for any model between the tables; arguments as of `text_by_autograd`."""
    source = TextBatches(symbols, _as_they_are, settings.window, whole=True)
    total = settings.epochs * len(source.starts)

    def run(x: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        return forward(words.inputs(x), state)

    trained = nn.ModuleDict({"words": words, "core": core})
    adam = RowDescent(words, list(core.parameters()), settings, total)
    descent = averaged(trained, adam, settings.average, total)
    method = ByAutograd(trained, dropped(core, run, settings), EachWord(words), descent, carry=True, count=True)
    return Loop(method, source, settings.lr)


def _as_they_are(symbols: Tensor) -> Tensor:
    return symbols
