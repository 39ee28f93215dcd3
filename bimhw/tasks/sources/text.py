"""Text for language modelling: the texts in the package, WikiText, or a file of the user's; characters or words.

Perplexity and bits per character come from one sum of negative log-likelihoods (`language_metrics`), with the tokens and
characters that were scored printed beside them: two figures that cannot follow from one sum cannot appear.
"""

from __future__ import annotations

import gzip
import importlib.resources
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bimhw.tasks.checks import check_folder, check_not_empty, read_utf8, utf8_lines
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import I32
from simulator.base.errors import InputError

PACKAGED = {"enwiki": "enwiki_extract.txt.gz", "alice": "alice29.txt.gz", "asyoulik": "asyoulik.txt.gz"}
ALPHABETS = ("low", "az", "raw")
_LOW = "abcdefghijklmnopqrstuvwxyz .,()'\"-;:0"
_AZ = "abcdefghijklmnopqrstuvwxyz "
UNKNOWN = "<unk>"
_SPLITS = ("train", "valid", "test")
END_OF_LINE = "<eos>"
# The test part is scored in so many streams side by side, the first symbols of each left out.
TEST_STREAMS, SKIPPED = 16, 50

Ids = I32


@dataclass(frozen=True)
class Corpus:
    """A text as symbol indices.

    Attributes:
        name: where it comes from.
        symbols: the alphabet or vocabulary; index -> symbol.
        train: [n] indices. The validation part follows it and is not in it.
        validation: [n] indices, for choosing settings.
        test: [n] indices.
        characters_per_token: code points of the test text for each of its tokens (1 for characters), to turn nats a token into
            bits a character.
        comparable: what may and may not be compared with these figures.
        words: the symbols are words by falling frequency, not characters.
        official: the parts are files of their own: the validation file is never learnt from, and every test token is scored.
    """

    name: str
    symbols: tuple[str, ...]
    train: Ids
    validation: Ids
    test: Ids
    characters_per_token: float
    comparable: str
    words: bool = False
    official: bool = False

    @property
    def whole_train(self) -> Ids:
        """Data of the last run: train and validation part together, or the train file where the parts are official."""
        return self.train if self.official else np.concatenate([self.train, self.validation])


@dataclass(frozen=True)
class LanguageScore:
    """Score of a language model, all of it from one sum of nats."""

    nll_nats: float
    tokens: int
    characters: float
    perplexity: float
    bits_per_character: float


def language_metrics(nll_nats: float, tokens: int, characters_per_token: float = 1.0) -> LanguageScore:
    """Compute ppl = exp(NLL / tokens), bpc = NLL / (ln 2 · characters).

    Raises:
        InputError: no token was scored.
    """
    if tokens <= 0:
        raise InputError("language model", "no token was scored", "Give a longer test text")
    characters = tokens * characters_per_token
    return LanguageScore(
        nll_nats, tokens, characters, math.exp(nll_nats / tokens), nll_nats / (math.log(2) * characters)
    )


def packaged_text(name: str) -> str:
    """Return a text that lies in the package (`PACKAGED`), as it is."""
    if name not in PACKAGED:
        raise InputError(name, "is not a text of the package", f"There are: {', '.join(PACKAGED)}")
    data = importlib.resources.files("bimhw.tasks.data").joinpath(PACKAGED[name]).read_bytes()
    return gzip.decompress(data).decode("utf-8")


def read_text(path: Path) -> str:
    """Read a UTF-8 text file of the user's.

    Raises:
        InputError: no such file, not UTF-8, empty.
    """
    text = read_utf8(path).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise InputError(str(path), "is empty")
    return text


def normalise(text: str, alphabet: str) -> str:
    """Reduce a text to an alphabet.

    ``low``: lower case, white space runs to one space, ``a-z .,()'"-;:`` kept, every digit to 0, all else to ``-`` (37 symbols).
    ``az``: lower case, a-z kept, all else to a space, runs of spaces to one (27 symbols). ``raw``: as it is.
    """
    if alphabet == "raw":
        return text
    if alphabet == "low":
        text = re.sub("[0-9]", "0", " ".join(text.lower().split()))
        return re.sub(f"[^{re.escape(_LOW)}]", "-", text)
    if alphabet == "az":
        return " ".join(re.sub("[^a-z]", " ", text.lower()).split())
    raise InputError("alphabet", f"{alphabet!r} is not known", f"Choose {', '.join(ALPHABETS)}")


def character_corpus(text: str, alphabet: str = "low", name: str = "text", rare: int = 20) -> Corpus:
    """Split characters by position: the first 90 % train (its last tenth for validation), the last 10 % test.

    With ``raw``, characters seen fewer than `rare` times in the train part become one symbol, so that its figures are not bits
    per byte.
    """
    text = normalise(text, alphabet)
    cut = len(text) * 9 // 10
    if alphabet == "raw":
        counts = Counter(text[:cut])
        symbols = (*sorted(c for c, n in counts.items() if n >= rare), UNKNOWN)
    else:
        symbols = tuple({"low": _LOW, "az": _AZ}[alphabet])
    ids = _encode(text, symbols)
    note = (
        f"alphabet {alphabet!r}, {len(symbols)} symbols, last 10 % of the text; not bits per byte of the original file"
    )
    held = cut * 9 // 10
    return _corpus(name, symbols, (ids[:held], ids[held:cut], ids[cut:]), 1.0, note)


def load(path: str | Path | None = None, alphabet: str = "low", text: str = "enwiki") -> Corpus:
    """Load the characters of a user's UTF-8 file, or of a text in the package (`PACKAGED`)."""
    if path is not None:
        return character_corpus(read_text(Path(path)), alphabet, Path(path).name)
    return character_corpus(packaged_text(text), alphabet, text)


def wikitext(
    path: str | Path | None = None, level: str = "char", alphabet: str = "raw", vocabulary: int | None = None
) -> Corpus:
    """Load WikiText-103 (or -2) in its official layout: ``wiki.{train,valid,test}.tokens`` (or ``.raw``) in `path` or below.

    Word level: tokens split by spaces plus one ``<eos>`` a line, the official count; words outside the train vocabulary (or
    outside its `vocabulary` most frequent) are ``<unk>``. The validation file is never learnt from, and every test token
    is scored. ``bits_per_character`` counts the code points of the ``.tokens`` file, line ends included.

    Raises:
        InputError: files missing, not text, an empty split, an unknown level.
    """
    if path is None:
        raise InputError(
            "wikitext", "needs a path to wiki.train.tokens and its kin", "Get wikitext-103-v1.zip and unpack it"
        )
    folder = Path(path)
    files = _wiki_files(folder)
    if level == "word":
        return _word_corpus(f"WikiText ({folder.name})", files, vocabulary)
    if level != "char":
        raise InputError("level", f"{level!r} is not known", "Choose char or word")
    train, held, test = (read_text(files[split]) for split in _SPLITS)
    counts = Counter(normalise(train, alphabet))
    symbols = (*sorted(c for c, n in counts.items() if n >= 20), UNKNOWN)
    ids = tuple(_encode(normalise(t, alphabet), symbols) for t in (train, held, test))
    note = f"alphabet {alphabet!r}: {len(symbols)} symbols of the train file; characters of the .tokens file, <unk> included"
    return _corpus(f"WikiText ({folder.name})", symbols, ids, 1.0, note, official=True)


def _wiki_files(path: Path) -> dict[str, Path]:
    check_folder(path, "wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens (wikitext-103-v1.zip)")
    found: dict[str, Path] = {}
    for split in _SPLITS:
        for ending in ("tokens", "raw"):
            hits = sorted(path.rglob(f"wiki.{split}.{ending}"))
            if hits:
                found.setdefault(split, hits[0])
    missing = [f"wiki.{s}.tokens" for s in _SPLITS if s not in found]
    if missing:
        what = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there"
        raise InputError(
            str(path), what, "Unpack the whole archive of WikiText; the validation file is never learnt from"
        )
    return found


def words(lines: Iterable[str]) -> Iterator[str]:
    """Yield the tokens of the lines of a WikiText file: split at spaces, and one ``<eos>`` for each line."""
    for line in lines:
        yield from line.split()
        yield END_OF_LINE


def _word_corpus(name: str, files: Mapping[str, Path], vocabulary: int | None) -> Corpus:
    """Read the files line by line: the train file of WikiText-103 would fill the memory as strings."""
    if vocabulary is not None and vocabulary < 1:
        raise InputError("vocabulary", f"is {vocabulary}", "Give at least 1")
    train, held, test = (files[split] for split in _SPLITS)
    counts = Counter(words(utf8_lines(train)))
    kept = [w for w, _ in counts.most_common(vocabulary) if w != UNKNOWN]
    symbols = (UNKNOWN, *kept)
    index = {w: i for i, w in enumerate(symbols)}
    train_ids, held_ids, test_ids = (
        np.fromiter((index.get(w, 0) for w in words(utf8_lines(f))), np.int32) for f in (train, held, test)
    )
    note = f"{len(symbols)} words; out-of-vocabulary test words are scored as <unk>; characters of the .tokens file"
    per_token = sum(map(len, utf8_lines(test))) / len(test_ids)
    return _corpus(name, symbols, (train_ids, held_ids, test_ids), per_token, note, words=True, official=True)


def _encode(text: str, symbols: Sequence[str]) -> Ids:
    """Turn characters to indices; an unknown one to the last symbol if that is ``<unk>``, else to ``-``/space by `normalise`."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    rest = len(symbols) - 1 if symbols[-1] == UNKNOWN else 0
    table = np.full(int(points.max(initial=0)) + 1, rest, np.int32)
    for i, symbol in enumerate(symbols):
        if len(symbol) == 1 and ord(symbol) < len(table):
            table[ord(symbol)] = i
    encoded: Ids = table[points]
    return encoded


def _corpus(
    name: str,
    symbols: tuple[str, ...],
    parts: tuple[Ids, ...],
    per_token: float,
    note: str,
    words: bool = False,
    official: bool = False,
) -> Corpus:
    train, validation, test = parts
    for split, ids in (("train", train), ("validation", validation), ("test", test)):
        check_not_empty(len(ids), split, name)
    return Corpus(name, symbols, train, validation, test, per_token, note, words, official)


register_task(
    TaskInfo(
        "wikitext",
        "WikiText-103 or -2, characters or words",
        "path",
        "wikitext-103-v1.zip",
        wikitext,
        kind="text",
        layout=r"wiki\.test\.(tokens|raw)$",
        rank=15,
    )
)
register_task(
    TaskInfo(
        "lm",
        "characters of a Wikipedia extract, or of a file",
        "package",
        "CC BY-SA",
        load,
        kind="text",
        layout=r"\.txt$",
        rank=16,
    )
)
