"""`bimhw codesign RUN`: what dominates, break-even with a GPU, the price of learning, the roofline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.comparison import copies_option
from bimhw.cli.output import PictureFile, echo, json_option, print_json, print_table
from bimhw.cli.pilot import take_pilot, with_pilot_options

if TYPE_CHECKING:
    from bimhw.costs.rows import ModeRow


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--gpu", multiple=True, default=("h100",), show_default=True, help="GPUs for the break-even.")
@click.option("--psp", type=click.Choice(["delta", "exp", "alpha"]), help="PSP kernel of learning; the program's own.")
@click.option("--block", type=click.IntRange(1), default=64, show_default=True, help="K: steps between updates.")
@click.option("--lookback", type=click.IntRange(0), default=64, show_default=True, help="L: steps that TR looks back.")
@click.option(
    "--lambda",
    "lam",
    type=float,
    default=1.0,
    show_default=True,
    help="Weight of the gradient against STDP; 0: STDP alone.",
)
@click.option("--trace-bits", type=int, help="Width of learning's words; by default that of the chip's constants.")
@click.option("--event-pj", type=float, help="Energy of a replayed synaptic event [pJ] (SEQ, TR, BLK, LAZY).")
@click.option(
    "--optimiser",
    type=click.Choice(["sgd", "rms", "adam"]),
    default="rms",
    show_default=True,
    help="Of the weight update.",
)
@copies_option
@with_pilot_options
@click.option("--plot", type=PictureFile(), help="Write a plot (.png, .svg, .pdf).")
@click.option("--floorline", type=PictureFile(), help="Draw what binds each step (.png, .svg, .pdf).")
@json_option
def command(
    run: Path,
    gpu: tuple[str, ...],
    copies: int | None,
    pilot: int | None,
    plot: Path | None,
    floorline: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find what dominates, where break-even is, what learning costs.

    RUN is a folder that `bimhw simulate` wrote.
    """
    from bimhw.costs.codesign import codesign
    from bimhw.costs.learning import LearningPrice
    from simulator.base.writing import together

    learnt = take_pilot(run, pilot, options)
    price = LearningPrice(**options)
    result = codesign(run, gpu, price, copies, learnt)
    with together():
        if plot is not None:
            from bimhw.views.codesign_plot import plot_codesign

            plot_codesign(result, plot)
        if floorline is not None:
            _draw_floorline(run, floorline)
    if as_json:
        print_json(result.as_json())
        return
    titles = {
        "energy_sensitivity": "energy per sample: each constant from its low to its high end",
        "time_sensitivity": "step time: each time doubled",
        "break_even": "density of synapses at which the chip costs as much as the GPU (fixed activity)",
        "learning": "learning: dynamic nJ a step besides inference, its time not charged; nj = a step and its share of an update "
        f"every K={price.block} (L={price.lookback}, lambda={price.lam:g}, {price.optimiser})",
        "on_chip": "learning on this chip, a sample with its inference and all its time (counted; one learner, least energy "
        "first; then separate learners that fill the chip, each with a network of its own)",
        "roofline": "limits of 1e9 SynOps/s",
        "floorline": "what binds the steps: the term of the fullest core or link",
    }
    for part, title in titles.items():
        rows = [_joined(r) for r in getattr(result, part)]
        if rows:
            columns = tuple(rows[0])
            body = [tuple(_ABSENT.get(c) if r[c] is None else r[c] for c in columns) for r in rows]
            print_table(title, [c.replace("_", " ") for c in columns], body)
        elif part != "on_chip":
            echo(f"{title}: nothing to say for this run")
    _print_modes(result.modes)
    for line in (*result.verdict, *result.notes):
        echo(line)
    if result.fidelity is not None:
        echo(f"program against its network: {result.fidelity.text}")


def _joined(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose ``low_x``, ``x`` and ``high_x`` (or ``x_low`` ...) stand in one column: x (low .. high)."""
    out = dict(row)
    for low in (k for k in row if "low_" in k or k.endswith("_low")):
        name = low.replace("low_", "").removesuffix("_low")
        high = low.replace("low", "high")
        out[name] = _ranged(name, row[low], row[name], row[high])
        del out[low], out[high]
    return out


def _ranged(name: str, low: float | None, nominal: float | None, high: float | None) -> str:
    """Return a figure with its range; a density that no network has is ``never``."""
    from simulator.base.shown import significant

    absent = _ABSENT.get(name, "unknown")
    first, middle, last = (absent if v is None else significant(v, 3) for v in (low, nominal, high))
    return middle if first == middle == last else f"{middle} ({first} .. {last})"


_NEVER = ("density", "density_low", "density_high", "break_even_sparsity")
# columns in which None is no unknown figure
_ABSENT = {"pilot": "", "place by energy": "", "place by time": ""} | dict.fromkeys(_NEVER, "never")


def _print_modes(rows: list[ModeRow]) -> None:
    """Print energy and time of a sample, chip and card side by side: nominal (low .. high)."""
    if not rows:
        return
    who = [(r.mode, r.chip + (" + unknown" if r.chip_lacks else ""), r.card) for r in rows]
    energies = [
        (*w, _span(r.chip_low_uj, r.chip_uj, r.chip_high_uj), r.chip_word,
         _span(r.card_low_uj, r.card_uj, r.card_high_uj), r.card_word, r.chip_over_card)
        for w, r in zip(who, rows, strict=True)
    ]  # fmt: skip
    times = [
        (w[0], r.chip, w[2], _span(r.chip_low_us, r.chip_us, r.chip_high_us), r.chip_time_word,
         _span(r.card_low_us, r.card_us, r.card_high_us), r.card_time_word, _ratio(r.chip_us, r.card_us))
        for w, r in zip(who, rows, strict=True)
    ]  # fmt: skip
    modes = "latency mode (one sample) and throughput mode (full chip, best batch)"
    for unit, body in (("uJ", energies), ("us", times)):
        columns = ("mode", "chip", "card", f"chip, {unit}", "trust", f"card, {unit}", "trust", "chip / card")
        print_table(f"{modes}: {unit} of a sample, nominal (low .. high)", columns, body)


def _span(low: float | None, nominal: float | None, high: float | None) -> str:
    """Return a figure with its range, whose high end may be unbounded."""
    from simulator.base.shown import significant

    if nominal is None or low is None:
        return "unknown"
    end = "unbounded" if high is None else significant(high, 3)
    return f"{significant(nominal, 3)} ({significant(low, 3)} .. {end})"


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or not b else a / b


def _draw_floorline(run: Path, path: Path) -> None:
    from bimhw.costs.speed import floorline
    from bimhw.runs.folder import RunFolder
    from bimhw.views.floorline_plot import plot_floorline

    chip = RunFolder.open(run).chip()
    synapse = 0.0 if chip.timing is None else chip.timing.synapse.value or 0.0
    plot_floorline(floorline(run), synapse, f"floorline of {run.name} on {chip.name}", path)
