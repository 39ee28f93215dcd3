"""Every reader, with a whole file that it reads and a way to use what it has read."""

from __future__ import annotations

import gzip
import io
import json
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.fuzz.mutate import damage, damage_json, damage_safetensors
from tests.fuzz.reader import Mutation, Reader, npz, print_of
from tests.fuzz.readers_of_data import build_data
from tests.fuzz.readers_of_nets import build_nets, yaml_mutation


def _json_mutation(data: bytes, random: Random) -> bytes:
    return json.dumps(damage_json(json.loads(data), random)).encode()


def _plain_net() -> bytes:
    indptr = np.array([0, 2, 4, 5, 6, 6], np.int64)
    return npz(
        indptr=indptr, indices=np.array([2, 3, 3, 4, 4, 2], np.int32), weights=np.array([9, -3, 4, 5, 7, 2], np.int8),
        bias=np.zeros(5, np.int32), v0=np.zeros(5, np.int32), thr=np.int32(8), n_in=np.int64(2),
        in_ptr=np.array([0, 1, 2, 2, 3], np.int64), in_idx=np.array([0, 1, 0], np.int32),
        core=np.array([0, 0, 0, 1, 1], np.int32), ref_hash=np.array("0" * 16),
    )  # fmt: skip


def _folder(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def build(scratch: Path) -> list[Reader]:
    """Return all readers; their inputs are made in `scratch`."""
    return [
        *_models(scratch),
        *_texts(scratch),
        *_simulator(scratch),
        *_data(),
        *build_data(scratch / "data"),
        *build_nets(scratch / "nets"),
    ]


def _models(scratch: Path) -> list[Reader]:
    from bimhw.frontends.checkpoints import load_checkpoint
    from bimhw.models.bim.config import BimConfig
    from bimhw.models.bim.net import BimNet
    from bimhw.models.io import load_arrays, save_model

    net = BimNet(BimConfig(n_in=8, hidden=(4,), n_out=10, input_scale=0.0625), 0)
    out = []
    for ending in (".safetensors", ".pt"):
        save_model(net, scratch / f"m{ending}")

        def read(folder: Path, name: str = f"m{ending}") -> str:
            config, arrays = load_arrays(folder / name)
            load_checkpoint(folder / name)
            return print_of(config, *(x for k in sorted(arrays) for x in (k, arrays[k])))

        deep: dict[str, tuple[Mutation, ...]] = {}
        out.append(Reader(f"model{ending}", {f"m{ending}": (scratch / f"m{ending}").read_bytes()}, read, deep, True))
    forged = Reader(
        "model, hash forged",
        {"m.safetensors": out[0].files["m.safetensors"]},
        lambda f: load_checkpoint(f / "m.safetensors") and None,
        {"": (damage_safetensors,)},
    )
    return [*out, forged, *_nir(scratch)]


def _nir(scratch: Path) -> list[Reader]:
    from bimhw.frontends.nir.lower import read_network

    try:
        import h5py
    except ImportError:
        return []
    path = scratch / "n.nir"
    with h5py.File(path, "w") as file:
        node = file.create_group("node")
        node["type"] = b"NIRGraph"
        nodes = node.create_group("nodes")
        fields: dict[str, dict[str, Any]] = {
            "in": {"type": b"Input", "shape": np.array([3])},
            "fc": {"type": b"Linear", "weight": np.ones((2, 3), np.float32)},
            "lif": {
                "type": b"LIF",
                "tau": np.ones(2),
                "r": np.ones(2),
                "v_leak": np.zeros(2),
                "v_threshold": np.ones(2),
            },
            "out": {"type": b"Output", "shape": np.array([2])},
        }
        for name, values in fields.items():
            group = nodes.create_group(name)
            for key, value in values.items():
                group[key] = value
        node["edges"] = np.array([[b"in", b"fc"], [b"fc", b"lif"], [b"lif", b"out"]], dtype="S8")
    read = lambda f: read_network(f / "n.nir", profile="euler", dt=1e-4) and None  # noqa: E731
    return [Reader("nir", {"n.nir": path.read_bytes()}, read)]


def _texts(scratch: Path) -> list[Reader]:
    from bimhw.evidence.silicon.compare import compare_silicon
    from bimhw.frontends.nir.profile import load_profile
    from bimhw.studies.results.points import Point, append_point, read_points
    from energy_models.gpu_card import load_gpu
    from simulator.base.errors import InputError
    from simulator.chips.load import load_chip
    from simulator.program.faults import read_faults

    root = Path(__file__).parents[2]
    chip = (root / "simulator" / "chips" / "loihi2.yaml").read_bytes()
    gpu = (root / "energy_models" / "gpus" / "h100.yaml").read_bytes()
    faults = b"seed: 3\ndead_cores: [1, 2]\ndead_links: [[0, 1, east]]\ndrop_rate: 0.25\nstuck_value: min\nclock_sigma: 0.1\n"
    profile = {"dt": 1e-4, "integrator": "euler", "cmp": ">=", "nodes": {"lif": {"reset": "subtract_now"}}}
    store = scratch / "p.jsonl"
    for key in ("k", "l"):
        append_point(store, Point(key, "t", "r", False, {"a": 1}, 0, accuracy=0.5))

    def read_all(folder: Path) -> str:
        points = read_points(folder / "p.jsonl")
        if len(points) < 2:  # a torn last line is trained again
            raise InputError("point", "is not there")
        return print_of(*points.values())

    both = {"": (damage, yaml_mutation)}
    measured = b"step,time_us\n1,2.5\n2,3.5\n"
    table = b"layer,neurons,energy_nj\n1,20,3.5\n2,30,4.5\n"
    return [
        Reader("chip", {"c.yaml": chip}, lambda f: load_chip(str(f / "c.yaml")) and None, both),
        Reader("gpu", {"g.yaml": gpu}, lambda f: load_gpu(str(f / "g.yaml")) and None, both),
        Reader("faults", {"f.yaml": faults}, lambda f: read_faults(f / "f.yaml") and None, both),
        Reader("profile", {"p.json": json.dumps(profile).encode()}, lambda f: load_profile(f / "p.json") and None,
               {"": (damage, _json_mutation)}),
        Reader("points", {"p.jsonl": store.read_bytes()}, read_all, hashed=True),
        Reader("silicon", {"a.csv": measured, "b.csv": table, "c.json": b'{"a": [1, 2]}', "d.yaml": b"x: {a: 1}\n"},
               lambda f: compare_silicon(f) and None, {".json": (damage, _json_mutation)}),
    ]  # fmt: skip


def _simulator(scratch: Path) -> list[Reader]:
    import bimhw
    from bimhw.frontends.npz import read_plain
    from bimhw.runs.folder import RunFolder
    from bimhw.studies.sweep.store import Store
    from mapping.files import read_mapping, save_mapping
    from mapping.network import Network
    from simulator.base.errors import InputError
    from simulator.base.files import read_npy, read_npz
    from simulator.function import Simulation
    from simulator.function.checkpoint import load_checkpoint, save_checkpoint
    from simulator.program.axons import axon_table
    from simulator.program.chip import chip_of_program
    from simulator.program.program import Program
    from simulator.program.spikes import SpikeTrain

    compiled = bimhw.compile(scratch / "m.safetensors", chip="loihi2", neurons_per_core=4)
    program = compiled.program
    program.save(scratch / "p.bimhw")
    bimhw.simulate(program, samples=2, output=scratch / "run")
    save_mapping(program, scratch / "map.json")
    quiet = SpikeTrain(np.zeros(3, np.int64), np.zeros(0, np.int32))
    with Store(scratch / "s.sqlite") as store:
        store.put("k", {"seed": 1}, {"status": "done", "result": {"accuracy": 0.5}})
    simulation = Simulation(program)
    simulation.advance(quiet, 2)
    save_checkpoint(simulation, scratch / "c.ckpt")

    def use(folder: Path) -> str:
        loaded = Program.load(folder / "p.bimhw")
        chip_of_program(loaded)
        axon_table(loaded)
        Simulation(loaded).advance(quiet, 2)
        return print_of(loaded.sha256(), json.dumps(loaded.meta, sort_keys=True))

    def read_run(folder: Path) -> str:
        run = RunFolder.open(folder)
        spikes, timing, activity = run.spikes(), run.timing() or {}, run.activity()
        parts = [x for k in sorted(activity.counts) for x in (k, activity.counts[k].by_step)]
        return print_of(
            run.manifest, run.result, run.chip(), run.program().sha256(), spikes.ids, *timing.values(), *parts
        )

    def read_store(folder: Path) -> str:
        with Store(folder / "s.sqlite") as there:
            found = there.get("k")
        if found is None:
            raise InputError("point", "is not there, so it is computed again")
        return print_of(found)

    def resumed(folder: Path) -> str:
        again = Simulation(program)
        load_checkpoint(again, folder / "c.ckpt")
        return print_of(
            again.state.step, *again.state.words, *again.state.rings, *again.record.ids, again.record.counts
        )

    network = Network("integer", program.populations, program.projections, program.meta)
    sealed = (scratch / "p.bimhw").read_bytes()
    npy = io.BytesIO()
    np.save(npy, np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    return [
        Reader("program", {"p.bimhw": sealed}, use, hashed=True),
        Reader("program, hash forged", {"p.bimhw": sealed}, lambda f: use(f) and None, {"": (damage_safetensors,)}),
        Reader("checkpoint", {"c.ckpt": (scratch / "c.ckpt").read_bytes()},
               resumed, hashed=True),
        Reader("checkpoint, hash forged", {"c.ckpt": (scratch / "c.ckpt").read_bytes()},
               lambda f: load_checkpoint(Simulation(program), f / "c.ckpt"), {"": (damage_safetensors,)}),
        Reader("run", _folder(scratch / "run"), read_run, {".json": (damage, _json_mutation)}, True),
        Reader("store", {"s.sqlite": (scratch / "s.sqlite").read_bytes()}, read_store, hashed=True),
        Reader("mapping", {"map.json": (scratch / "map.json").read_bytes()},
               lambda f: read_mapping(f / "map.json", network) is None, {"": (damage, _json_mutation)}),
        Reader("plain network", {"n.npz": _plain_net()}, lambda f: read_plain(f / "n.npz") and None),
        Reader("npz", {"a.npz": npz(x=np.ones((3, 2)), y=np.arange(4))}, lambda f: read_npz(f / "a.npz") and None),
        Reader("npy", {"a.npy": npy.getvalue()}, lambda f: read_npy(f / "a.npy") is None),
    ]  # fmt: skip


def _wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((1000 * np.sin(np.arange(900))).astype("<i2").tobytes())
    return buffer.getvalue()


def _flac() -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.sin(np.arange(5000)), 8000, format="FLAC")
    return buffer.getvalue()


def _data() -> list[Reader]:
    from bimhw.tasks.features.audio import decode_sound
    from bimhw.tasks.sources.annotations import parse_marks
    from bimhw.tasks.sources.chbmit import read_summary
    from bimhw.tasks.sources.mnist import read_idx
    from bimhw.tasks.sources.nmnist import read_events
    from bimhw.tasks.sources.timeseries import read_recordings
    from simulator.base.reading import boundary, read_bytes
    from simulator.base.unpacking import read_member

    idx = b"\0\0\x08\x03" + np.array([2, 3, 4], ">u4").tobytes() + bytes(24)
    ts = b"@problemName x\n@dimensions 2\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n3,2,1:6,5,4:b\n"
    arff = b"@relation x\n@attribute t {a,b}\n@data\n'1,2\\n3,4',a\n'5,6\\n7,8',b\n"
    words = [(59, 0), (0xFFFF, None), (0xFFFF, None), (0, 1), (32, 700), (33, 512), (22, 30), (63, 3)]
    marks = b"".join(int(a if b is None else a << 10 | b).to_bytes(2, "little") for a, b in words) + b"abc\0\0\0"
    summary = (
        b"File Name: chb01_03.edf\nNumber of Seizures in File: 1\n"
        b"Seizure Start Time: 29 seconds\nSeizure End Time: 30 seconds\n"
    )
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"text" * 50)

    def read_zip(folder: Path) -> None:
        with boundary(folder / "a.zip", "a zip file"), zipfile.ZipFile(folder / "a.zip") as there:
            for name in there.namelist():
                read_member(there, name, "a.zip")

    def parsed(name: str, parse: Callable[[bytes], Any]) -> Callable[[Path], None]:
        def read(folder: Path) -> None:
            parse(read_bytes(folder / name, 2**26))

        return read

    return [
        Reader("wav", {"a.wav": _wav()}, parsed("a.wav", lambda d: decode_sound(d, "a.wav", 8000))),
        Reader("flac", {"a.flac": _flac()}, parsed("a.flac", lambda d: decode_sound(d, "a.flac", 8000))),
        Reader("annotations", {"a.atr": marks}, parsed("a.atr", lambda d: parse_marks(d, "a.atr"))),
        Reader("summary", {"a-summary.txt": summary}, lambda f: read_summary(f / "a-summary.txt") and None),
        Reader("idx", {"a.idx": idx}, lambda f: read_idx(f / "a.idx") is None),
        Reader("idx.gz", {"a.idx.gz": gzip.compress(idx)}, lambda f: read_idx(f / "a.idx.gz") is None),
        Reader("events", {"a.bin": bytes(range(30)) * 2}, parsed("a.bin", lambda d: read_events(d, "a.bin"))),
        Reader("ts", {"a.ts": ts}, lambda f: read_recordings(f / "a.ts") and None),
        Reader("arff", {"a.arff": arff}, lambda f: read_recordings(f / "a.arff") and None),
        Reader("zip", {"a.zip": zipped.getvalue()}, read_zip),
    ]
