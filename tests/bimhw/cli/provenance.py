"""Whether every joule and every second of a document stands beside a word of its provenance and a range."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

UNIT = re.compile(r"(^|_)(pj|nj|uj|mj|js|ns|us|ms|s)(_|$)")
WORD = re.compile(r"(^|[_.])(word|trust|quality)$")
END = re.compile(r"(^|_)(low|high)(_|$)")
# command and path -> why such a figure has no word (and no range)
NO_WORD = {
    r"^train[. ].*train_seconds|^learn\.cpu_s|^bench\.(build|function|timing)_": "taken on this machine",
    r"\.tick_ns$": "the unit of the times beside it",
    r"^train\.(config|settings)\.": "set by the user",
    r"^chips schema\.": "a schema",
}
# the same of a range
NO_RANGE = NO_WORD | {
    r"\.(mean_step_ns|p99_latency_us|samples_per_s)$": "in proportion to the latency beside it",
    r"^bench\.sim_time_half_width_us$|_sd$": "an interval or a deviation",
    r"^rules\[\]\.(energy|time)_to_level_m[js]$": "samples x a figure with a range",
    r"\.(static_uj|swing_uj|of it static_uj|chip_without_synapses_uj|idle_uj|host_uj|system_uj)$": "part of a sum with a range",
    r"^(sweep|serve)\..*\.(dynamic|synapse|soma)_uj$|_fixed_activity$": "part of a sum with a range",
    r"^(sweep|serve)\..*\.edp_js$": "product of two figures with ranges",
    r"^codesign\.learning\[\]\.(update_nj|nj)$": "share of an update in a step, which has a range",
    r"^table\.": "under NeuroBench's names; ranges are metrics of their own",
    r"^serve\.runs\[\]\.latency_us$": "a list; the run itself says its range",
}


def lacking(name: str, document: object) -> Iterator[str]:
    """Return each figure of a command's document that has no word or no range, with its place.

    A word or a range may stand beside the figure, or under its name in the ``spreads`` beside it or beside its table.
    """
    for where, key, around in _figures(document, name, frozenset()):
        if not any(WORD.search(k) for k in around) and not _told(NO_WORD, where):
            yield f"{where} has no word"
        ranged = {_nominal(k) for k in around if END.search(k)}
        if (
            not any(key in (k, f"mean_{k}", f"energy_{k}") for k in ranged)
            and not _told(NO_RANGE, where)
            and not END.search(key)
        ):
            yield f"{where} has no range"


def _told(reasons: Mapping[str, str], where: str) -> bool:
    return any(re.search(pattern, where) for pattern in reasons)


def _figures(value: object, path: str, known: frozenset[str]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield place and name of each figure, and the names beside it; figures `known` from spreads are left out."""
    if isinstance(value, list):
        for item in value:
            yield from _figures(item, f"{path}[]", frozenset())
    if not isinstance(value, dict):
        return
    spreads = frozenset(value.get("spreads") or value.get("energy_spreads") or ())
    for key, inner in value.items():
        where = f"{path}.{key}"
        if UNIT.search(key) and _number(inner):
            if _nominal(key) not in known | spreads:
                yield where, key, frozenset(value)
        elif UNIT.search(key) and isinstance(inner, dict) and inner and all(map(_number, inner.values())):
            if not {"spreads_by", "spreads"} & value.keys():
                yield where, key, frozenset(value)
        else:
            yield from _figures(inner, where, spreads if key in ("figures", "energy") else frozenset())


def _nominal(key: str) -> str:
    """Return the name of the figure of whose range this is an end."""
    return END.sub(r"\1", key).strip("_")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
