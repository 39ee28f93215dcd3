"""Rows of the comparison of a chip with GPUs: typed values; their words are made when they are printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from energy_models.spread import UNKNOWN
from simulator.base.shown import si, significant

Work = Literal["inference", "learning", "bptt", "rtrl"]


@dataclass(frozen=True)
class ComparisonRow:
    """Cost of one sample on one device.

    Attributes:
        who: name of the chip or card.
        side: chip or gpu.
        work: inference; learning (on the chip, inference included); bptt or rtrl (on a card, forward pass included).
        how: chip: ``simulated``, or the form of learning that was counted; card: ``fused``, ``graph``, ``eager``, ``measured``.
        batch: samples at once; on a chip the copies of the network.
        low_uj, uj, high_uj: energy of a sample; of the chip, or of the whole card. None: nothing bounds it.
        system_uj: the same with board, host and supply around it; None where no figure of these is known.
        low_us, us, high_us: time of a sample (of all samples at once, over their number). The ends of the energy are at the
            nominal time.
        updates: weight updates of a sample.
        word: how far the figure can be trusted (the weakest constant with a share of 1 % or more).
        unknown: what costs energy and is in none of the sums.
        scan: the card computes all steps by a parallel scan, which a reset forbids: a bound.
        time_word: how far the time can be trusted (the weakest of the times that the run uses).
        pilot: of counted learning, samples learnt to correct the count; 0: none, though it needs some; None: it needs none.
    """

    who: str
    side: Literal["chip", "gpu"]
    work: Work
    how: str
    batch: int
    low_uj: float
    uj: float
    high_uj: float | None
    system_uj: float | None
    low_us: float | None
    us: float | None
    high_us: float | None
    updates: float
    word: str
    unknown: tuple[str, ...] = ()
    scan: bool = False
    time_word: str = UNKNOWN
    pilot: int | None = None

    @property
    def what(self) -> str:
        """The row in words."""
        if self.side == "chip":
            known = "" if self.pilot is None else f", pilot of {self.pilot}" if self.pilot else ", no pilot"
            text = (
                "inference"
                if self.work == "inference"
                else f"inference + learning ({_HOW.get(self.how, self.how)}{known})"
            )
            return (
                text
                if self.batch == 1
                else f"{text}, {self.batch} {'separate learners' if self.separate else 'copies'}"
            )
        scan = ", scan" if self.scan else ""
        return f"{_WORK[self.work]}, batch {self.batch}, {_HOW.get(self.how, self.how)}{scan}"

    @property
    def separate(self) -> bool:
        """True if the row is of learners side by side, each with a network of its own: no batch of one network."""
        return self.side == "chip" and self.work == "learning" and self.batch > 1

    def as_record(self) -> dict[str, str | float | None]:
        """Return one flat value a column, each figure with its range and its word."""
        plain = asdict(self) | {"what": self.what, "unknown": ", ".join(self.unknown)}
        return {name: plain[name] for name in _COLUMNS}

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON, the words among them."""
        return asdict(self) | {"what": self.what, "unknown": list(self.unknown)}


_COLUMNS = (
    "who", "what", "side", "work", "how", "batch", "low_uj", "uj", "high_uj", "system_uj", "low_us", "us", "high_us", "updates",
    "word", "time_word", "unknown", "scan", "pilot",
)  # fmt: skip
_WORK = {"inference": "inference", "bptt": "training (BPTT)", "rtrl": "training (RTRL)", "learning": "learning"}
_HOW = {
    "dense": "RTRL dense, counted", "seq": "RTRL SEQ, counted", "tr": "truncated TR, counted", "blk": "RTRL BLK, counted",
    "fused": "fused bound",
}  # fmt: skip
_OUTCOMES = ("LOSES", "undecided", "wins")  # the chip's, in the order of the lines
EXACT = ("dense", "seq", "blk")  # forms whose gradient is exact


def per_update(row: ComparisonRow) -> float | None:
    """Return the energy of one weight update [uJ]."""
    return row.uj / row.updates if row.updates else None


def equal_work(
    rows: Iterable[ComparisonRow], steps: float, samples: int | None, accuracy: float | None
) -> list[dict[str, Any]]:
    """Divide energies: per sample, per step, per weight update; and what it took to reach an accuracy.

    A language model's token is one step. The energy to reach an accuracy is that of all samples that were learnt from; it is
    known for the run that reached it, and for no other row.

    Args:
        rows: of the comparison.
        steps: of the network, a sample.
        samples: that the run learnt from; None where it did not learn.
        accuracy: that it reached, 0..1.
    """
    out = []
    for r in rows:
        reached = samples is not None and accuracy is not None and r.side == "chip" and r.how == "simulated"
        n = samples if reached else None
        row: dict[str, str | float | None] = {"who": r.who, "what": r.what, "word": r.word}
        for end, uj in (("", r.uj), ("low_", r.low_uj), ("high_", r.high_uj)):
            row |= {f"{end}{name}": value for name, value in _divided(r, uj, steps, n).items()}
        out.append(row | {"accuracy": accuracy if reached else None})
    return out


def _divided(r: ComparisonRow, uj: float | None, steps: float, samples: int | None) -> dict[str, float | None]:
    return {
        "uj_per_sample": uj,
        "uj_per_step": uj / steps if steps and uj is not None else None,
        "uj_per_update": None if uj is None else per_update(replace(r, uj=uj)),
        "uj_to_accuracy": uj * samples if samples and uj is not None else None,
    }


def shown(rows: Iterable[ComparisonRow], batches: tuple[int, ...] = (1,)) -> list[ComparisonRow]:
    """Return the rows that a short table shows: the chip's, and of each card, work and case these batches and the best one."""
    found = list(rows)
    out = [r for r in found if r.side == "chip"]
    for same in _cases(found).values():
        best = min(same, key=lambda r: r.uj)
        out += [r for r in same if r.batch in batches or r is best or r.how == "measured"]
    return out


def _cases(rows: Iterable[ComparisonRow]) -> dict[tuple[str, str, str, bool], list[ComparisonRow]]:
    """Return the rows of cards by card, work, case and scan."""
    out: dict[tuple[str, str, str, bool], list[ComparisonRow]] = {}
    for r in rows:
        if r.side == "gpu":
            out.setdefault((r.who, r.work, r.how, r.scan), []).append(r)
    return out


def verdict(rows: Iterable[ComparisonRow]) -> list[str]:
    """State where the chip loses, where the ranges do not decide, and where it wins.

    One sample at a time, and at each side's best batch. Lines begin with ``LOSES``, ``undecided`` or ``wins``, in this order.
    """
    found = list(rows)
    lines: list[tuple[int, str]] = []
    for (_, work, _, scan), cards in _cases(found).items():
        own = [
            r for r in found if r.side == "chip" and not r.separate and (r.work == "inference") == (work == "inference")
        ]
        if own and not scan and work != "rtrl":
            lines += _lines(own, cards)
    return [text for _, text in sorted(lines, key=lambda line: line[0])]


def _lines(own: list[ComparisonRow], cards: list[ComparisonRow]) -> list[tuple[int, str]]:
    """Describe one card, one work, one case: one sample at a time; then the cheapest of each side."""
    if all(r.word == UNKNOWN for r in own):
        chip, card = own[0], _least(cards)
        return [
            (1, f"undecided: {chip.who} {chip.what} has no published energy to compare with {card.who} {card.what}")
        ]
    own = [r for r in own if r.word != UNKNOWN]
    out, single = [], [r for r in cards if r.batch == 1]
    alone = [r for r in own if r.batch == 1]
    if single and alone:
        out.append(_against(min(alone, key=lambda r: r.uj), single[0], ""))
    chip, card = min(own, key=lambda r: r.uj), min(cards, key=lambda r: r.uj)
    if card.batch > 1:
        ahead = sorted(r.batch for r in cards if r.uj < chip.uj)
        out.append(_against(chip, card, f"; the card is ahead from batch {ahead[0]} on" if ahead else ""))
    return out


def _against(chip: ComparisonRow, card: ComparisonRow, more: str) -> tuple[int, str]:
    """Return the place of the outcome in `_OUTCOMES`, and the line."""
    loses = card.uj < chip.uj
    doubt = _doubt(chip, card) if loses else _doubt(card, chip)
    outcome = 1 if doubt else 0 if loses else 2
    ratio = chip.uj / card.uj if loses else card.uj / chip.uj
    words = f"{significant(ratio, 3)} times {'more' if loses else 'less'} than"
    note = " (its sums lack unknown terms)" if chip.unknown and not loses else ""
    return outcome, (
        f"{_OUTCOMES[outcome]}: {chip.who} {chip.what} {si(chip.uj * 1e-6, 'J')}, {words} {card.who} {card.what} "
        f"{si(card.uj * 1e-6, 'J')}{more}{doubt}{note}"
    )


def _doubt(dearer: ComparisonRow, cheaper: ComparisonRow) -> str:
    """Say so where the ranges of two rows overlap: other constants within them would turn the order."""
    if cheaper.high_uj is None or cheaper.high_uj < dearer.low_uj:
        return ""  # what nothing bounds is said as unknown
    low, high = (si(uj * 1e-6, "J") for uj in (dearer.low_uj, cheaper.high_uj))
    return f"; the ranges overlap ({dearer.who} from {low}, {cheaper.who} to {high})"


@dataclass(frozen=True)
class ModeRow:
    """Chip and card in one mode, ``latency`` or ``throughput``; fields as in `ComparisonRow`, `chip_lacks` in words."""

    mode: str
    chip: str
    chip_lacks: str
    chip_low_uj: float
    chip_uj: float
    chip_high_uj: float | None
    chip_low_us: float | None
    chip_us: float | None
    chip_high_us: float | None
    chip_word: str
    chip_time_word: str
    card: str
    card_low_uj: float
    card_uj: float
    card_high_uj: float | None
    card_low_us: float | None
    card_us: float | None
    card_high_us: float | None
    card_word: str
    card_time_word: str
    chip_over_card: float


def modes(rows: Iterable[ComparisonRow]) -> list[ModeRow]:
    """Return latency mode (one sample) and throughput mode (full chip, best batch) of the chip beside each card and case.

    Learning is compared with BPTT; in throughput mode the chip's learners each have a network of their own.
    """
    found, out = list(rows), []
    for (_, work, _, scan), cards in _cases(found).items():
        own = [r for r in found if r.side == "chip" and (r.work == "inference") == (work == "inference")]
        if not own or scan or work == "rtrl":
            continue
        alone, full = [r for r in own if r.batch == 1], [r for r in own if r.batch > 1]
        pairs = [("latency", alone, [r for r in cards if r.batch == 1]), ("throughput", full or alone, cards)]
        for mode, chips, others in pairs:
            if chips and others:
                out.append(_mode(mode, _least(chips), _least(others)))
    return out


def _least(rows: Iterable[ComparisonRow]) -> ComparisonRow:
    return min(rows, key=lambda r: r.uj)


def _mode(mode: str, chip: ComparisonRow, card: ComparisonRow) -> ModeRow:
    return ModeRow(
        mode, chip.what, ", ".join(chip.unknown), chip.low_uj, chip.uj, chip.high_uj, chip.low_us,
        chip.us, chip.high_us, chip.word, chip.time_word, f"{card.who} {card.what}", card.low_uj, card.uj, card.high_uj,
        card.low_us, card.us, card.high_us, card.word, card.time_word, chip.uj / card.uj,
    )  # fmt: skip
