"""Cores shared by many populations, and the objective by which a mapping is chosen."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from mapping import candidates, partition
from mapping.blocks import map_blocks
from mapping.estimate import estimate
from mapping.mapper import map_network
from mapping.network import Network
from mapping.objective import OBJECTIVES, Judge, Score, cost
from mapping.problem import make_problem, used_by_parts
from mapping.usage import usage
from simulator.base.errors import FitError, InputError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST
from simulator.program.spikes import SpikeTrain


def chain(layers: int, n: int, seed: int = 0, own_words: bool = False) -> Network:
    """Return populations of n neurons, each driving the next by a dense projection."""
    rng, model = np.random.default_rng(seed), get("lif")
    value = {"dv": 400, "theta": 40, "vth": 40}
    params = {w.name: np.asarray(value.get(w.name, model.defaults.get(w.name, 0))) for w in model.params}
    if own_words:
        params = {k: np.full(n, v) for k, v in params.items()}
    populations = [Population("in", "input", n, role="input")]
    projections = []
    for i in range(layers):
        populations.append(Population(f"l{i}", "lif", n, params, layer=i + 1))
        matrix = rng.integers(-20, 60, (n, n)).astype(np.int8)
        projections.append(
            Projection(f"p{i}", populations[i].name, f"l{i}", "in", *dense_to_csr(matrix), layout="dense")
        )
    return Network("integer", tuple(populations), tuple(projections))


def small(neurons: int = 64, **limits: float) -> Chip:
    """16 cores of this many neurons."""
    chip = load_chip("loihi2")
    changed = {"neurons_per_core": float(neurons)} | limits
    new = {k: msgspec.structs.replace(getattr(chip.limits, k), value=v) for k, v in changed.items()}
    topology = msgspec.structs.replace(chip.topology, width=4, height=4, cores_per_router=1, usable_cores=16)
    return msgspec.structs.replace(
        chip, name="small", topology=topology, limits=msgspec.structs.replace(chip.limits, **new)
    )


def rates(network: Network, value: float = 0.1) -> dict[str, np.ndarray]:
    return {p.name: np.full(p.size, value) for p in network.populations}


@pytest.mark.parametrize(("layers", "n"), [(17, 16), (40, 8), (64, 16), (60, 17), (200, 5)])
def test_populations_share_cores_up_to_the_limit(layers: int, n: int) -> None:
    program, resources = map_blocks(chain(layers, n), small())
    held = np.bincount(program.core[program.core >= 0])
    assert held.max() <= 64
    assert not any(r.over for r in resources)
    assert np.count_nonzero(held) <= 16


def test_one_neuron_more_than_all_cores_hold_is_refused() -> None:
    assert np.unique(map_blocks(chain(64, 16), small())[0].core).size == 17
    with pytest.raises(FitError, match="needs 17 cores, and chip 'small' has 16"):
        map_blocks(chain(205, 5), small())


@pytest.mark.parametrize("resource", ["state_bytes_per_core", "synapse_bytes_per_core", "memory_bytes_per_core"])
@pytest.mark.parametrize("own_words", [False, True])
def test_sharing_obeys_every_limit(resource: str, own_words: bool) -> None:
    """The limit is made to bind: no core is over it, by the count of the finished program."""
    network = chain(30, 8, own_words=own_words)
    for scale in (0.12, 0.3):
        whole = usage(map_blocks(network, small(1000))[0], small(1000))
        total = sum(int(r.used.sum()) for r in whole if r.name == resource.removesuffix("_per_core"))
        chip = small(1000, **{resource: max(900.0, scale * total)})
        for method in ("blocks", "builtin"):
            mapped = map_network(network, chip, method, rates(network))
            assert not any(r.over for r in usage(mapped.program, chip))


def test_used_by_parts_is_what_usage_counts() -> None:
    network, chip = chain(12, 9, own_words=True), small()
    program = map_blocks(network, chip, 13)[0]
    own = program.core[program.core != HOST]
    used = used_by_parts(make_problem(network, chip), own, int(own.max()) + 1)
    by_name = {r.name: r.used for r in usage(program, chip)}
    assert (used[:, 0] == by_name["neurons"]).all()
    assert (-(-used[:, 1] // 8) == by_name["synapse_bytes"]).all()
    assert (-(-used[:, 2] // 8) == by_name["state_bytes"]).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(2))
def test_never_worse_than_blocks_in_its_own_objective(objective: str, seed: int) -> None:
    """Judged anew on other spikes than those by which it was chosen, within a few percent; on its own sample, exactly."""
    network, chip = chain(6, 20, seed), small()
    problem = make_problem(network, chip, rates(network))
    judge = Judge(problem, seed=seed)
    mapped = map_network(network, chip, "builtin", rates(network), seed=seed, objective=objective)
    blocks = map_network(network, chip, "blocks", rates(network))
    own, plain = judge(mapped.program), judge(blocks.program)
    assert cost(own, objective) <= cost(plain, objective)
    other = Judge(problem, seed=99)
    assert cost(other(mapped.program), objective)[0] <= 1.05 * cost(other(blocks.program), objective)[0]
    assert (
        mapped.figures["judged"] == {"layout": mapped.figures["layout"]} | judge.ranged(mapped.program, own).as_json()
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_large_networks_are_never_worse_than_blocks_either(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are only bounded there, unless the bound does not settle it; the engine agrees with the choice."""
    monkeypatch.setattr(candidates, "LARGE", 0)
    monkeypatch.setattr(partition, "_MANY_PINS", 0)
    network, chip = chain(6, 20, 3), small(40)
    mapped = map_network(network, chip, rates=rates(network, 0.2), objective=objective)
    judge = Judge(make_problem(network, chip, rates(network, 0.2)))
    blocks, _ = map_blocks(network, chip)
    assert cost(judge(mapped.program), objective) <= cost(judge(blocks), objective)
    assert "lower_bound" not in mapped.figures["judged"]  # type: ignore[operator]
    bound, exact = judge(blocks, bound=True), judge(blocks)
    assert bound.bound
    assert bound.messages == exact.messages
    ends = judge.ranged(blocks, bound)
    assert (
        ends.low_ns is not None and ends.low_ns <= bound.step_ns and ends.high_ns is None
    )  # nothing bounds it from above
    assert bound.step_ns is not None and exact.step_ns is not None and bound.step_ns <= exact.step_ns


def test_each_objective_is_the_best_of_its_kind_and_no_mapping_changes_a_spike() -> None:
    network, chip = chain(6, 20), small()
    mapped = {o: map_network(network, chip, "builtin", rates(network), objective=o) for o in OBJECTIVES}
    judge = Judge(make_problem(network, chip, rates(network)))
    scores = {o: judge(m.program) for o, m in mapped.items()}
    for own, other in itertools.permutations(OBJECTIVES, 2):
        assert cost(scores[own], own) <= cost(scores[other], own)
        assert mapped[own].figures["alternatives"][other]["cores"] == scores[other].cores  # type: ignore[index]
    assert scores["cores"].cores == 2  # 120 neurons, 64 a core
    assert (scores["time"].step_ns or 0) < 0.9 * (scores["cores"].step_ns or 0)
    inputs = SpikeTrain.from_dense((np.random.default_rng(1).random((20, 20)) < 0.4).astype(np.int32))
    assert len({run(m.program, inputs, 20, topology=chip.topology).spikes.spike_hash() for m in mapped.values()}) == 1


def test_a_step_is_timed_and_charged_at_both_ends_of_its_constants() -> None:
    """All times halved and doubled halve and double a step; energies go from their low to their high constants."""
    chip, network = small(), chain(6, 20)
    assert chip.timing is not None
    times = {
        name: msgspec.structs.replace(q, low=q.value / 2, high=q.value * 2)
        for name in chip.timing.__struct_fields__
        if name != "tick" and getattr(q := getattr(chip.timing, name), "unit", "") == "ns" and q.value
    }
    chip = msgspec.structs.replace(chip, timing=msgspec.structs.replace(chip.timing, barrier_by_tiles={}, **times))
    judge = Judge(make_problem(network, chip, rates(network)))
    program = map_blocks(network, chip, 10)[0]
    score = judge.ranged(program, judge(program))
    assert score.step_ns is not None
    assert score.low_ns == pytest.approx(score.step_ns / 2, rel=2e-3)  # odd ticks round
    assert score.high_ns == pytest.approx(score.step_ns * 2, rel=2e-3)
    assert score.low_pj is not None and score.energy_pj is not None and score.high_pj is not None
    assert score.low_pj < score.energy_pj < score.high_pj
    assert (score.word, score.time_word) == ("assumed", "assumed")
    sure = {k: msgspec.structs.replace(q, low=q.value, high=q.value) for k, q in chip.energy.items()}
    same = Judge(make_problem(network, msgspec.structs.replace(chip, energy=sure), rates(network)))(program)
    assert same.low_pj == same.energy_pj == same.high_pj == score.energy_pj


def test_the_users_cap_is_kept() -> None:
    network, chip = chain(6, 20), small()
    mapped = map_network(network, chip, "builtin", rates(network), neurons_per_core=10)
    assert np.bincount(mapped.program.core[mapped.program.core >= 0]).max() <= 10


def test_costs_without_times_or_energies() -> None:
    no_time, nothing = Score(3, 5.0, 6.0, None, 7.0), Score(3, 5.0, 6.0, None, None)
    assert cost(no_time, "edp") == (7.0, 5.0)
    assert cost(nothing, "time") == (5.0,)
    with pytest.raises(InputError, match="objective 'speed': is not known"):
        cost(nothing, "speed")


def test_the_estimate_ranks_numbers_of_cores_as_the_engine_does() -> None:
    """Random wiring: the closed form's choice costs at most a tenth more than the best of the engine."""
    rng = np.random.default_rng(0)
    n, model = 480, get("lif")
    matrix = (rng.integers(1, 9, (n, n)) * (rng.random((n, n)) < 0.1)).astype(np.int8)
    params = {w.name: np.asarray(model.defaults.get(w.name, 1)) for w in model.params}
    network = Network(
        "integer", (Population("x", "lif", n, params, layer=1),),
        (Projection("r", "x", "x", "in", *dense_to_csr(matrix), layout="sparse"),),
    )  # fmt: skip
    chip = load_chip("loihi2")
    problem = make_problem(network, chip, rates(network, 0.05))
    judge = Judge(problem)
    counts = (1, 2, 4, 8, 16, 40, 80, 120)
    times = {k: judge(map_blocks(network, chip, -(-n // k))[0]).step_ns or 0.0 for k in counts}
    chosen = min(counts, key=lambda k: cost(estimate(problem, k), "time"))
    assert times[chosen] <= 1.1 * min(times.values())
