"""Readers of a user's samples, of medical records, of saved stacks and of checkpoints of learning."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.mutate import damage_safetensors
from tests.fuzz.reader import Reader, npz, print_of


def build_data(scratch: Path) -> list[Reader]:
    """Return these readers; their inputs are made in `scratch`."""
    scratch.mkdir(exist_ok=True)
    return [*_samples(scratch), *_medical(scratch), *_stacks(scratch), *_learning(scratch), _trace(), _recording()]


def _samples(scratch: Path) -> list[Reader]:
    """Every suffix that `Dataset.open` reads, and a folder of classes."""
    from bimhw.tasks.dataset import Dataset

    def opened(name: str, width: int) -> Callable[[Path], None]:
        def read(folder: Path) -> None:
            Dataset.open(folder / name).samples(width)

        return read

    x, npy = np.arange(24, dtype=np.int16).reshape(2, 3, 4), io.BytesIO()
    np.save(npy, x)
    events = bytes((3, 1, 0, 2, 9, 1, 2, 0x80, 9, 200, 0, 0, 1, 0, 0))
    lines = b"t,x,y,p\n10,1,2,1\n2500,3,0,0\n30000,2,1,1\n"
    out = [
        Reader("samples.npz", {"a.npz": npz(x=x, y=np.array([0, 1]), out=x)}, opened("a.npz", 4)),
        Reader("samples.npy", {"a.npy": npy.getvalue()}, opened("a.npy", 4)),
        Reader("samples.csv", {"a.csv": lines}, opened("a.csv", 24)),
        Reader("samples.bin", {"a.bin": events}, opened("a.bin", 24)),
        Reader("samples in folders", {"s/0/a.csv": lines, "s/1/b.bin": events}, opened("s", 24)),
    ]
    try:
        import h5py
    except ImportError:
        return out
    with h5py.File(scratch / "a.h5", "w") as file:
        times = file.create_dataset("spikes/times", (2,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (2,), h5py.vlen_dtype(np.uint16))
        for k in range(2):
            times[k], units[k] = np.array([0.01, 0.04, 0.09], np.float16), np.array([5, 600, 2], np.uint16)
        file["labels"] = np.array([0, 1], np.uint8)
    return [*out, Reader("samples.h5", {"a.h5": (scratch / "a.h5").read_bytes()}, opened("a.h5", 700))]


def _medical(scratch: Path) -> list[Reader]:
    """EDF and WFDB files, where the libraries are installed."""
    from bimhw.tasks.checks import extra
    from simulator.base.errors import MissingExtraError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what these import
            extra("wfdb", "the tests")
            pyedflib = extra("pyedflib", "the tests")
    except MissingExtraError:
        return []
    from bimhw.tasks.sources.chbmit import read_edf
    from bimhw.tasks.sources.wfdb_files import read_record

    header = {"label": "FP1-F7", "dimension": "uV", "sample_frequency": 256, "physical_min": -800.0}
    header |= {"physical_max": 800.0, "digital_min": -2048, "digital_max": 2047, "transducer": "", "prefilter": ""}
    wave = 100 * np.sin(np.arange(512.0) / 7)
    with pyedflib.EdfWriter(str(scratch / "a.edf"), 1, file_type=pyedflib.FILETYPE_EDF) as file:
        file.setSignalHeaders([header])
        file.writeSamples([wave])
    samples = np.rint(wave).astype("<i2")
    total = int(samples.astype(np.int64).sum()) % 65536
    header_lines = f"r 1 360 512\nr.dat 16 200/mV 16 0 {samples[0]} {total} 0 II\n"
    record = {"r.hea": header_lines.encode(), "r.dat": samples.tobytes()}
    return [
        Reader(
            "edf",
            {"a.edf": (scratch / "a.edf").read_bytes()},
            lambda f: read_edf(f / "a.edf", ("FP1-F7",), lambda x: x) is None,
        ),
        Reader("wfdb", record, lambda f: read_record(f / "r", ("II",)) is None),
    ]


def _stacks(scratch: Path) -> list[Reader]:
    """Models of the families beside BIM, which the readers of models cover."""
    import torch
    from torch import nn

    import bimhw.nn as bnn
    from bimhw.models.io import load_arrays, save_model
    from bimhw.models.spikessm.config import PSpikeConfig
    from bimhw.models.spikessm.net import PSpikeNet

    torch.manual_seed(0)
    stack = nn.Sequential(bnn.BIM(3, 4, psp="delta"), nn.Linear(4, 3), bnn.CubaLIF(0.5, torch.rand(3)))
    out = []
    for ending in (".pt", ".safetensors"):
        path = bnn.save(stack, scratch / f"stack{ending}")

        def read(folder: Path, name: str = path.name) -> str:
            return print_of(*(v.numpy() for v in bnn.load(folder / name).state_dict().values()))

        out.append(Reader(f"stack{ending}", {path.name: path.read_bytes()}, read, hashed=True))
    forged = {"stack.safetensors": (scratch / "stack.safetensors").read_bytes()}
    out.append(
        Reader("stack, hash forged", forged, lambda f: bnn.load(f / "stack.safetensors") and None,
               {"": (damage_safetensors,)})
    )  # fmt: skip
    save_model(PSpikeNet(PSpikeConfig(n_in=3, hidden=(4,), n_out=2), 0), scratch / "p.safetensors")

    def read_spikessm(folder: Path) -> str:
        config, arrays = load_arrays(folder / "p.safetensors")
        return print_of(config, *(x for k in sorted(arrays) for x in (k, arrays[k])))

    sound = {"p.safetensors": (scratch / "p.safetensors").read_bytes()}
    return [
        *out,
        Reader("p-spikessm", sound, read_spikessm, hashed=True),
        Reader("p-spikessm, hash forged", sound, lambda f: read_spikessm(f) and None, {"": (damage_safetensors,)}),
    ]


def _learning(scratch: Path) -> list[Reader]:
    """Checkpoints of a stream and of learning on the chip."""
    import bimhw
    from bimhw.learning.recipe import recipe
    from bimhw.learning.stream import StreamTrainer
    from bimhw.models.io import save_model
    from bimhw.runs.learn import ready_to_learn
    from bimhw.tasks import load_task
    from simulator.plasticity.checkpoint import load_learning, save_learning
    from simulator.plasticity.config import learn_config
    from simulator.plasticity.learner import Learner

    task = load_task("digits")
    plan = recipe(task, None, 0, hidden=(2,), batch=1)
    trainer = StreamTrainer(task, plan.config, plan.settings, plan.init)
    trainer.run(4)
    trainer.save(scratch / "stream.ckpt")
    save_model(trainer.net, scratch / "d.safetensors")
    program = ready_to_learn(bimhw.compile(scratch / "d.safetensors", chip="loihi2").program, task, {})

    def learner() -> Learner:
        return Learner(program, learn_config(program.learning), 0)

    one = learner()
    save_learning(one, scratch / "learn.ckpt", {"epoch": 1})

    def read_stream(folder: Path) -> str:
        again = StreamTrainer(task, plan.config, plan.settings, plan.init)
        again.load(folder / "stream.ckpt")
        return print_of(again.step, *(v.numpy() for v in again.net.state_dict().values()))

    def read_learning(folder: Path) -> str:
        again = learner()
        notes = load_learning(again, folder / "learn.ckpt")
        return print_of(notes, again.steps_done, *again.forward.weights.values())

    learnt = {"learn.ckpt": (scratch / "learn.ckpt").read_bytes()}
    return [
        Reader("stream", {"stream.ckpt": (scratch / "stream.ckpt").read_bytes()}, read_stream, hashed=True),
        Reader("learning", learnt, read_learning, hashed=True),
        Reader("learning, hash forged", learnt, lambda f: read_learning(f) and None, {"": (damage_safetensors,)}),
    ]


def _trace() -> Reader:
    from simulator.timing.trace.records import FORMAT, read_trace

    of_steps = ("cores", "steps", "release", "ticks", "soma_start", "soma_end", "link_busy", "step")
    of_messages = ("source", "target", "service", "stalled", "stamps", "spike_step", "spike_id", "spike_payload")
    arrays: dict[str, Any] = {name: np.zeros((2, 5), np.int64) for name in of_steps + of_messages}
    arrays |= {"format": np.array(FORMAT), "tick_ns": np.array(0.5), "probe:a.v": np.zeros((2, 3), np.int32)}
    return Reader("trace", {"t.npz": npz(**arrays)}, lambda f: read_trace(f / "t.npz") is None)


def _recording() -> Reader:
    from bimhw.evidence.verify.rtl.case import read_cases

    content = npz(
        **{"cases": np.array(["a"]), "a/config": np.array('{"kind": "lif"}'), "a/spikes": np.zeros(4, np.int8)}
    )
    return Reader("recording", {"r/cases.npz": content}, lambda f: list(read_cases(f / "r" / "cases.npz")) and None)
