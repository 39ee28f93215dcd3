"""The table of connected digits."""

from __future__ import annotations

from typing import Any

from bimhw.studies.results.plan_speakers import BLOCK
from bimhw.studies.results.rows import Row, Table

_CTC: dict[str, Any] = {"epochs": 12, "strings": 1000}
_STEPS: dict[str, Any] = {"loss": "steps", "epochs": 16, "strings": 1000, "batch": 16, "smooth": 4}
_LONGER = {**_STEPS, "epochs": 32, "batch": 8}
_DEEP = {**BLOCK, "rule": "ctc", "hidden": (112, 80, 64), "k_o": 0.5, "dropout": 0.25, "lr": 0.007}

CONNECTED = Table(
    "connected",
    "Connected digits: 200 strings of five, official split",
    "fsdd",
    "word_error_rate",
    (
        Row(
            "BIM-D 1x128, BPTT, a label at every step, spike readout",
            "bim-ctc",
            {"hidden": (128,), "k_o": 0.5, **_STEPS, "lr": 0.01},
        ),
        Row(
            "GRU-128, BPTT, a label at every step",
            "baseline-ctc",
            {"model": "gru", "hidden": 128, **_STEPS, "lr": 0.004},
        ),
        Row(
            "BIM real blocks 112 + 80 + 64, BPTT, four times the updates, a label at every step, spike readout",
            "bim-ctc",
            {**_DEEP, **_LONGER},
            seeds=3,
        ),
        Row(
            "GRU-128, BPTT, four times the updates, a label at every step",
            "baseline-ctc",
            {"model": "gru", "hidden": 128, **_LONGER, "lr": 0.004},
            seeds=3,
        ),
        Row(
            "BIM-D 1x128, online RTRL, a label at every step, spike readout",
            "bim-ctc",
            {"hidden": (128,), "rule": "rtrl", "k_o": 0.5, "epochs": 6, "strings": 1000, "lr": 0.004, "smooth": 4},
        ),
        Row("BIM-D 1x128, CTC, BPTT, spike readout", "bim-ctc", {"hidden": (128,), **_CTC, "lr": 0.01}),
        Row("GRU-128, CTC, BPTT", "baseline-ctc", {"model": "gru", "hidden": 128, **_CTC, "lr": 0.004}),
    ),
    "Word error rate on LibriSpeech, which has a large vocabulary and read sentences. "
    "Ten words of six known speakers do not compare.",
    "Strings join takes 0-4 of one speaker, with 50-150 ms of silence between. WER = (S + D + I) / N over the whole set. "
    "A label at every step: cross-entropy with the digit from its middle until 50 ms after it, else the blank. "
    "The mean of four steps is decoded. Readout filter and smoothing were chosen on strings of takes 5-9 "
    "(one seed: k_o .8 5.4 %, .5 3.7 %; online "
    "RTRL with .8 6.2 %). Nats subtracted from the blank gave no better result. "
    "Blocks are chosen there too, by sixteen sets of strings and a readout of every layer's spikes: 128 + 96 neurons 2.7 "
    "(rotating 2.8, rate .005 2.9, dropout .1 2.3, .25 2.2), 160 + 128 3.8, plain BIM-D 160 + 128 3.5; in batches of 8 2.3, "
    "with dropout .25 3.2 (140 + 112 2.2, k_o .6 3.4); 112 + 80 + 64 with dropout .25 3.4 and 2.9 (two seeds), in batches "
    "of 8 2.0 and 2.5. Thirty-two sets: 128 + 96 with dropout .25 2.1, the row's setting 1.5 and 2.7. One word is .1 %. "
    "The rows with four times the updates see twice the strings in batches of half the size.",
    path="fsdd",
)
