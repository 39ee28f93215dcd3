"""Files of equal content have equal bytes, and the safetensors package reads what we write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

from simulator.base.files import read_safetensors, write_safetensors

dtypes = st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"])
tensors = st.dictionaries(
    st.text("ab.1", min_size=1, max_size=4),
    dtypes.flatmap(lambda d: arrays(np.dtype(d), st.sampled_from([(), (3,), (2, 5), (0,)]))),
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(content=tensors, metadata=st.dictionaries(st.text("xyz", min_size=1), st.text(), max_size=4))
def test_written_files_are_read_back_and_equal(tmp_path_factory: object, content: dict, metadata: dict) -> None:
    folder = Path(tmp_path_factory.mktemp("st"))  # type: ignore[attr-defined]
    write_safetensors(folder / "a", content, metadata)
    write_safetensors(folder / "b", dict(reversed(content.items())), dict(reversed(metadata.items())))
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    ours, found = read_safetensors(folder / "a", hashed=True)
    theirs = load_file(folder / "a")
    assert found.keys() - {"sha256"} == metadata.keys() - {"sha256"}
    for name, value in content.items():
        for back in (ours[name], theirs[name]):
            assert back.dtype == value.dtype
            assert back.tobytes() == value.tobytes()
            assert back.shape == value.shape
