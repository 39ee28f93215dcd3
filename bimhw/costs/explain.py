"""The arithmetic of one row of a comparison, so that it can be recomputed by hand."""

from __future__ import annotations

from collections.abc import Mapping

from bimhw.costs.result import Energy
from energy_models.gpu import PACKED, GpuCost
from energy_models.gpu_card import GpuCard
from energy_models.items import EnergyReport


def chip_rows(costs: Energy) -> Mapping[str, EnergyReport]:
    """Return the reports behind the chip's rows by name: run, copies, the forms of learning, learners."""
    rows = {"run": costs.report} | {c.plan.form: c.nominal for c in costs.learning}
    rows |= {} if costs.full is None else {"copies": costs.full}
    return rows | ({} if costs.learners is None else {"learners": costs.learners.nominal})


def explain_chip(name: str, report: EnergyReport) -> str:
    """Return every item of a chip's row, and their sum over the samples."""
    samples, lacks = max(1, report.samples), ", ".join(report.unknown)
    total = f"{name}: sum of the nominal energies above {report.energy_pj():,.4f} pJ / {samples:,} samples"
    total += f" = {report.energy_pj() / 1e6 / samples:.6g} uJ a sample"
    return "\n".join([*(i.explain() for i in report.items), total + (f"; in no sum: {lacks}" if lacks else "")])


def explain_card(cost: GpuCost, card: GpuCard, steps: int) -> str:
    """Return the equation of a card's row with its numbers (`energy_models.gpu`), all at their nominal values.

    Args:
        cost: the row.
        card: its figures.
        steps: of the network, a sample.
    """
    w, at = cost.work, card.number
    tensor, plain, wire = at("tensor_tflops"), at("fp32_tflops"), at("bandwidth_gb_s")
    products = f"{w.matmul_flops:,.0f} FLOP / {tensor:g} TFLOP/s"
    if cost.case == "fused":
        work = w.matmul_flops / tensor / 1e12 + w.pointwise_flops / (PACKED * plain) / 1e12
        moved = w.least_bytes / wire / 1e9
        lines = [
            f"work {products} + {w.pointwise_flops:,.0f} FLOP / ({PACKED:g} x {plain:g} TFLOP/s) = {work:.4g} s",
            f"bytes {w.least_bytes:,.0f} / {wire:g} GB/s = {moved:.4g} s",
            f"energy {max(work, moved):.4g} s x {at('board_power_w'):g} W",
        ]
    else:
        lines = _waiting(cost, card, steps, products)
    head = f"{cost.gpu}, {cost.mode}, {cost.case}, batch {cost.batch}"
    return "\n  ".join([head, *lines, f"over {cost.batch:,} samples = {cost.uj:.6g} uJ a sample"])


def _waiting(cost: GpuCost, card: GpuCard, steps: int, products: str) -> list[str]:
    """Return the lines of a case whose kernels wait for one another."""
    w, at = cost.work, card.number
    efficiency, launch, step, idle = (card.at(n, "value") for n in ("efficiency", "launch_us", "step_us", "low_load_w"))
    work = w.matmul_flops / at("tensor_tflops") / 1e12 + w.pointwise_flops / at("fp32_tflops") / 1e12
    moved = w.bytes_moved / at("bandwidth_gb_s") / 1e9
    busy = max(work, moved) / efficiency
    if cost.case == "graph":
        rounds = steps if cost.schedule == "sequential" else (steps - 1).bit_length() or 1
        waits, how = (launch + rounds * step) * 1e-6, f"{launch:g} us + {rounds:,} rounds x {step:g} us"
    else:
        waits, how = w.launches * launch * 1e-6, f"{w.launches:,.0f} kernels x {launch:g} us"
    return [
        f"work {products} + {w.pointwise_flops:,.0f} FLOP / {at('fp32_tflops'):g} TFLOP/s = {work:.4g} s",
        f"bytes {w.bytes_moved:,.0f} / {at('bandwidth_gb_s'):g} GB/s = {moved:.4g} s",
        f"busy: the longer / {efficiency:g} = {busy:.4g} s; waiting {how} = {waits:.4g} s; time: the longer",
        f"energy {max(busy, waits):.4g} s x {idle:g} W + {busy:.4g} s x ({at('board_power_w'):g} - {idle:g}) W",
    ]
