"""A name that stands twice in a file is refused: a reader would take one of the two in silence."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bimhw.frontends.diagram.read import read_diagram
from bimhw.models.bim.config import config_from
from bimhw.models.networks.connectome import read_connections
from bimhw.studies.results.points import read_points
from mapping.files import read_mapping
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.base.files import read_npz, read_safetensors
from simulator.base.reading import read_json

_DIAGRAM = Path(__file__).parents[3] / "examples" / "reaching.json"
_NOTHING = Network("integer", (), ())


def _mapping() -> bytes:
    return b'{"format": "bimhw-mapping-1", "chip": "loihi2", "chip": "other", "cores": {}}'


def _diagram() -> bytes:
    return _DIAGRAM.read_bytes().replace(b"{", b'{"name": "first", "name": "second", ', 1)


def _members() -> bytes:
    file, content = io.BytesIO(), io.BytesIO()
    np.save(content, np.arange(3))
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name
        for name in ("x.npy", "y.npy", "x.npy"):
            archive.writestr(name, content.getvalue())
    return file.getvalue()


def _tensors() -> bytes:
    entry = json.dumps({"dtype": "I8", "shape": [2], "data_offsets": [0, 2]})
    header = f'{{"x": {entry}, "x": {entry}}}'.encode()
    return struct.pack("<Q", len(header)) + header + bytes(2)


CASES: dict[str, tuple[Callable[[], bytes], Callable[[Path], object]]] = {
    "json": (lambda: b'{"a": {"b": 1, "b": 2}}', read_json),
    "diagram": (_diagram, read_diagram),
    "mapping": (_mapping, lambda path: read_mapping(path, _NOTHING)),
    "points": (lambda: b'{"task": "x", "task": "y"}\n' * 2, read_points),
    "config": (lambda: b'{"n_inputs": 1, "n_inputs": 2}', lambda path: config_from(path.read_text(), str(path))),
    "npz": (_members, read_npz),
    "safetensors": (_tensors, read_safetensors),
    "columns": (lambda: b"pre,post,pre,syn_count\n1,2,3,4\n", read_connections),
}


@pytest.mark.parametrize("name", CASES)
def test_a_name_that_stands_twice_is_refused(name: str, tmp_path: Path) -> None:
    write, read = CASES[name]
    path = tmp_path / ("a.csv" if name == "columns" else "a")
    path.write_bytes(write())
    with pytest.raises(InputError, match=r"it holds \S+ twice"):
        read(path)
