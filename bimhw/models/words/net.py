"""Words in and out of a model: an embedding for what it reads, an adaptive softmax for what it predicts (Grave et al. 2017).

The readout y [R] of the model between holds the scores of the shortlist (S words), one score of each cluster, and the
clusters' projections::

    log p(w) = logsoftmax(y[:S + clusters])_w                                                    w in the shortlist
    log p(w) = logsoftmax(y[:S + clusters])_(S + k) + logsoftmax(T_k y[projection k])_w          w in cluster k

All of y is linear in the model's features, so a chip computes it as its readout; the tables (embedding and T_k) stay on the host.
A cluster costs work only where one of its words is due.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.models.bim.net import BimNet, Init
from bimhw.models.words.config import Cluster, WordsConfig


class AdaptiveWords(nn.Module):
    """The tables of a vocabulary.

    Args:
        width: of the embedding.
        shortlist: words with a score of their own.
        clusters: of the words behind them.
        seed: of the initial tables: the embedding N(0, 1), a cluster's N(0, 1 / width).
    """

    def __init__(self, width: int, shortlist: int, clusters: tuple[Cluster, ...], seed: int = 0) -> None:
        super().__init__()
        self.shortlist, self.clusters = shortlist, clusters
        generator = torch.Generator().manual_seed(seed)
        size = shortlist + sum(c.size for c in clusters)
        table = torch.randn(size, width, generator=generator)
        self.embedding = nn.Embedding(size, width, _weight=table, sparse=True)
        self.tails = nn.ModuleList(nn.Linear(c.width, c.size, bias=False) for c in clusters)
        with torch.no_grad():
            for c, tail in zip(clusters, self.tails, strict=True):
                tail.get_parameter("weight").normal_(generator=generator).mul_(c.width**-0.5)

    def inputs(self, symbols: Tensor) -> Tensor:
        """Return the embedding [.., D] of words [..]; an index below 0 is silence."""
        rows: Tensor = self.embedding(symbols.clamp(min=0))
        return rows if int(symbols.min()) >= 0 else rows * (symbols >= 0).unsqueeze(-1)

    def nats(self, outputs: Tensor, symbols: Tensor) -> Tensor:
        """Return -log p of words [n], given the readout's outputs [n, R]."""
        head, *projected = self.parts(outputs)
        of_head, rows = self.places(symbols)
        nats = functional.cross_entropy(head, of_head, reduction="none")
        for tail, part, (due, within) in zip(self.tails, projected, rows, strict=True):
            if len(due):
                nats = nats.index_add(0, due, functional.cross_entropy(tail(part[due]), within, reduction="none"))
        return nats

    def parts(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Split what the readout gives into the head and the projection of each cluster."""
        heads = self.shortlist + len(self.clusters)
        return torch.split(outputs, [heads, *(c.width for c in self.clusters)], -1)

    def places(self, symbols: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return the class of each word in the head, and for each cluster which words are its own, and which these are."""
        ends = torch.tensor([self.shortlist, *(c.size for c in self.clusters)], device=symbols.device).cumsum(0)
        place = torch.bucketize(symbols, ends, right=True)  # 0: the shortlist, k: cluster k
        rows = [(place == k).nonzero().squeeze(1) for k in range(1, len(ends))]
        within = [(due, symbols[due] - end) for due, end in zip(rows, ends, strict=False)]
        return torch.where(place > 0, self.shortlist + place - 1, symbols), within


class WordNet(nn.Module):
    """A BIM network between an embedding and an adaptive softmax.

    Args:
        config: the shape.
        seed: of the initial weights.
        init: scales of those of the BIM network.
    """

    def __init__(self, config: WordsConfig, seed: int = 0, init: Init | None = None) -> None:
        super().__init__()
        self.config = config
        self.words = AdaptiveWords(config.core.n_in, config.shortlist, config.clusters, seed)
        self.core = BimNet(config.core, seed, init)

    @torch.no_grad()
    def payloads(self, symbols: Tensor) -> Tensor:
        """Return what a chip is sent for words [..]: the embedding [.., D] in whole units of the core's ``input_scale``."""
        return (self.words.inputs(symbols) / self.config.core.input_scale).round().int()
