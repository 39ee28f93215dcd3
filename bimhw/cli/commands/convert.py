"""`bimhw convert FILE.py:NAME|FILE.pt2 --data X.npz`: a ReLU network as spiking neurons, its accuracy, energy and time."""

from __future__ import annotations

import runpy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import OutputFile, echo, json_option, print_json, print_table, seed_option
from bimhw.cli.timing_options import workers_option

if TYPE_CHECKING:
    from torch import nn

    from bimhw.costs.ann import OnChip
    from bimhw.frontends.ann.convert import Converted


@click.command()
@click.argument("module", metavar="FILE.py:NAME|FILE.pt2")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Samples x [B, ...] and perhaps y [B].")
@click.option(
    "--calibrate", type=click.Path(path_type=Path), help="Samples that balance the thresholds [those of --data]."
)
@click.option("--code", type=click.Choice(["rate", "sigma-delta"]), default="rate", show_default=True)
@click.option("--steps", type=click.IntRange(1), help="Time steps of a sample [rate: 64, sigma-delta: 1].")
@click.option(
    "--percentile",
    type=float,
    default=99.9,
    show_default=True,
    help="Percentile of the activations that sets the thresholds.",
)
@click.option(
    "--threshold", type=float, default=1 / 128, show_default=True,
    help="Sigma-delta: least change that is sent, as a share of a layer's largest activation.",
)  # fmt: skip
@click.option("--chip", default="loihi2", show_default=True, help="Chip to compile for and run on.")
@click.option("--samples", type=click.IntRange(1), help="Number run on the chip [all].")
@click.option("--gpu", multiple=True, default=("h100",), show_default=True, help="GPU for the ReLU network.")
@click.option("-o", "--output", type=OutputFile(), help="Write the program (.bimhw).")
@workers_option
@seed_option
@json_option
def command(
    module: str, data: Path, calibrate: Path | None, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Convert a ReLU network to spiking neurons and cost both.

    The network is what the function NAME of FILE.py returns (the file is run), or a FILE.pt2. The spiking network runs on the
    chip; the ReLU network is costed on a GPU, batch by batch.
    """
    from bimhw.costs.ann import run_converted
    from bimhw.frontends.ann.convert import convert
    from bimhw.tasks.dataset import Dataset

    given = Dataset.open(data)
    calibration = None if calibrate is None else Dataset.open(calibrate).x
    chip, samples, gpu, seed, workers = (options.pop(k) for k in ("chip", "samples", "gpu", "seed", "workers"))
    found = convert(_module(module), given.x, given.y, calibration=calibration, **options)
    done = run_converted(found, found.dataset(given.x, given.y), chip, gpu, samples, seed, workers=workers)
    report, row = done.compiled.report, done.energy.rows()[0]
    times = {"latency_low_us": row.low_us, "latency_high_us": row.high_us, "time_word": row.time_word}
    result = done.result.to_json() | (times if row.us is not None else {})
    figures = found.to_json() | {
        "chip": report["chip"],
        "cores": report["cores"],
        "neurons": report["neurons"],
        "result": result,
        "ann_work": asdict(found.work),
        "compare": done.energy.compare(),
        "verdict": done.energy.verdict(),
    }
    if output is not None:
        done.compiled.program.save(output)
        figures["program"] = str(output)
    if as_json:
        print_json(figures)
    else:
        _show(module, found, done, figures)


def _show(module: str, found: Converted, done: OnChip, figures: dict[str, Any]) -> None:
    from bimhw.cli.comparison import print_comparison
    from bimhw.costs.rows import shown

    echo(found.samples.note().replace("calibration data holds", "--calibrate FILE holds"))
    rows: list[tuple[Any, ...]] = [(t, found.curve.get(t, "-"), found.agreement[t]) for t in found.agreement]
    print_table(f"{module}: {found.code.name}", ("steps", "accuracy", "decides as the ReLU network"), rows)
    if found.ann_accuracy is not None:
        echo(f"accuracy of the ReLU network: {found.ann_accuracy:.4g}")
    on_chip = figures["result"].get("accuracy")
    chip = f"{figures['neurons']:,} neurons on {figures['cores']} cores of {figures['chip']}"
    echo(chip if on_chip is None else f"accuracy on the chip: {on_chip:.4g} ({chip})")
    echo("spiking network on the chip, ReLU network on a GPU")
    print_comparison(r for r in shown(done.energy.rows()) if r.work == "inference")
    for line in figures["verdict"]:
        echo(line)
    for note in (n for n in figures["notes"] if n != found.samples.note()):
        echo(f"  - {note}")
    if "program" in figures:
        echo(f"saved {figures['program']}")


def _module(text: str) -> nn.Module:
    """Return the module of an archive, or what the function of this name returns of a Python file, which is run."""
    from simulator.base.errors import InputError
    from simulator.base.reading import check_is_file

    if text.endswith(".pt2"):
        from bimhw.frontends.ann.archive import read_archive

        return read_archive(text)
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not name:
        raise InputError(
            text, "is neither FILE.py:NAME nor FILE.pt2", "Name the module, or the function that makes it, in your file"
        )
    check_is_file(Path(file))
    values = runpy.run_path(file)
    if name not in values:
        raise InputError(text, f"holds no {name!r}", "Name the module, or the function that makes it")
    from torch import nn

    value = values[name]
    made = value if isinstance(value, nn.Module) else value() if callable(value) else None
    if not isinstance(made, nn.Module):
        raise InputError(text, "is no torch module and makes none", "Name the module, or the function that makes it")
    return made
