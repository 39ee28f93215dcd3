"""docs/gpu.md: every number of its worked example and of its table, from the card's file by plain arithmetic, and by the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import bimhw
from energy_models.gpu import gpu_cost
from energy_models.gpu_card import load_gpu
from energy_models.gpu_work import workload_of
from tests.energy_models.test_gpu_published import GENN, SHD

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")


def card(name: str) -> dict[str, dict[str, float]]:
    """Return a card's file as it stands."""
    found: dict[str, dict[str, float]] = yaml.safe_load((ROOT / f"energy_models/gpus/{name}.yaml").read_text())
    return found


def line(start: str) -> str:
    return next(text for text in PAGE.splitlines() if text.strip().startswith(start))


def rounded(value: float) -> str:
    return f"{value:.2f}"


def test_the_worked_example_is_the_arithmetic_of_the_cards_file() -> None:
    h = {k: v["value"] for k, v in card("h100").items() if isinstance(v, dict)}
    weights = 3 * 8 * 128 + 128 * 10
    products, pointwise = 2 * weights * 16, (16 * 128 + 4 * 10) * 16
    least = 2 * weights + 2 * (8 + 10) * 16
    times = (
        products / (h["tensor_tflops"] * 1e12), pointwise / (2 * h["fp32_tflops"] * 1e12), least / (h["bandwidth_gb_s"] * 1e9),
    )  # fmt: skip
    work, bound = times[0] + times[1], max(times[0] + times[1], times[2])
    kernels = 1 + 16 + 1 + 4
    idle, light = card("h100")["idle_w"]["low"], h["low_load_w"]
    eager = kernels * h["launch_us"] * 1e-6
    assert f"{weights:,}" in line("weights")
    for start, count, ns in zip(
        ("products", "element-wise", "least bytes"), (products, pointwise, least), times, strict=True
    ):
        assert f"{count:,}" in line(start) and f"= {rounded(ns * 1e9)} ns" in line(start), start
    said = f"max({rounded(work * 1e9)}, {rounded(times[2] * 1e9)}) ns x {h['board_power_w']:.0f} W = "
    assert said + f"{rounded(bound * h['board_power_w'] * 1e6)} uJ" in line("fused ")
    assert f"at idle power {idle} W: {rounded(bound * idle * 1e6)} uJ" in line("fused ")
    assert f"{rounded(work * 1e9)} ns x 700 W = {rounded(work * h['board_power_w'] * 1e6)} uJ" in line(
        "fused, batch 256"
    )
    assert (
        f"{kernels} kernels x {h['launch_us']:g} us = {eager * 1e6:.0f} us x {light} W = {eager * light * 1e3:.1f} mJ"
        in line("eager ")
    )
    program = bimhw.compile(str(ROOT / "examples" / "digits.safetensors"), mapping="blocks").program
    net, gpu = workload_of(program, 16), load_gpu("h100")
    one, many, slow = (
        gpu_cost(net, gpu, "inference", b, case=c) for b, c in ((1, "fused"), (256, "fused"), (1, "eager"))
    )
    assert (one.uj, one.low_uj) == pytest.approx((bound * 700e6, bound * idle * 1e6))
    assert many.uj == pytest.approx(work * 700e6, rel=0.01)
    assert slow.uj == pytest.approx(eager * light * 1e6, rel=0.01) and slow.work.launches == kernels


def test_published_rows_hold_what_the_code_gives() -> None:
    orin = load_gpu("orin-nano")
    bound, eager = (gpu_cost(SHD, orin, "inference", 1, case=c) for c in ("fused", "eager"))
    assert f"| {bound.uj / 1e3:.1f} mJ ({bound.low_uj / 1e3:.1f} mJ at idle power)" in PAGE
    assert f"{bound.uj / 1e3:.1f} mJ; `eager` gives {eager.uj / 1e3:.0f} mJ" in PAGE
    h = {k: v["value"] for k, v in card("h100").items() if isinstance(v, dict)}
    assert (
        f"| {2 / (h['bandwidth_gb_s'] * 1e9) * h['board_power_w'] * 1e9:.2f} nJ (one weight of 16 bits read, H100)"
        in PAGE
    )
    measured = " / ".join(f"{watt * seconds:.0f}" for _, watt, seconds in GENN.values())
    assert f"| {measured} J |" in PAGE
    rows = re.search(r"\| ([\d.]+) / ([\d.]+) / ([\d.]+) / ([\d.]+) J \(H100, dense", PAGE)
    assert rows is not None
    for text, ((inputs, neurons, steps), _, _) in zip(rows.groups(), GENN.values(), strict=True):
        least = 2 * inputs * neurons + 2 * (inputs + neurons) * steps  # weights once; inputs and outputs of every step
        work = 2 * inputs * neurons * steps / (h["tensor_tflops"] * 1e12) + 6 * neurons * steps / (
            2e12 * h["fp32_tflops"]
        )
        joules = max(work, least / (h["bandwidth_gb_s"] * 1e9)) * h["board_power_w"]
        assert f"{joules:.1f}" == text
