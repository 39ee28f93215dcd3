"""Documents of the commands that train networks, on the host and on the chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.cli.schemas.base import Anything, Document, Figure, document
from bimhw.studies.rules_rows import RuleRow

if TYPE_CHECKING:
    Rule = RuleRow
else:
    Rule = document("Rule", RuleRow, pareto=bool)


class Finetune(Document, frozen=True):
    """A model trained further with the weights that the chip stores."""

    model: str
    accuracy: float
    float_accuracy: float
    rounded_accuracy: float
    updates: int
    threads: int


class Epoch(Document, frozen=True):
    """A pass over the training data."""

    number: int
    loss: float
    rates: list[float]
    seconds: float
    test_accuracy: Figure


class Trained(Document, frozen=True, kw_only=True):
    """Result of training of any kind."""

    model: str | None
    config: dict[str, Anything]
    settings: dict[str, Anything]
    parameters: int
    updates: int
    spike_rates: list[float]
    train_seconds: float
    threads: int
    device: str = "cpu"
    note: str = ""
    not_judged: str = ""


class Train(Trained, frozen=True, kw_only=True):
    """A model trained on sequences."""

    memory_words: int | None
    epochs: list[Epoch]
    sequences: int
    train_loss_nats: Figure
    test_loss_nats: Figure
    test_accuracy: Figure


class TrainText(Trained, frozen=True, kw_only=True):
    """A model of texts; bits and perplexity are of every token of the test text."""

    bits_per_character: float
    perplexity: float
    nll_nats: float
    test_tokens: int
    test_characters: float
    symbols: int
    memory_words: int | None


class TrainSpeech(Trained, frozen=True, kw_only=True):
    """A model of spoken words: errors by kind; null where the test strings cannot judge it."""

    word_error_rate: Figure
    substitutions: int | None
    deletions: int | None
    insertions: int | None
    test_words: int
    sequences: int


class TrainStream(Document, frozen=True):
    """A model trained on a stream: accuracy and rates as it went, and the figures of the test data of its kind."""

    reports: list[dict[str, Anything]]
    step: int
    test_accuracy: Figure = None
    bits_per_character: Figure = None
    perplexity: Figure = None
    word_error_rate: Figure = None


class Forgetting(Document, frozen=True):
    """Accuracy on the first classes before and after the second ones were learnt."""

    first_before: float
    first_after: float
    second_after: float
    second_alone: float
    forgotten: float
    words: int = 0


class Learnt(Document, frozen=True, kw_only=True):
    """Learning on the chip, by whatever rule."""

    run: str | None
    program: str | None
    chip_steps: int
    test_accuracy: Figure
    test_accuracy_by_epoch: list[float]
    spike_rates: list[float]
    operations: dict[str, int]
    learning_bytes: dict[str, int]
    tick_ns: Figure = None
    mean_step_ticks: Figure = None
    max_step_ticks: Figure = None
    mean_step_ns: Figure = None
    mean_latency_us: Figure = None
    latency_low_us: Figure = None
    latency_high_us: Figure = None
    time_word: str = ""
    p99_latency_us: Figure = None
    samples_per_s: Figure = None


class Learn(Learnt, frozen=True, kw_only=True):
    """Learning on the chip."""

    updates: int
    cpu_s: float
    loss_nats_by_epoch: list[float]
    fit: dict[str, dict[str, Figure]]
    pruned_share: dict[str, float]
    saturations: dict[str, int]


class LearnByRule(Learnt, frozen=True, kw_only=True):
    """Learning on the chip by a rule file."""

    rule: str
    weights_at_bound: Anything
