"""Every command that writes, as a line of its shell, with what it needs in the folder; small enough for a test of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.bimhw.frontends.sanafe_nets import ARCHITECTURE

# in order: each may use the files of those before it
WRITING = """
compile m.safetensors --chip loihi2 --neurons-per-core 4 --save-mapping map.json --plot map.png -o m.bimhw
compile m.safetensors --chip loihi2 --mapping map.json -o again.bimhw
simulate m.bimhw --samples 4 --model m.safetensors --trace t.json --checkpoint sim.ckpt -o run
simulate m.bimhw --samples 2 -o short
report run
report run -o page.html
table run --markdown table.md
table run --neurobench
codesign run --plot codesign.png
map m.bimhw --run run -o cores.svg --save map2.json
train digits --epochs 1 --hidden 6 -o t.pt
train digits --epochs 1 --hidden 6 --checkpoint train.ckpt -o t.safetensors
train digits --stream --steps 40 --hidden 4 --batch 2 --report-every 20 --checkpoint stream.ckpt -o s.pt
finetune m.safetensors --bits 4 --epochs 1 -o f.safetensors
learn m.bimhw --data own.npz --epochs 1 --run learnt -o l.bimhw --model l.safetensors --form seq --checkpoint learn.ckpt
learn m.bimhw --data own.npz --epochs 1 --run ruled -o r.bimhw --rule-file delta
sweep m.safetensors --cores 2,4 --samples 4 --db sweep.sqlite --plot sweep.png
chips new mychip.yaml --like loihi2
chips import arch.yaml -o sanafe.yaml
nir export net.safetensors -o net.nir
nir show net.nir --plot graph.png
nir run net.nir --data samples.npz --chip loihi2 -o nir-run
stdp-window --plot window.png
rules digits --rule frozen --train 12 --test 12 --hidden 4 --plot rules.png --page rules.md
convert net.py:make --data real.npz --steps 8 -o converted.bimhw
silicon --markdown silicon.md
crosscheck net.safetensors --data samples.npz --plot distance.png
learning-cost --inputs 4 --hidden 4 --steps 4,8 --plot cost.png
examples -o examples
""".strip().splitlines()

# what they write holds the seconds that they took
TIMED = """
verify --only checkpoint --write validation.md
results --table digits --row logistic --docs docs
""".strip().splitlines()

RELU = """import torch


def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
"""


def write_inputs(folder: Path) -> None:
    """Write what the commands read: an untrained model, a stack, a ReLU network, samples, an architecture."""
    import torch

    import bimhw.nn as bnn
    from bimhw.models.bim.config import BimConfig
    from bimhw.models.bim.net import BimNet
    from bimhw.models.io import save_model
    from tests.fuzz.reader import npz

    folder.mkdir(exist_ok=True)
    save_model(BimNet(BimConfig(n_in=8, hidden=(6,), n_out=10, input_scale=0.0625), 0), folder / "m.safetensors")
    torch.manual_seed(0)
    bnn.save(torch.nn.Sequential(torch.nn.Linear(3, 4), bnn.LIF(0.5)), folder / "net.safetensors")
    (folder / "rules.md").write_text("<!-- rules digits -->\n<!-- end -->\n")
    (folder / "arch.yaml").write_text(ARCHITECTURE)
    rng = np.random.default_rng(0)
    own = rng.integers(0, 16, (20, 8, 8)).astype(np.int16)
    (folder / "own.npz").write_bytes(npz(x=own, y=np.arange(20) % 10))
    x = rng.integers(0, 2, (2, 6, 3)).astype(np.int16)
    (folder / "samples.npz").write_bytes(npz(x=x))
    (folder / "net.py").write_text(RELU)
    (folder / "real.npz").write_bytes(npz(x=rng.random((4, 3)).astype(np.float32), y=np.arange(4) % 2))


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their relative names."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
