"""Small files that unfold to far more than they are, or promise it: every reader refuses them in 5 s of CPU and 500 MB."""

from __future__ import annotations

import functools
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulator.base.reading import boundary
from tests.fuzz.harness import MEGABYTES, SECONDS, apart

ZEROS = 2**27  # bytes that a bomb unfolds to, from about 0.1 MB
Read = Callable[[Path], object]


def _npz(path: Path) -> None:
    path.write_bytes(_zeros_in_a_zip())


@functools.cache
def _zeros_in_a_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", _npy((ZEROS // 8,)) + bytes(ZEROS))
    return content.getvalue()


def _npy(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _hdf5(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name in ("node/x", "layer/0/weight", "spikes/times"):
            file.create_dataset(name, (ZEROS // 8,), "i8", compression="gzip", chunks=(2**20,))


def _aliases(path: Path) -> None:
    levels = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    path.write_text(levels + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)))


def _nested(path: Path) -> None:
    path.write_text("[" * 200_000)


def _keys(path: Path) -> None:
    path.write_text("".join(f"k{i}: {{a: [1, 2, 3]}}\n" for i in range(100_000)))


def _torch(path: Path) -> None:
    import torch

    torch.save({"w": torch.zeros(4)}, path)
    whole = zipfile.ZipFile(path)
    parts = {i.filename: whole.read(i) for i in whole.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, bytes(ZEROS) if name.endswith("data/0") else data)


def _safetensors(path: Path) -> None:
    entry = {"w": {"dtype": "F64", "shape": [2**37], "data_offsets": [0, 2**40]}, "__metadata__": {"bimhw": "{}"}}
    header = json.dumps(entry).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))


def _wave(path: Path) -> None:
    size = 2**32 - 1
    path.write_bytes(
        b"RIFF" + size.to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        + b"\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data" + (size - 36).to_bytes(4, "little") + bytes(100)
    )  # fmt: skip


def _far_event(path: Path) -> None:
    path.write_text("t,x,y,p\n1,1,1,1\n9000000000000,2000000,2000000,1\n")


def _readers() -> dict[str, tuple[Callable[[Path], object], str, Read]]:
    """Case -> (how the file is written, its name, who reads it)."""
    from bimhw.evidence.verify.rtl.case import read_cases
    from bimhw.frontends.netx.network import netx_network
    from bimhw.frontends.nir.lower import read_network
    from bimhw.frontends.nir.profile import load_profile
    from bimhw.frontends.npz import read_plain
    from bimhw.frontends.sanafe.network import sanafe_network
    from bimhw.models.io import load_arrays
    from bimhw.tasks.dataset import Dataset
    from bimhw.tasks.features.audio import decode_sound
    from bimhw.tasks.sources.mnist import read_idx
    from energy_models.gpu_card import load_gpu
    from simulator.base.files import read_npy, read_npz
    from simulator.base.unpacking import read_member
    from simulator.chips.load import load_chip
    from simulator.chips.sanafe import chip_from_sanafe
    from simulator.plasticity.rules.rule_file import read_rules
    from simulator.program.activity import Activity
    from simulator.program.faults import read_faults
    from simulator.program.program import Program
    from simulator.timing.trace.records import read_trace

    def named(load: Callable[[str], object]) -> Read:
        return lambda path: load(str(path))

    def member(path: Path) -> object:
        with boundary(path, "a zip file"), zipfile.ZipFile(path) as archive:
            return read_member(archive, "x.npy", "a.zip")

    yaml: dict[str, Read] = {
        "chip": named(load_chip), "gpu": named(load_gpu), "faults": read_faults, "rules": read_rules,
        "sana-fe chip": chip_from_sanafe, "sana-fe net": sanafe_network,
    }  # fmt: skip
    npz: dict[str, Read] = {
        "npz": read_npz, "plain": read_plain, "samples": Dataset.open, "trace": read_trace, "activity": Activity.load,
        "recording": lambda p: list(read_cases(p)),
    }  # fmt: skip
    cases: dict[str, tuple[Callable[[Path], object], str, Read]] = {
        f"{how.__name__} {name}": (how, "a.yaml", read)
        for name, read in yaml.items()
        for how in (_aliases, _nested, _keys)
    }
    cases |= {f"npz {name}": (_npz, "a.npz", read) for name, read in npz.items()}
    h5: dict[str, Read] = {"nir": read_network, "netx": netx_network, "samples": Dataset.open}
    endings = {"nir": "a.nir", "netx": "a.net", "samples": "a.h5"}
    cases |= {f"hdf5 {name}": (_hdf5, endings[name], read) for name, read in h5.items()}
    return cases | {
        "npy": (lambda p: p.write_bytes(_npy((2**42,)) + bytes(8)), "a.npy", read_npy),
        "gzip": (lambda p: p.write_bytes(gzip.compress(bytes(ZEROS), 6)), "a.gz", read_idx),
        "zip": (_npz, "a.zip", member),
        "torch": (_torch, "a.pt", load_arrays),
        "safetensors model": (_safetensors, "a.safetensors", load_arrays),
        "safetensors program": (_safetensors, "a.bimhw", Program.load),
        "profile": (_nested, "a.json", load_profile),
        "wave": (_wave, "a.wav", lambda p: decode_sound(p.read_bytes(), "a.wav", 8000)),
        "events": (_far_event, "a.csv", Dataset.open),
    }


CASES = _readers()


@pytest.mark.parametrize("case", CASES)
def test_a_bomb_is_refused_in_time_and_memory(case: str, tmp_path: Path) -> None:
    write, name, read = CASES[case]
    write(tmp_path / name)
    outcome, seconds, megabytes = apart(lambda: read(tmp_path / name))
    assert outcome == "refused" or case == "wave", outcome  # a recording that is cut off may be read as far as it goes
    assert seconds < SECONDS and megabytes < MEGABYTES, (seconds, megabytes)
