"""LibriSpeech (Panayotov et al. 2015, CC BY 4.0): utterances with transcripts, in the official layout.

Get it at https://www.openslr.org/12 . `path` is ``LibriSpeech`` or the folder above it: ``<subset>/<speaker>/<chapter>/`` with
``<speaker>-<chapter>-<NNNN>.flac`` (16 kHz mono) and ``<speaker>-<chapter>.trans.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bimhw.tasks.checks import check_folder, read_utf8
from bimhw.tasks.features.audio import FrontEnd, decode_sound
from simulator.base.arrays import F32
from simulator.base.errors import InputError
from simulator.base.reading import read_bytes

WHERE = "https://www.openslr.org/12"
RATE_HZ = 16_000
FRONT = FrontEnd(rate_hz=RATE_HZ, window=400, hop=200, fft=512, bands=40, low_hz=60.0, high_hz=7600.0)
SYMBOLS = " 'ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Utterance:
    """One utterance; its sound is read when it is asked for."""

    name: str
    speaker: str
    text: str
    file: Path

    def sound(self) -> F32:
        """Return the sound [samples] at 16 kHz.

        Raises:
            InputError: truncated or of another kind.
        """
        return decode_sound(read_bytes(self.file, 2**31), str(self.file), RATE_HZ)

    def frames(self) -> F32:
        """Return [T, 40] log-mel frames of 12.5 ms."""
        return FRONT.frames(self.sound())

    def symbols(self) -> list[int]:
        """Return the transcript as indices into `SYMBOLS`."""
        return [SYMBOLS.index(c) for c in self.text]


def utterances(path: Path, subset: str | None = None) -> list[Utterance]:
    """Return all utterances of a subset (``test-clean``), sorted by name; None: all there.

    Raises:
        InputError: no transcript there, a transcript line without its sound file or with a character that transcripts do not
            have, a sound file without a line, an empty subset.
    """
    check_folder(path, "the subsets (test-clean, ...)")
    root = path / "LibriSpeech" if (path / "LibriSpeech").is_dir() else path
    if subset is not None and not (root / subset).is_dir():
        there = ", ".join(sorted(p.name for p in root.iterdir() if p.is_dir())) or "none"
        raise InputError(str(root), f"holds no subset {subset!r}", f"There are: {there}")
    lists = sorted((root / subset if subset else root).rglob("*.trans.txt"))
    if not lists:
        raise InputError(str(root), "holds no *.trans.txt", f"Get LibriSpeech at {WHERE}")
    found = [u for file in lists for u in _chapter(file)]
    return sorted(found, key=lambda u: u.name)


def _chapter(transcripts: Path) -> Iterator[Utterance]:
    prefix = transcripts.name.removesuffix(".trans.txt")
    named = set()
    for number, line in enumerate(read_utf8(transcripts).splitlines(), 1):
        where = f"{transcripts}, line {number}"
        name, _, text = line.strip().partition(" ")
        if not name.startswith(f"{prefix}-") or not text:
            raise InputError(where, f"{line[:60]!r} is not `{prefix}-NNNN WORDS`", "The list is cut or mislabelled")
        strange = set(text) - set(SYMBOLS)
        if strange:
            raise InputError(where, f"the character {min(strange)!r} is none of A-Z, apostrophe and space")
        file = transcripts.with_name(f"{name}.flac")
        if not file.is_file():
            raise InputError(where, f"{file.name} is not there", "The copy is not complete")
        named.add(file.name)
        yield Utterance(name, prefix.partition("-")[0], text, file)
    extra = sorted(p.name for p in transcripts.parent.glob("*.flac") if p.name not in named)
    if extra:
        raise InputError(str(transcripts), f"has no line for {extra[0]}", "The list is cut or mislabelled")
