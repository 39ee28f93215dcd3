"""The door of the benchmarks: names, and options that follow a single one."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main


def test_options_follow_a_single_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["text_speed", "--help"])
    assert "--symbols" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nosuch"], ["--symbols", "3"], ["text_speed", "timing", "--symbols", "3"]])
def test_what_is_no_benchmark_is_named(arguments: list[str]) -> None:
    with pytest.raises(
        SystemExit, match=f"{next(a for a in arguments if a not in ('text_speed', 'timing'))} is not one"
    ):
        main(arguments)
