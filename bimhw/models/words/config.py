"""The shape of a word model: an embedding, a BIM network between, an adaptive softmax. Needs no torch."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.config import mask_shapes as core_masks
from bimhw.models.bim.config import parameter_shapes as core_shapes
from bimhw.models.config_rules import check_rules

FAMILY: Final = "words"
CORE, EMBEDDING = "core.", "words.embedding"
EMBEDDING_WIDTH = 64  # of a word
SHORTLIST = 1000  # words that have a score of their own in the readout
_GROWTH = 10  # a cluster ends at so many times the number of words before it
_NARROWING = 4  # a cluster's projection is so many times narrower than the one before


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rare words that share one score of the readout: how many, and the width of their projection."""

    size: int
    width: int


class WordsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A word model; words are numbered by falling frequency.

    Attributes:
        family: tells these files from those of other families.
        shortlist: words with a score of their own.
        clusters: of the words behind them, in order.
        core: the BIM network: n_in is the width of the embedding, n_out `readout_size`.
    """

    family: Literal["words"] = FAMILY
    shortlist: int
    clusters: tuple[Cluster, ...]
    core: BimConfig

    def __post_init__(self) -> None:
        small = [c for c in self.clusters if c.size < 1 or c.width < 1]
        rules = (
            ("shortlist", self.shortlist >= 1, "must be at least 1"),
            ("clusters", not small, "must each have a size and a width of at least 1"),
            ("core", not self.core.channel_delays, "but embeddings take no channel_delays"),
            ("core", self.core.n_out == self.readout_size, f"but the words need n_out {self.readout_size}"),
        )
        check_rules(self, rules)

    @property
    def vocabulary(self) -> int:
        """Number of words."""
        return self.shortlist + sum(c.size for c in self.clusters)

    @property
    def readout_size(self) -> int:
        """Outputs of the readout: scores of the shortlist, one of each cluster, the clusters' projections."""
        return readout_size(self.shortlist, self.clusters)


def readout_size(shortlist: int, clusters: tuple[Cluster, ...]) -> int:
    """Return the outputs that the readout of a word model has."""
    return shortlist + sum(1 + c.width for c in clusters)


def make_clusters(vocabulary: int, features: int, shortlist: int = SHORTLIST) -> tuple[int, tuple[Cluster, ...]]:
    """Return the shortlist and the clusters of a vocabulary: each ten times what came before, four times narrower."""
    ends, narrow = [min(shortlist, vocabulary)], list[Cluster]()
    while ends[-1] < vocabulary:
        end = min(ends[-1] * _GROWTH, vocabulary)
        width = max(features // _NARROWING ** (len(narrow) + 1), 1)
        narrow.append(Cluster(end - ends[-1], width))
        ends.append(end)
    return ends[0], tuple(narrow)


def parameter_shapes(config: WordsConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all parameters, as in a model file."""
    core = {f"{CORE}{name}": shape for name, shape in core_shapes(config.core).items()}
    tails = {f"words.tails.{i}.weight": (c.size, c.width) for i, c in enumerate(config.clusters)}
    return {f"{EMBEDDING}.weight": (config.vocabulary, config.core.n_in)} | tails | core


def mask_shapes(config: WordsConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the optional synapse masks."""
    return {f"{CORE}{name}": shape for name, shape in core_masks(config.core).items()}
