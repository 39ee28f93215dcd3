"""Rule files: learning rules of one's own as YAML, each error with line and column.

name: r-stdp
epoch: 1                             # steps between two applications, 1 to 63
rounding: stochastic                 # or nearest, unbiased
rules:
  - projections: hidden              # hidden, readout, or names (with * and ?)
    traces: {x1: {impulse: 32, tau: 8}, y1: {impulse: 32, tau: 8}}
    factors: {u1: {of: reward}}
    dt: 2^-2*x1*y0 - 2^-2*y1*x0 - 2^-4*t
    dw: 2^-6*u1*t
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec

from simulator.base.errors import InputError, unknown_name
from simulator.base.reading import boundary, parse_yaml, read_text
from simulator.plasticity.rules.loihi import Trace
from simulator.plasticity.rules.product_text import RuleError, parse_rule
from simulator.plasticity.rules.products import Products

Source = Literal[
    "error", "random_error", "local_error", "label", "random_label", "reward", "surprise", "critic", "slope", "peak",
    "spikes",
]  # fmt: skip
Rounding = Literal["stochastic", "nearest", "unbiased"]
LOCAL = ("slope", "peak", "spikes")  # made by neurons in every step; the host makes the others at labelled steps
TRACES = ("x1", "x2", "y1", "y2", "y3")
MOST_CHARACTERS, _PLAIN, _NAMED = 100_000, re.compile(r"."), re.compile(r"\s*(d[wtd])\s*=")
_WHOLE = "See docs/on-chip-learning.md for a whole file"
Path_ = tuple[str | int, ...]
# One character of the value, as it is written within quotes; escapes of white space, which does not count.
_ESCAPES = {"'": re.compile(r"''|."), '"': re.compile(r"\\(?:x.{2}|u.{4}|U.{8}|.|$)|.")}
_SPACES = ("\\", "\\n", "\\t", "\\ ", "\\r", "\\_", "\\N", "\\L", "\\P", "\\x20", "\\u0020")


class TraceText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trace: what a spike adds (0 to 127 + 255/256), decay time in steps (0: none)."""

    impulse: float
    tau: float


class FactorText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A third factor.

    Attributes:
        of: ``error``: label less answer, in units of 1/127, at the readout, or through its weights to what it reads;
            ``random_error``: through fixed random signs; ``local_error``: the same of a layer's own answer, whose scores are its
            spikes times these signs over the root of their number; ``label``, ``random_label``: the label's neuron alone;
            ``reward``: 1 where the answer is right, -1 where it is not; ``surprise``: 64 (R - <R>) of that, R in {0, 1};
            ``critic``: that with a mean of each label; ``slope``: 127 max(0, 1 - |v - A| / threshold), A adapts;
            ``peak``: 1 where its potential is higher than ever before in the sample; ``spikes``: the spikes of the step, or
            the sum of the graded payloads, of the population `population`: modulators, or an input that the host drives.
        tau: decay time of its filter in steps; 0: it has none.
        at: ``label``: only at steps with a label; ``end``: only at the last of them; slope, peak and spikes come in every step.
        neuron: of the population, that alone is heard; None: all are.
    """

    of: Source
    tau: float = 0.0
    at: Literal["label", "end"] = "label"
    population: str = ""
    neuron: Annotated[int, msgspec.Meta(ge=0)] | None = None


class RuleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rule of some projections; see the module."""

    projections: str | list[str] = "hidden"
    dw: str = ""
    dt: str = ""
    dd: str = ""
    traces: dict[str, TraceText] = {}
    factors: dict[str, FactorText] = {}


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule file.

    Attributes:
        name: of the rule.
        rules: of projections; the first that fits a projection counts.
        epoch: steps between two applications.
        rounding, sign: of the variables, see `products`; of the weights.
        about: what it is, and from where.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    rules: list[RuleText]
    epoch: int = 1
    rounding: Rounding = "stochastic"
    sign: Literal["mixed", "excitatory", "inhibitory"] = "mixed"
    about: str = ""


class Rule(NamedTuple):
    """The rule of some projections, ready to run; `places` tells where its file names projections and each third factor."""

    projections: tuple[str, ...]
    dw: Products
    dt: Products
    dd: Products
    traces: Mapping[str, Trace]
    factors: Mapping[int, FactorText]
    places: Mapping[str | int, str]

    def names(self) -> set[str]:
        """Return the variables that its products read."""
        return self.dw.names() | self.dt.names() | self.dd.names()


class ReadRules(NamedTuple):
    """A rule file that was read and checked."""

    file: RuleFile
    rules: tuple[Rule, ...]

    def sha256(self) -> str:
        """Return the hash of what the file says, whatever its layout and comments."""
        return hashlib.sha256(msgspec.json.encode(self.file, order="sorted")).hexdigest()


def shipped_rules() -> list[str]:
    """Return the names of the rule files in the package."""
    folder = resources.files("simulator.plasticity.rules") / "shipped"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def read_rules(source: str | Path) -> ReadRules:
    """Read a rule file, or one of the package by its name.

    Raises:
        InputError: no such file, or a fault, with its line and column.
    """
    if str(source) in shipped_rules():
        file = resources.files("simulator.plasticity.rules") / "shipped" / f"{source}.yaml"
        return rules_from(file.read_text(encoding="utf-8"), f"{source}.yaml")
    if not Path(source).exists() and Path(source).suffix not in (".yaml", ".yml"):
        unknown = unknown_name("rule file", source, shipped_rules(), more="or a file of your own")
        raise InputError(f"rule file {str(source)!r}", "does not exist", unknown.way_out)
    return rules_from(read_text(Path(source), MOST_CHARACTERS), str(source))


def rules_from(text: str, where: str) -> ReadRules:
    """Read the text of a rule file.

    Raises:
        InputError: as `read_rules`.
    """
    with boundary(where, "a rule file"):
        return _read(text, where)


def _read(text: str, where: str) -> ReadRules:
    raw = parse_yaml(text, where)
    places = _Places(text, where)
    if raw is None:
        raise places.error((), "is empty", _WHOLE)
    try:
        file = msgspec.convert(raw, RuleFile)
    except msgspec.ValidationError as error:
        raise places.of_validation(error, raw) from error
    if not 1 <= file.epoch <= 63:
        raise places.error(("epoch",), f"is {file.epoch}, a 6-bit word", "Give 1 to 63")
    if not file.rules:
        raise places.error(("rules",), "are none", "Give at least one")
    return ReadRules(file, tuple(_rule(r, ("rules", k), places) for k, r in enumerate(file.rules)))


def _rule(text: RuleText, path: Path_, places: _Places) -> Rule:
    if not (text.dw or text.dd):
        fault = "has none of dw, dd and dt" if not text.dt else "changes tags (dt) that no dw or dd turns into weight"
        raise places.error(path, fault, "Give the change of the weight, dw, or of the delay, dd")
    dw, dt, dd = (_products(getattr(text, name), (*path, name), places) for name in ("dw", "dt", "dd"))
    read = dw.names() | dt.names() | dd.names()
    traces = {name: _trace(name, t, (*path, "traces", name), places) for name, t in text.traces.items()}
    factors = {}
    where: dict[str | int, str] = {"projections": places.text((*path, "projections"))}
    for name, factor in text.factors.items():
        _check_factor(name, factor, (*path, "factors", name), places)
        if name not in read:
            raise places.error((*path, "factors", name), "is read by no product", "Use it, or leave it out")
        word = name
        if name[0] == "y":  # Loihi 2 hands a third factor over in the place of a target's trace
            if name in traces:
                raise places.error((*path, "factors", name), f"{name} is a trace here", "Take another name")
            word = next((f"u{k}" for k in range(9, 0, -1) if f"u{k}" not in read | text.factors.keys()), "")
            if not word:
                raise places.error((*path, "factors", name), "is one of more than 9", "Take fewer")
            dw, dt, dd = (each.renamed(name, word) for each in (dw, dt, dd))
            read = read - {name} | {word}
        factors[int(word[1])] = factor
        where[int(word[1])] = places.text((*path, "factors", name))
    for name in sorted(read & set(TRACES)):
        if name not in traces:
            key = next(k for k, each in (("dw", dw), ("dt", dt), ("dd", dd)) if name in each.names())
            raise places.error((*path, key), f"reads the trace {name}, which has no constants", f"Add {name} to traces")
    if "t" in read and not text.dt:
        key = "dw" if "t" in dw.names() else "dd"
        raise places.error((*path, key), "reads the tag t, which no dt changes", "Add dt, or leave t out")
    for name in sorted(traces.keys() - read):
        raise places.error((*path, "traces", name), "is read by no product", "Use it, or leave it out")
    names = [text.projections] if isinstance(text.projections, str) else text.projections
    if not text.projections:
        raise places.error((*path, "projections"), "are none", "Give hidden, readout, or names")
    return Rule(tuple(names), dw, dt, dd, traces, factors, where)


def _check_factor(name: str, factor: FactorText, path: Path_, places: _Places) -> None:
    if not re.fullmatch(r"u[1-9]|y[1-3]", name):
        raise places.error(path, f"{name!r} is no third factor", "They are u1 to u9, or y1 to y3")
    if not 0 <= factor.tau <= 1e9:
        raise places.error(path, f"has tau = {factor.tau:g}", "Give steps, 0 for no filter")
    if factor.neuron is not None and not factor.population:
        raise places.error(path, "names a neuron of no population", "Name its population")
    if bool(factor.population) != (factor.of == "spikes"):
        fault = "names a population, and is no spikes" if factor.population else "is spikes of no population"
        raise places.error(path, fault, "Write {of: spikes, population: NAME}")
    if factor.at == "end" and factor.of in LOCAL:
        raise places.error(path, f"is {factor.of}, which comes in every step, not at the end", "Leave at out")


def _products(text: str, path: Path_, places: _Places) -> Products:
    if not text:
        return Products.of(())
    named = _NAMED.match(text)  # dw = 2^-2*x1*y0, as it stands in papers
    if named is not None and named[1] != path[-1]:
        raise places.error(path, f"gives the change {named[1]}", f"Write it as {named[1]}: ...")
    try:
        return Products.of(parse_rule(text if named is None else " " * named.end() + text[named.end() :]))
    except RuleError as error:
        raise places.error(path, error.problem, error.way_out, within=(text, error.at)) from error


def _trace(name: str, text: TraceText, path: Path_, places: _Places) -> Trace:
    if name not in TRACES:
        raise places.error(path, f"{name!r} is no trace", f"Traces: {', '.join(TRACES)}")
    try:
        return Trace(text.impulse, text.tau)
    except InputError as error:
        raise places.error(path, str(error), "Change it") from error


def _faulty_key(raw: Any, path: list[str | int]) -> str:
    """Return the first entry of a table of traces or factors that is not what it should be."""
    for key in path:
        raw = raw[key]
    kind = TraceText if path[-1] == "traces" else FactorText
    for name, value in raw.items():
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return str(name)
    return ""


def _struct_of(path: list[str | int]) -> type[msgspec.Struct]:
    """Return what holds the field at a path: rules.K.FIELD, rules.K.traces.NAME.FIELD ..."""
    if len(path) == 1:
        return RuleFile
    return RuleText if len(path) == 3 else TraceText if "traces" in path else FactorText


def _way_out(message: str, path: list[str | int]) -> str:
    """Return the values of the enumeration that a value is none of, else where a whole file stands."""
    if message.startswith("Invalid enum value"):
        field = next(f for f in msgspec.structs.fields(_struct_of(path)) if f.name == path[-1])
        return f"It is one of: {', '.join(get_args(field.type))}"
    return _WHOLE


class _Places:
    """Lines and columns of a YAML text."""

    def __init__(self, text: str, where: str) -> None:
        from ruamel.yaml import YAML

        self.where, self.lines = where, text.splitlines()
        self.tree: Any = YAML(typ="rt", pure=True).load(io.StringIO(text))

    def text(self, path: Path_, within: tuple[str, int] | None = None) -> str:
        """Return file, line, column and name of a value; `within`: its text, and the character in it."""
        line, column = self._value(path)
        if within is not None:
            line, column = self._within(line, column, *within)
        return f"{self.where}, line {line + 1}, column {column + 1}: {'.'.join(str(p) for p in path) or 'the file'}"

    def error(self, path: Path_, problem: str, way_out: str, within: tuple[str, int] | None = None) -> InputError:
        """Return the error at a value; see `text`."""
        return InputError(self.text(path, within), problem, way_out)

    def of_validation(self, error: msgspec.ValidationError, raw: Any) -> InputError:
        """Return the error for what does not have the fields or types of a rule file."""
        message = str(error)
        text, _, at = message.partition(" - at `")
        keys = re.findall(r"[\w?]+", at.rstrip("`").replace("[...]", ".?"))
        path: list[str | int] = [int(key) if key.isdigit() else key for key in keys]
        if "?" in path:
            k = path.index("?")
            path[k] = _faulty_key(raw, path[:k])
        unknown = re.search(r"unknown field `(.+?)`", text)
        if unknown is not None:
            path.append(unknown[1])
            known = ", ".join(_struct_of(path).__struct_fields__)
            return self.error(tuple(path), "is no field of a rule file", f"Fields here: {known}")
        return self.error(tuple(path), text, _way_out(text, path))

    def _value(self, path: Path_) -> tuple[int, int]:
        node, place = self.tree, (0, 0)
        for key in path:
            try:
                mapping = isinstance(node, dict)
                if mapping and node[key] is not None and not isinstance(node[key], dict | list):
                    place = node.lc.value(key)
                else:
                    place = node.lc.key(key) if mapping else node.lc.item(key)
                node = node[key]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return int(place[0]), int(place[1])

    def _within(self, line: int, column: int, text: str, at: int) -> tuple[int, int]:
        """Return the place of a character of a value that begins there, whether it is plain, quoted or a block."""
        mark = self.lines[line][column : column + 1] if line < len(self.lines) else ""
        wanted = len(re.sub(r"\s", "", text[:at]))  # white space may be folded; all else stands as it is
        if mark in ("|", ">"):
            line, column = line + 1, 0
        elif mark in ("'", '"'):
            column += 1
        written = _ESCAPES.get(mark, _PLAIN)
        while line < len(self.lines):
            for found in written.finditer(self.lines[line], column):
                if found[0].isspace() or found[0] in _SPACES:
                    continue
                if wanted == 0:
                    return line, found.start()
                wanted -= 1
            line, column = line + 1, 0
        return len(self.lines) - 1, len(self.lines[-1])
