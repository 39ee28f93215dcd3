"""Writing: whole or not at all, never a device, rights by the umask; locks; the boundary of readers."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.base.files import read_npy, read_npz, write_npz
from simulator.base.locks import held, holder
from simulator.base.names import check_name
from simulator.base.reading import boundary, check_is_file, parse_json, parse_yaml, read_text, read_yaml
from simulator.base.text import printable
from simulator.base.writing import check_output, check_output_folder, replacing, together, write_text


def test_a_device_and_a_pipe_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError):
            write_text(path, "x")
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="link to itself"):
        write_text(tmp_path / "loop", "x")
    (tmp_path / "to-device").symlink_to("/dev/null")
    with pytest.raises(InputError, match="device"):
        write_text(tmp_path / "to-device", "x")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_rights_are_those_that_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask
    (tmp_path / "a").chmod(0o640)
    write_text(tmp_path / "a", "y")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640, "an old file keeps its rights"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a") as part:
        part.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("fails", [False, True])
def test_files_of_one_block_appear_together(fails: bool, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    try:
        with together():
            write_text(old, "after")
            write_text(new, "after")
            assert old.read_text() == "before" and not new.exists()
            if fails:
                raise MemoryError
    except MemoryError:
        assert old.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["old"]
    else:
        assert not fails and old.read_text() == new.read_text() == "after"
        assert {p.name for p in tmp_path.iterdir()} == {"old", "new"}


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from simulator.base.writing import replacing\n"
        "with replacing(Path(sys.argv[1])) as part: part.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert len(list(tmp_path.iterdir())) == 1 and not (tmp_path / "a").exists()
    write_text(tmp_path / "a", "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, match in (
        (tmp_path / "no" / "a", "does not exist"),
        (tmp_path / ("n" * 300), "too long"),
        (tmp_path / "file" / "a", "does not exist"),
        (Path("/proc/a"), "cannot be written"),
    ):
        with pytest.raises(InputError, match=match):
            check_output(path)
    with pytest.raises(InputError, match="is read"):
        check_output(tmp_path / "file", tmp_path / "file")
    with pytest.raises(InputError, match="not a folder"):
        check_output_folder(tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    check_output(tmp_path / ("n" * 250))


def test_the_second_process_hears_who_holds_a_path(tmp_path: Path) -> None:
    code = (
        "import sys; from simulator.base.locks import held\n"
        "with held(sys.argv[1]): print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"in use by process {other.pid}"), held(tmp_path / "a"):
            pass
        other.kill()
        other.wait()
        with held(tmp_path / "a"), held(tmp_path / "a"):  # freed by its death; held twice by one process
            assert (tmp_path / ".a.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_the_system_allows_can_be_held(tmp_path: Path) -> None:
    long = "\u5b57" * 84  # 252 bytes; two names that differ at their end
    with held(tmp_path / f"{long}.1"), held(tmp_path / f"{long}.2"):
        assert holder(tmp_path / f"{long}.1") and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "error",
    [ValueError("x\x1b[31m"), SystemError("x"), RecursionError(), MemoryError(), KeyError("k"), OSError(28, "full")],
)
def test_the_boundary_lets_nothing_but_one_message_through(error: Exception) -> None:
    with pytest.raises(InputError) as caught, boundary("file", "a thing"):
        raise error
    assert "\x1b" not in str(caught.value) and str(caught.value).startswith("file: ")


def test_long_and_unprintable_text_is_cut_and_escaped() -> None:
    error = InputError("w" * 10_000, "p\x1b[31m" * 10_000, "o" * 10_000)
    assert len(str(error)) < 8_000 and "\x1b" not in str(error)
    assert printable("a\x00b\udcff") == "a\\x00b\\udcff"
    assert len(printable("é" * 999, 100)) == 100
    assert (
        len(printable("\0" * 999, 100)) == len(printable("\U000e0001" * 99, 100)) == 100
    )  # escaped: 4 and 10 characters
    for name in ("", "a\nb", "x" * 201):
        with pytest.raises(InputError):
            check_name(name, "node")
    check_name("[/x] é", "node")


def test_bombs_are_refused(tmp_path: Path) -> None:
    zeros = np.zeros(2**25, np.int64)
    np.savez_compressed(tmp_path / "a.npz", x=zeros)
    with pytest.raises(InputError, match="unpacks"):
        read_npz(tmp_path / "a.npz")
    levels = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    levels += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    for text in (levels, "&a [*a]", "[" * 10_000, "x: " * 200_000):
        with pytest.raises(InputError):
            parse_yaml(text, "y")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: 1\r\nb: caf\xe9\n", "line 2, column 7: is not text in UTF-8 .byte 12 is 0xe9"),
        (b"\xef\xbb\xbfa: \xff", "line 1, column 4: is not text in UTF-8 .byte 6 is 0xff"),
        ("a: 1".encode("utf-16"), "line 1, column 1: is not text in UTF-8"),
        (b"a: 1\rb: \0", "line 2, column 4: is not YAML: it holds the control character #x0000"),
        ("a: \u00e9\nb: 2\x0c".encode(), "line 2, column 5: is not YAML: it holds the control character #x000c"),
        (b"a:\n  " + b"[" * 70, "line 2, column 67: nests deeper than 64"),
    ],
)
def test_a_faulty_character_has_line_and_column(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.yaml").write_bytes(data)
    with pytest.raises(InputError, match=f"a.yaml, {said}"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("number", ["0x" + "f" * 4000, "-0x" + "f" * 257, "0b" + "1" * 1025, "0o" + "7" * 3000])
def test_an_integer_of_yaml_that_no_number_holds_is_refused(number: str) -> None:
    """Python refuses to print a hexadecimal one of more than 4,300 digits."""
    with pytest.raises(InputError, match="holds an integer of"):
        parse_yaml(f"a: [1, {number}]", "y")
    assert parse_yaml("a: 0x" + "f" * 256, "y") == {"a": 2**1024 - 1}


def test_values_without_a_byte_are_few(tmp_path: Path) -> None:
    for descr, shape in (("|S0", (10**12,)), ("<U0", (2**30, 3)), ("|V0", (2**40,))):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        (tmp_path / "a.npy").write_bytes(header.getvalue())
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", header.getvalue())
        for read, name in ((read_npy, "a.npy"), (read_npz, "a.npz")):
            with pytest.raises(InputError, match="values of no byte"):
                read(tmp_path / name)


def test_an_archive_of_very_many_arrays_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for k in range(10_001):
            archive.writestr(f"{k}.npy", b"")
    with pytest.raises(InputError, match=r"holds 10,001 arrays; 10,000 are the most"):
        read_npz(tmp_path / "a.npz")


def test_an_array_that_is_not_there_is_not_made_room_for(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(4))
    data = (tmp_path / "a.npy").read_bytes().replace(b"(4,), ", b"(4000000000000,), ")
    (tmp_path / "b.npy").write_bytes(data)
    with pytest.raises(InputError):
        read_npy(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputError, match="pickled"):
        read_npy(tmp_path / "c.npy")
    write_npz(tmp_path / "d.npz", {"x": np.array("\N{SNOWMAN}")})
    assert str(read_npz(tmp_path / "d.npz")["x"]) == "\N{SNOWMAN}"


def test_a_key_twice_in_json_is_refused() -> None:
    with pytest.raises(InputError, match="a twice"):
        parse_json('{"b": 1, "a": 1, "a": 2}', "file")


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "no", Path("/dev/null"), tmp_path / ("n" * 300)):
        with pytest.raises(InputError):
            check_is_file(path)
    with pytest.raises(InputError, match="pipe"), boundary(tmp_path / "pipe", "a thing"):
        (tmp_path / "pipe").open()  # would wait for a writer
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_text(tmp_path / "a")
