"""Symbols a second of learning a text, beside torch's LSTM in the same run (one thread, process time).

    python -m benchmarks text_speed

Characters of the packaged text, 37 symbols, 16 streams. Each row learns the same symbols from a fresh network; rows take turns,
the best of `--repeats` counts. Compiled online rows say the bytes that they read and write a symbol: traces or window, weights,
moments. Rows by truncated BPTT and torch's LSTM have one Adam, torch's of one pass. Online rows update at every symbol (tr: every
fourth), the others once a window of 16. A busy machine slows what reads much memory (the traces of rtrl) more than the rest: only
ratios of one run compare.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch

from bimhw.learning.forms import window_kernels
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.objectives.language import LanguageSettings, online_loop, text_by_autograd
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.learning.objectives.scoring import bim_forward, cut_streams
from bimhw.learning.updater import Updater
from bimhw.models.bim.net import BimNet
from bimhw.studies.baselines.models import build
from bimhw.tasks import load_corpus
from bimhw.tasks.sources.text import Corpus

ROWS: dict[str, dict[str, Any]] = {
    "1x128 rtrl": {},
    "1x128 rtrl, s6": {"kind": "s6"},
    "1x128 tr, every 4": {"form": "tr", "block": 4, "lookback": 12},
    "1x128 tbptt 16": {"rule": "tbptt"},
    "2x128 deep, tbptt 16": {"preset": "deep", "epochs": 1},
}
LSTM = "LSTM-128 tbptt 16 (torch)"


def learnt(corpus: Corpus, name: str, symbols: int) -> Callable[[], int]:
    """Return what learns so many symbols by a row's rule from a fresh network, and says how many they were."""
    config, settings, init = language_recipe(corpus, 0, **ROWS.get(name, {"rule": "tbptt"}))
    streams = cut_streams(corpus.whole_train[:symbols], settings.batch)
    size = len(corpus.symbols)

    def run() -> int:
        if name == LSTM:
            model = build("lstm", size, size, 128, 0)
            loop = text_by_autograd(model, model, streams, size, LanguageSettings(rule="tbptt"))
        elif settings.rule == "tbptt":
            net = BimNet(config, 0, init)
            loop = text_by_autograd(net, bim_forward(net), streams, size, settings)
        else:
            loop = online_loop(BimNet(config, 0, init), streams, settings)
        loop.run(1, lambda _: None)
        return streams.numel()

    return run


def symbols_per_second(symbols: int, repeats: int) -> dict[str, float]:
    """Return the best rate of each row; the first turn compiles and is not counted."""
    corpus = load_corpus("lm")
    rows = {name: learnt(corpus, name, symbols) for name in (*ROWS, LSTM)}
    best = dict.fromkeys(rows, 0.0)
    for turn in range(repeats + 1):
        for name, run in rows.items():
            start = time.process_time()
            count = run()
            if turn:
                best[name] = max(best[name], count / (time.process_time() - start))
    return best


def moved_bytes(corpus: Corpus, name: str) -> int | None:
    """Return the bytes that a compiled online row reads and writes a symbol; None: not counted."""
    config, settings, init = language_recipe(corpus, 0, **ROWS.get(name, {"rule": "tbptt"}))
    if settings.rule == "tbptt":
        return None
    updater = Updater(BimNet(config, 0, init), settings, 1)
    learner, adam = (
        updater.learner(settings.batch),
        7 * updater.parameters.values.nbytes,
    )  # g, m, v, w: 4 read, 3 written
    if isinstance(learner, RtrlLearner):
        return (sum(2 * a.nbytes for a in learner.traces[0].arrays) + adam) // settings.batch
    step = window_kernels.ROWS * updater.parameters.values.itemsize * config.hidden[0]
    return step * (1 + (settings.block + settings.lookback) // settings.block) + adam // (
        settings.batch * settings.block
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--symbols", type=int, default=8000)
    arguments = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    rates = symbols_per_second(arguments.symbols, arguments.repeats)
    rows = {
        name: {
            "symbols_per_s": round(rate),
            "of_lstm": round(rate / rates[LSTM], 3),
            "bytes_per_symbol": moved_bytes(load_corpus("lm"), name),
        }
        for name, rate in rates.items()
    }
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
