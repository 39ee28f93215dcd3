"""Connectomes from tables: a written tiny one against its matrix, Brian2, and the tables' many forms."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import bimhw
from bimhw.models.networks.connectome import _parameters, connectome
from mapping.spec import check_network
from simulator.base.errors import InputError
from simulator.program.graph import csr_to_dense

# ids as large as FlyWire's; 5 -> 6 in two regions; 7 inhibits; 6 -> 7 has more than 127 synapses
ROOT = 720575940600000000
ROWS = [
    (5, 6, "AL_R", 4, "ACH"),
    (5, 6, "LH_R", 3, "ACH"),
    (6, 7, "AL_R", 300, "ACH"),
    (7, 5, "AL_R", 9, "GABA"),
    (7, 6, "AL_R", 1, "ACH"),
]
HEADER = "pre_root_id,post_root_id,neuropil,syn_count,nt_type"
MATRIX = np.array([[0, 0, -9], [7, 0, -1], [0, 300, 0]])  # [target, source]


def text() -> str:
    return "\n".join([HEADER, *(f"{ROOT + a},{ROOT + b},{r},{n},{t}" for a, b, r, n, t in ROWS)]) + "\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "connections.csv"
    path.write_text(text(), encoding="utf-8")
    return path


def matrix(network: bimhw.Network) -> np.ndarray:
    n = network.population("brain").size
    brains = [q for q in network.projections if q.source == "brain"]
    return sum(csr_to_dense(q, n).astype(int) << q.exponent for q in brains)  # type: ignore[return-value]


def test_rows_of_a_pair_add_up_and_signs_follow_the_transmitter(table: Path) -> None:
    network = connectome(table)
    check_network(network)
    assert (matrix(network) == MATRIX).all()
    assert all(q.weights.dtype == np.int8 and q.delay == 18 for q in network.projections)
    assert (matrix(connectome(table, least=8)) == np.where(np.abs(MATRIX) >= 8, MATRIX, 0)).all()


def test_compressed_and_arrow_tables_are_the_same(table: Path, tmp_path: Path) -> None:
    packed = tmp_path / "connections.csv.gz"
    packed.write_bytes(gzip.compress(text().encode()))
    assert (matrix(connectome(packed)) == MATRIX).all()
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    names = ["pre_pt_root_id", "post_pt_root_id", "neuropil", "syn_count", "nt_type"]
    rows = [(ROOT + a, ROOT + b, *rest) for a, b, *rest in ROWS]
    columns = arrow.table({name: [row[k] for row in rows] for k, name in enumerate(names)})
    feather.write_feather(columns, tmp_path / "c.feather")
    parquet.write_table(columns, tmp_path / "c.parquet")
    for name in ("c.feather", "c.parquet"):
        assert (matrix(connectome(tmp_path / name)) == MATRIX).all()


def test_offsets_of_an_arrow_table_that_lead_out_of_it_are_refused(table: Path, tmp_path: Path) -> None:
    """Arrow itself reads them, and crashes where the texts are taken."""
    feather = pytest.importorskip("pyarrow.feather")
    csv = pytest.importorskip("pyarrow.csv")
    path = tmp_path / "c.feather"
    feather.write_feather(csv.read_csv(table), path, compression="uncompressed")
    sound = path.read_bytes()
    ends = np.cumsum([len(row["nt_type"]) for row in csv.read_csv(table).to_pylist()], dtype="<i4").tobytes()
    assert sound.count(ends) == 1
    path.write_bytes(sound.replace(ends, b"\x00\x00\x00\x7f" + ends[4:]))
    with pytest.raises(InputError, match="is not a table of connections"):
        connectome(path)


def test_a_list_of_neurons_orders_them(table: Path, tmp_path: Path) -> None:
    neurons = tmp_path / "neurons.csv"
    neurons.write_text("root_id,group\n" + "".join(f"{ROOT + k},x\n" for k in (7, 6, 5, 9)), encoding="utf-8")
    order = [2, 1, 0]
    ours = matrix(connectome(table, neurons=neurons))
    assert ours.shape == (4, 4) and (ours[:3, :3] == MATRIX[np.ix_(order, order)]).all()


def test_one_synapse_has_the_area_of_the_published_potential() -> None:
    for step_ms in (0.1, 1.0):
        p = _parameters(step_ms)
        unit = 7.0 / (int(p["vth"]) * 64)
        u, v, area = 64.0, 0.0, 0.0
        for _ in range(round(400 / step_ms)):
            v = v * (1 - p["dv"] / 4096) + u
            u *= 1 - (p["du"] + 1) / 4096
            area += v * unit * step_ms
        assert area == pytest.approx(0.275 * 5, rel=2e-3)  # the integral of g


def test_stimulated_neurons_fire_with_their_input(table: Path) -> None:
    network = connectome(table, stimulate=[ROOT + 5], steps=2000, rate_hz=40)
    assert network.inputs is not None
    compiled = bimhw.compile(network, "loihi2")
    result = bimhw.run(compiled.program, network.inputs, 2000)
    counts = np.bincount(result.spikes.ids, minlength=4)
    assert counts[1] >= 0.7 * counts[0] > 3  # 2.2 ms of refractory time swallow some


def test_brian2_computes_the_same_spikes(table: Path) -> None:
    pytest.importorskip("brian2")
    from bimhw.evidence.crosscheck.check import crosscheck_program

    network = connectome(table, stimulate=[ROOT + 5, ROOT + 6], steps=400, rate_hz=400)
    assert network.inputs is not None
    program = bimhw.compile(network, "loihi2").program
    assert crosscheck_program(program, network.inputs, 400).equal


def test_the_command_reads_it(table: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from bimhw.cli.main import cli

    out = tmp_path / "brain.bimhw"
    command = ["compile", str(table), "--chip", "loihi2", "--read", "steps=50", "--read", f"stimulate={ROOT + 5}"]
    done = CliRunner().invoke(cli, [*command, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert bimhw.Program.load(out).inputs is not None


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (HEADER + "\n", "no connection"),
        ("a,b\n1,2\n", "has no column"),
        (HEADER + "\n1,2,x,0,ACH\n", "0 synapses"),
        (HEADER + "\n1,2,x,seven,ACH\n", "not a table"),
        (HEADER + "\n1,2,x,99999,ACH\n", "99999 synapses"),
        ("", "has no column"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, broken: str, named: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(InputError, match=named):
        connectome(path)


@pytest.mark.parametrize("wrong", [{"step_ms": 5.0}, {"steps": 0}, {"least": 0}, {"stimulate": [3]}])
def test_a_wrong_option_is_named(table: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        connectome(table, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["csv", "csv.gz", "feather"])
def test_a_table_beyond_the_memory_is_refused_before_it_is_read(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, n = np.random.default_rng(0), 60_000  # more than a megabyte of text
    before, after = (ROOT + rng.integers(0, 5000, (2, n))).tolist()
    lines = [HEADER, *(f"{a},{b},AL_R,{1 + a % 7},ACH" for a, b in zip(before, after, strict=True))]
    path, text = tmp_path / f"big.{form}", "\n".join(lines) + "\n"
    if form == "feather":
        arrow = pytest.importorskip("pyarrow")
        columns = {"pre_root_id": before, "post_root_id": after, "syn_count": [1] * n, "nt_type": ["ACH"] * n}
        pytest.importorskip("pyarrow.feather").write_feather(arrow.table(columns), path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if form == "csv.gz" else text.encode())
    monkeypatch.setattr("simulator.base.host_memory.available_bytes", lambda: 1 << 20)
    monkeypatch.setattr("numpy.loadtxt", None)
    with pytest.raises(InputError, match=r"MB for about [\d,]+ rows, and 1 MB are available") as error:
        connectome(path)
    rows = int(str(error.value).split("about ")[1].split(" rows")[0].replace(",", ""))
    assert abs(rows - n) < 0.05 * n and "GB free holds it" in str(error.value)


@pytest.mark.parametrize("form", ["csv", "csv.gz"])
def test_a_stretch_without_lines_is_refused_before_it_is_read(form: str, tmp_path: Path) -> None:
    """Ten gigabytes of holes behind a table were taken as one line."""
    path = tmp_path / f"c.{form}"
    longer = text().encode() + bytes(2**22)
    path.write_bytes(gzip.compress(longer) if form == "csv.gz" else longer)
    with pytest.raises(InputError, match="a line has more than 1,048,576 bytes"):
        connectome(path)


def test_a_header_without_letters_is_one_short_message(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(bytes(2**16) + b"\n")
    with pytest.raises(InputError) as told:
        connectome(path)
    assert len(str(told.value)) < 1500
