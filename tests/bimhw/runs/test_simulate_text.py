"""Language models on the chip: the score is the training's own, integers stay near it, the commands say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bimhw.cli.main import cli
from bimhw.compiler.pipeline import compile
from bimhw.learning.objectives.language import LanguageSettings, language_config, train_language
from bimhw.learning.objectives.scoring import bim_forward, score_text
from bimhw.models.io import save_model
from bimhw.runs.simulate import simulate
from bimhw.tasks.features.stretches import Stretches, scored_stretches, training_stretches
from bimhw.tasks.sources.text import TEST_STREAMS, Corpus, character_corpus
from simulator.base.errors import InputError

TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps on; " * 190


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return character_corpus(TEXT, "low", "foxes")


@pytest.fixture(scope="module")
def model(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = language_config(corpus, hidden=(24,))
    settings = LanguageSettings(rule="tbptt", batch=8, epochs=4, lr=0.03)
    return save_model(train_language(corpus, config, settings).model, tmp_path_factory.mktemp("text") / "m.safetensors")


def test_stretches_are_those_that_training_scores(corpus: Corpus, model: Path) -> None:
    from bimhw.models.io import load_model
    from bimhw.runs.trials import TextTrial

    stretches = scored_stretches(corpus)
    assert stretches.whole and len(stretches) == TEST_STREAMS
    trial = TextTrial("foxes", stretches)
    ours = trial.judge(trial.float_scores(model, None, 0)[0])
    nll, tokens = score_text(bim_forward(load_model(model)), corpus.test, len(corpus.symbols))
    assert ours["scored_symbols"] == tokens
    assert ours["bits_per_character"] == pytest.approx(nll / np.log(2) / tokens, rel=1e-5)


def test_stretches_hold_the_text(corpus: Corpus) -> None:
    part = training_stretches(corpus)
    own = len(corpus.whole_train) // TEST_STREAMS
    for k, (x, y) in enumerate(zip(part.x, part.y, strict=True)):
        ids = corpus.whole_train[k * own : k * own + len(y) + 1]
        assert (x.argmax(1) == ids[:-1]).all() and (x.sum(1) == 1).all() and (y == ids[1:]).all()
    with pytest.raises(InputError, match=r"'short'.*Give a longer text"):
        scored_stretches(character_corpus("abc " * 400, "low", "short"))


def test_score_of_known_probabilities() -> None:
    """A model that is right with probability p at every step costs -log2 p bits."""
    y = np.random.default_rng(0).integers(0, 5, (2, 90))
    stretches = Stretches("x", np.zeros((2, 90, 5), np.int8), y, 1.0, True)
    p = 0.3
    logits = np.where(np.arange(5) == y[..., None], np.log(p), np.log((1 - p) / 4))
    assert stretches.score(logits).bits_per_character == pytest.approx(-np.log2(p), rel=1e-12)
    assert stretches.score(logits + 700).tokens == 2 * 40
    assert stretches.hits(logits) == 1.0


def test_int8_stays_near_float_on_the_chip(corpus: Corpus, model: Path, tmp_path: Path) -> None:
    program = compile(model, chip="loihi2", task=corpus).program
    result = simulate(program, corpus, model=model, output=tmp_path / "run").result
    assert result["samples"] == TEST_STREAMS and result["float_bits_per_character"] < 1.5
    assert abs(result["bits_per_character"] - result["float_bits_per_character"]) < 0.1  # a short text's noise
    assert result["perplexity"] == pytest.approx(2 ** result["bits_per_character"])
    assert result["spikes_that_differ"] < 0.05 * result["spike_slots"]
    few = simulate(program, corpus, 2, output=tmp_path / "few", engine="none").result
    assert few["samples"] == 2 and "float_accuracy" not in few
    with pytest.raises(InputError, match="the test split of 'foxes' has 16"):
        simulate(program, corpus, 17, output=tmp_path / "more")


def test_commands(model: Path, tmp_path: Path) -> None:
    (tmp_path / "foxes.txt").write_text(TEXT)
    text = ["--task", "lm", "--data", str(tmp_path / "foxes.txt")]

    def run(*arguments: str) -> Any:
        done = CliRunner().invoke(cli, [*arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    compiled = run("compile", str(model), *text, "-o", str(tmp_path / "x.bimhw"))
    assert compiled["calibration"].startswith("16 stretches of ")
    shown = run("simulate", str(tmp_path / "x.bimhw"), *text, "--samples", "3", "-o", str(tmp_path / "run"))
    assert 0 < shown["bits_per_character"] < 2
    report = run("report", str(tmp_path / "run"), "-o", str(tmp_path / "report.html"))
    assert "bits per character" in Path(report["report"]).read_text()
    done = CliRunner().invoke(cli, ["simulate", str(tmp_path / "x.bimhw"), "--data", "x"])
    assert isinstance(done.exception, InputError) and "does not exist" in str(done.exception)
    done = CliRunner().invoke(cli, ["simulate", str(tmp_path / "x.bimhw"), "--task", "digits"])
    assert isinstance(done.exception, InputError) and "has 8 input channels, the program has 37" in str(done.exception)
