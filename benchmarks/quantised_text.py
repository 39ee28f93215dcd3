"""Bits per character that integers cost a language model, on the simulated chip: python -m benchmarks.quantised_text [--rows ...]

Networks of `bimhw train lm` (the Wikipedia extract in the package, one seed), compiled with 8 and 4 bits; scored over the whole
test part, chip and float model on the same symbols. Training takes minutes; `--models DIR` keeps the trained networks there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

import bimhw
from bimhw.learning.objectives.language import train_language
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.models.io import save_model
from bimhw.tasks import load_corpus

_TBPTT: dict[str, Any] = {"rule": "tbptt", "window": 16, "lr": 0.01}
ROWS: dict[str, dict[str, Any]] = {
    "1 x 128, T-BPTT, one pass": _TBPTT,
    "1 x 128, online RTRL, one pass": {"lr": 0.008},
    "2 x 128, T-BPTT, membrane on top, three passes": {
        **_TBPTT, "epochs": 3, "hidden": "128,128", "readout": "membrane", "dense_readout": True
    },
}  # fmt: skip
COLUMNS: dict[str, dict[str, Any]] = {
    "int8": {"bits": 8},
    "int8 a row": {"bits": 8, "per_row": True},
    "6 bit": {"bits": 6},
    "4 bit rows": {"bits": 4, "per_row": True},
    "4 bit rows, free scales": {"bits": 4, "per_row": True, "free_scales": True},
    "int8, 12-bit states": {"bits": 8, "state_bits": 12},
}


def trained(name: str, folder: Path) -> Path:
    """Return the model file of a row, trained unless it is there."""
    path = folder / f"{name.replace(' ', '').replace(',', '-')}.safetensors"
    if not path.exists():
        corpus = load_corpus("lm")
        save_model(train_language(corpus, *language_recipe(corpus, 0, **ROWS[name])).model, path)
    return path


def row(model: Path, folder: Path) -> list[str]:
    """Float bits per character, then what each column adds."""
    out: list[str] = []
    for options in COLUMNS.values():
        program = bimhw.compile(str(model), task="lm", **options).program
        given = {} if out else {"model": model}  # the float model runs once
        result = bimhw.simulate(program, "lm", engine="none", output=folder / "run", **given).result
        if not out:
            base = result["float_bits_per_character"]
            out.append(f"{base:.4f}")
        out.append(f"{result['bits_per_character'] - base:+.4f}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", help="Numbers of the rows to run, from 0; all by default.")
    parser.add_argument("--models", type=Path)
    arguments = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    names = list(ROWS) if arguments.rows is None else [list(ROWS)[int(k)] for k in arguments.rows.split(",")]
    print("| network | float | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (2 + len(COLUMNS)))
    with tempfile.TemporaryDirectory() as temporary:
        models = arguments.models or Path(temporary)
        models.mkdir(parents=True, exist_ok=True)
        for name in names:
            print(f"| {name} | {' | '.join(row(trained(name, models), Path(temporary)))} |", flush=True)


if __name__ == "__main__":
    main()
