"""`docs/silicon.md`: every prediction against published silicon on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bimhw.evidence.silicon.compare import Comparison
from bimhw.evidence.silicon.judge import MARK_ENERGY, MARK_TIME, QUANTITIES, DataSet, Row

MOST_ALIKE = 4  # rows of one reason, after which the rest is counted
_HEAD = f"""# Predictions against published silicon

Written by `bimhw silicon DIR --markdown docs/silicon.md`; do not edit by hand. DIR holds the measurement files; the tables that
come with bimhw are added. A row that cannot judge says why: a constant was fitted on it, the host sets its pace, or any constants
would give its error. Signed error = (predicted - measured) / measured; the figure of a set is the mean of its absolute errors.

*Vendor* is the same prediction with the constants that the chip's vendor published and nothing that was fitted since:
Davies et al. 2018 for Loihi 1, Intel's brief for Loihi 2, Hoeppner et al. 2019 for SpiNNaker 1, Tang et al. 2023 for SENECA;
the constants of ODIN and TrueNorth are their designers' in both columns.
SANA-FE states {100 * MARK_ENERGY:.1f} % (dynamic energy) and {100 * MARK_TIME:.1f} % (step time) on Loihi 1, the worst of three
applications.
"""
_NOT_REBUILT = (
    (
        "SHD with delays on Loihi 2 (arXiv:2510.13757)",
        "steps and firing rates of a sample, and what the energy holds, not given",
    ),
    (
        "winner-take-all networks on Loihi 2 (OzU-CAST)",
        "their times fitted `barrier` and `neuron_op`; no spikes beside the power",
    ),
    (
        "e-prop on SpiNNaker 2 (Rostami et al. 2022)",
        "54.7 kJ in 586 h is a mean power; no other energy of its cores is known",
    ),
    ("EMSTDP on Loihi 1 (Shrestha et al. 2021)", "energy of the whole board; phases and spikes of a sample not given"),
    ("backpropagation on Loihi 1 (Renner et al. 2021)", "energy of the whole board; spikes of a sample not given"),
    (
        "Speck (Yao et al. 2024)",
        "power against spikes of one network: a line through a fitted point; no energy of an operation is published",
    ),
    ("Xylo, AKD1000", "no energy or time of an operation is published, so a prediction would be a fit"),
    ("ReckOn", "5.3 pJ an operation is the whole power over the operations; spikes of its tasks are not given"),
    ("MNIST on ODIN (15 nJ a sample)", "it ends with the first output spike; after how many inputs is not given"),
    (
        "applications on TrueNorth (63 mW video, PNAS 2016, TCAD 2015)",
        "power without spikes, or without a supply: 49 to 64 mW at 0.75 V would be static power for the most part",
    ),
    (
        "LASSO, SLAM, keyword, control and DVS networks on Loihi 1",
        "spikes of a sample not given, or energy of the board",
    ),
    ("whole networks on SENECA", "a power simulator's figures; its single operations are the constants"),
)


def page(result: Comparison, vendor: Comparison, exchanged: Mapping[str, Comparison]) -> str:
    """Return the page as Markdown.

    Args:
        result: predictions with the chip files' constants.
        vendor: the same sets in the same order, with the vendors' constants alone.
        exchanged: the same with the variants of the vendors' constants, by name.
    """
    heads = [name for q in QUANTITIES for name in (q, "vendor")]
    lines = [_HEAD, f"| set | {' | '.join(heads)} | rows that judge |", "|---" * (len(heads) + 2) + "|"]
    for own, theirs in zip(result.sets, vendor.sets, strict=True):
        judged = sum(len(own.judged(q)) for q in QUANTITIES)
        cells = [_percent(s.figure(q)) for q in QUANTITIES for s in (own, theirs)]
        lines.append(f"| {own.name} | {' | '.join(cells)} | {judged} of {len(own.rows)} |")
    means = [_percent(r.mean(q)) for q in QUANTITIES for r in (result, vendor)]
    lines += [f"| mean over sets | {' | '.join(means)} | |", ""]
    lines += [*_vendor_part(result, vendor, exchanged), ""]
    for s in result.sets:
        lines += [f"## {s.name} (constants of `{s.chip}`)", "", *_table(s)]
        lines += ["", *(f"- fitted: {text}" for text in s.fitted), *(f"- {text}" for text in s.assumptions), ""]
    lines += [f"- left out: {text}" for text in result.left_out]
    lines += ["## Not rebuilt", "", "| measurement | why |", "|---|---|", *(f"| {a} | {b} |" for a, b in _NOT_REBUILT)]
    return "\n".join(lines).rstrip() + "\n"


def _vendor_part(result: Comparison, vendor: Comparison, exchanged: Mapping[str, Comparison]) -> list[str]:
    """Show which of the vendors' constants make up the error of each set: one group at a time as it was fitted since."""
    energy = "dynamic energy"
    lines = [_VENDORS, f"| set | vendor | {' | '.join(exchanged)} | all |", "|---" * (len(exchanged) + 3) + "|"]
    for k, (own, theirs) in enumerate(zip(result.sets, vendor.sets, strict=True)):
        alone = theirs.figure(energy)
        if alone is None or alone == own.figure(energy):
            continue
        others = [c.sets[k].figure(energy) for c in exchanged.values()]
        cells = ["=" if f == alone else _percent(f) for f in others]
        lines.append(f"| {own.name} | {_percent(alone)} | {' | '.join(cells)} | {_percent(own.figure(energy))} |")
    return lines


_VENDORS = """## What the vendors' constants lack

Mean |error| of the dynamic energy with the vendor's constants, with one group of them as it was fitted since, and with all.
`=`: the group makes no difference. Davies et al. state energies of Loihi 1 before silicon, none of a spike or a packet that
leaves a core, and one energy of a synaptic event for all formats. Intel states none of a Loihi 2 step. Hoeppner et al. state a
neuron and an event of SpiNNaker's chip: SDRAM, regulators and the rest of the board are not in them; the measurements are of
boards. Their designers' own figures of a board (Sharp et al. 2012: 100 nJ a neuron and ms, 43 nJ a postsynaptic potential, with
the software of that year) are the column `board, 2012`: no better, for an event costs less today.
"""


def _table(s: DataSet) -> list[str]:
    lines = ["| row | quantity | measured | predicted | unit | error | judges |", "|---|---|---|---|---|---|---|"]
    alike: dict[tuple[str, str], list[Row]] = {}
    for row in s.rows:
        same = alike.setdefault((row.quantity, row.excluded), [])
        same.append(row)
        if not row.excluded or len(same) <= MOST_ALIKE:
            lines.append(_row(row))
    return [*lines, *(_rest(rows[MOST_ALIKE:]) for (_, why), rows in alike.items() if why and len(rows) > MOST_ALIKE)]


def _rest(rows: Sequence[Row]) -> str:
    errors, first = [100 * r.error for r in rows], rows[0]
    span = f"{min(errors):+.1f} .. {max(errors):+.1f} %"
    return f"| {len(rows)} more | {first.quantity} | | | {first.unit} | {span} | {first.excluded} |"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _row(r: Row) -> str:
    judges = r.excluded or "yes"
    return f"| {r.name} | {r.quantity} | {r.measured:.5g} | {r.predicted:.5g} | {r.unit} | {100 * r.error:+.1f} % | {judges} |"
