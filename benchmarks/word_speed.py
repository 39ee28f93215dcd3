"""Words a second and peak memory of learning a word model, beside torch's LSTM between the same tables (one thread).

    python -m benchmarks word_speed

Words drawn with Zipf's frequencies, 16 streams, 1x128, embeddings of 64, two taps, the adaptive softmax. Each figure is taken in
a process of its own, which learns `--words` words twice and times the second turn (process time); the first loads kernels.
Online rows update at every word (tr: every fourth), the others once a window of 16.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from bimhw.learning.loop import Loop
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.learning.objectives.scoring import cut_streams
from bimhw.learning.objectives.words import words_by_autograd, words_loop
from bimhw.models.words.net import WordNet
from bimhw.studies.baselines.models import build
from bimhw.tasks.sources.text import Corpus

SIZES = (10_000, 267_735)
ROWS: dict[str, dict[str, object]] = {
    "1x128 tr, every 4": {},
    "1x128 rtrl": {"form": "dense"},
    "1x128 tbptt 16": {"rule": "tbptt"},
    "LSTM-128 tbptt 16 (torch)": {"rule": "tbptt"},
}


def zipf(size: int, count: int) -> Corpus:
    """Return a corpus of words drawn with probability proportional to 1 / rank."""
    weights = 1.0 / np.arange(1, size + 1)
    ids = np.random.default_rng(0).choice(size, count, p=weights / weights.sum()).astype(np.int32)
    return Corpus("zipf", tuple(map(str, range(size))), ids, ids, ids, 5.0, "", words=True, official=True)


def loop_of(name: str, corpus: Corpus) -> tuple[Loop[torch.Tensor], int]:
    """Return what learns the corpus by a row's rule from a fresh network, and the words that it learns."""
    config, settings, init = language_recipe(corpus, 0, **ROWS[name])
    streams = cut_streams(corpus.train, settings.batch)
    net = WordNet(config, 0, init)
    if name.startswith("LSTM"):
        lstm = build("lstm", config.core.n_in, config.readout_size, 128, 0)
        return words_by_autograd(net.words, lstm, lstm, streams, settings), streams.numel()
    return words_loop(net, streams, settings), streams.numel()


def measured(name: str, size: int, count: int) -> dict[str, float]:
    """Return words a second of process time and the largest resident memory of this process in MiB."""
    torch.set_num_threads(1)
    corpus, rate = zipf(size, count), 0.0
    for _ in range(2):
        loop, words = loop_of(name, corpus)
        start = time.process_time()
        loop.run(1, lambda _: None)
        rate = words / (time.process_time() - start)
    return {"words_per_s": round(rate), "mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", type=int, default=4_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--one", nargs=2, metavar=("ROW", "SIZE"), help="one figure, in this process")
    arguments = parser.parse_known_args()[0]
    if arguments.one:
        print(json.dumps(measured(arguments.one[0], int(arguments.one[1]), arguments.words)))
        return
    rows: dict[str, dict[int, dict[str, float]]] = {name: {} for name in ROWS}
    for size in arguments.sizes:
        for name in ROWS:
            command = [sys.executable, "-m", "benchmarks.word_speed", "--words", str(arguments.words)]
            command += ["--one", name, str(size)]
            rows[name][size] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"{size:,} words, {name}: {rows[name][size]}", file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
