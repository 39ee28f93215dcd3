"""Readers of other tools' networks and chips, of rule files, of event cameras and of training checkpoints."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np

from simulator.base.reading import parse_yaml
from tests.bimhw.frontends.sanafe_nets import ARCHITECTURE, random_net
from tests.fuzz.mutate import damage, damage_json
from tests.fuzz.reader import Reader, print_of


def yaml_mutation(data: bytes, random: Random) -> bytes:
    """Return YAML with one value, entry or key changed, written as the JSON that YAML includes."""
    import json

    return json.dumps(damage_json(parse_yaml(data.decode(), "sound"), random)).encode()


def build_nets(scratch: Path) -> list[Reader]:
    """Return these readers; their inputs are made in `scratch`."""
    scratch.mkdir(exist_ok=True)
    return [
        *_sanafe(),
        _rules(),
        _diagram(),
        *_netx(scratch),
        *_events(scratch),
        *_connections(scratch),
        _training(scratch),
        _state_dict(scratch),
    ]


def _sanafe() -> list[Reader]:
    from bimhw.frontends.sanafe.network import sanafe_network
    from simulator.chips.sanafe import chip_from_sanafe

    both = {"": (damage, yaml_mutation)}
    net = {"n.yaml": random_net(1, steps=6).encode()}
    return [
        Reader("sana-fe network", net, lambda f: sanafe_network(f / "n.yaml") and None,
               {"": (damage,)}),  # a key "in -> a" names edges: as JSON it is another file, so bytes alone
        Reader("sana-fe chip", {"a.yaml": ARCHITECTURE.encode()}, lambda f: chip_from_sanafe(f / "a.yaml") and None, both),
    ]  # fmt: skip


def _rules() -> Reader:
    from simulator.plasticity.rules.rule_file import read_rules

    folder = Path(__file__).parents[2] / "simulator" / "plasticity" / "rules" / "shipped"
    files = {"r.yaml": (folder / "r-stdp.yaml").read_bytes()}
    return Reader("rule file", files, lambda f: read_rules(f / "r.yaml") and None, {"": (damage, yaml_mutation)})


def _diagram() -> Reader:
    from bimhw.frontends.diagram.skeleton import from_diagram

    example = Path(__file__).parents[2] / "examples" / "reaching.json"
    files = {"d.json": example.read_bytes()}
    return Reader(
        "component diagram", files, lambda f: from_diagram(f / "d.json") and None, {"": (damage, yaml_mutation)}
    )


def _netx(scratch: Path) -> list[Reader]:
    try:
        import h5py
    except ImportError:
        return []
    from bimhw.frontends.netx.network import netx_network

    rng = np.random.default_rng(0)
    neuron = {"type": "CUBA", "iDecay": 1024, "vDecay": 256, "vThMant": 60}
    layers = [
        {"type": "input", "shape": [2, 4, 4]},
        {"type": "conv", "shape": [3, 4, 4], "weight": rng.integers(-60, 60, (3, 2, 3, 3, 1)), "stride": [1, 1],
         "padding": [1, 1], "dilation": [1, 1], "groups": 1, "bias": rng.integers(-5, 20, 3)},
        {"type": "flatten", "shape": [48]},
        {"type": "dense", "shape": [3], "weight": rng.integers(-60, 60, (3, 48)), "delay": rng.integers(0, 3, 3)},
    ]  # fmt: skip
    with h5py.File(scratch / "n.net", "w") as file:
        for k, layer in enumerate(layers):
            group = file.create_group(f"layer/{k}")
            for key, value in layer.items():
                group[key] = value
            for key, value in neuron.items() if "weight" in layer else ():
                group[f"neuron/{key}"] = value
    files = {"n.net": (scratch / "n.net").read_bytes()}
    return [Reader("netx", files, lambda f: netx_network(f / "n.net") and None)]


def _events(scratch: Path) -> list[Reader]:
    try:
        import aedat  # noqa: F401
    except ImportError:
        return []
    from bimhw.tasks.dataset import Dataset
    from tests.fuzz.recordings import aedat4

    files = {
        "a.aedat4": aedat4(scratch / "a.aedat4", [(1000, 1, 2, 1), (1500, 3, 4, 0), (52000, 7, 5, 1)]).read_bytes()
    }
    return [Reader("aedat4", files, lambda f: Dataset.open(f / "a.aedat4").samples(96) and None)]


def _connections(scratch: Path) -> list[Reader]:
    from bimhw.models.networks.connectome import read_connections

    columns = {"pre": [10, 11, 12], "post": [11, 12, 10], "syn_count": [5, 7, 1], "nt_type": ["ACH", "GABA", "GLUT"]}
    rows = ["pre,post,syn_count,nt_type", *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    files = {"a.csv": "\n".join(rows).encode()}
    try:
        import pyarrow
        from pyarrow import feather, parquet
    except ImportError:
        pass
    else:
        feather.write_feather(pyarrow.table(columns), scratch / "a.feather")
        parquet.write_table(pyarrow.table(columns), scratch / "a.parquet")
        files |= {f"a.{kind}": (scratch / f"a.{kind}").read_bytes() for kind in ("feather", "parquet")}

    def reader(name: str) -> Reader:
        return Reader(f"connections{name[1:]}", {name: files[name]}, lambda f: read_connections(f / name) and None)

    return [reader(name) for name in files]


def _training(scratch: Path) -> Reader:
    """Return the checkpoint of `train --checkpoint`."""
    import torch

    from bimhw.learning.checkpoints import Checkpoint
    from simulator.base.errors import InputError

    def checkpoint(folder: Path) -> Checkpoint:
        return Checkpoint(folder / "t.ckpt", "bimhw-fuzz-1", {"task": "digits", "config": "{}", "settings": "{}"}, True)

    content = {"epoch": 2, "weights": {"w": torch.arange(6.0)}, "updater": {"steps": 3, "m": [torch.ones(2)]}}
    checkpoint(scratch).write(content)

    def read(folder: Path) -> str:
        found = checkpoint(folder).read()
        if found is None:
            raise InputError("checkpoint", "is not there, so a run begins anew")
        return print_of(found["epoch"], found["weights"]["w"].numpy(), found["updater"]["m"][0].numpy())

    return Reader("training", {"t.ckpt": (scratch / "t.ckpt").read_bytes()}, read, hashed=True)


def _state_dict(scratch: Path) -> Reader:
    """Return a state_dict of another framework, which has no graph: refused with a way in, whole or damaged."""
    import torch

    from bimhw.frontends import load_network
    from simulator.base.errors import InputError

    torch.save({"fc.weight": torch.ones(2, 3), "lif.beta": torch.tensor(0.9)}, scratch / "sd.pt")

    def read(folder: Path) -> None:
        try:
            load_network(folder / "sd.pt")
        except InputError:
            return
        raise AssertionError("a state_dict was read as a network")

    return Reader("state_dict", {"sd.pt": (scratch / "sd.pt").read_bytes()}, read)
