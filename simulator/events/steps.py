"""A learner's chip step cut into what each core does: the same work as `Learner._after`, core by core.

A step ends with three stages. All cores are through with one before any begins the next, since the later ones change what
the earlier ones read: `observe` keeps the step and takes the error words that arrive, `visit` takes the words of the layer
above and advances traces and sums, `update` writes weights.
"""

from __future__ import annotations

from simulator.plasticity.layers.diag import LayerLearner, Visit
from simulator.plasticity.layers.parts import Part
from simulator.plasticity.layers.readout import ReadoutLearner
from simulator.plasticity.layers.s6 import SharedLearner
from simulator.plasticity.learner import Learner


class CoreSteps:
    """The steps of one learner.

    Attributes:
        cores: numbers of the cores that learn (`HOST` among them if neurons that learn live there).
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self._hidden: dict[int, list[tuple[int, Part]]] = {}
        self._readout: dict[int, list[Part]] = {}
        for k, layer in enumerate(learner.layers):
            for part in layer.parts:
                self._hidden.setdefault(part.core, []).append((k, part))
        for part in learner.readout.parts:
            self._readout.setdefault(part.core, []).append(part)
        self._shared: dict[int, list[tuple[SharedLearner, Part]]] = {}
        for shared in learner.shared:
            for part in shared.parts:
                self._shared.setdefault(part.core, []).append((shared, part))
        self.cores = sorted({*self._hidden, *self._readout, *self._shared})
        self._step = 0

    def begin_sample(self) -> None:
        """Begin, before the first step of a sample."""
        self._step = 0

    def begin(self) -> None:
        """Begin, the step's work done everywhere: the readout's error words leave, every core knows what is due."""
        learner, c = self.learner, self._step
        learner.counts.at(learner.steps_done + c)
        learner._score(c)
        self._visits: dict[int, Visit] = {}
        self._due: list[LayerLearner | SharedLearner | ReadoutLearner] = []
        self._tau = c - learner.answer - 1  # of the readout
        self._labelled = 0 <= self._tau < len(learner._x) and self._tau in learner._errors
        if learner._learn:
            self._open()

    def _open(self) -> None:
        learner, c = self.learner, self._step
        for shared in learner.shared:
            shared.take()
            self._due += [shared] if shared.due else []
        for k, layer in enumerate(learner.layers):
            tau = c - layer.layer.number
            if 0 <= tau < len(learner._x):
                layer.arrive(tau, learner._arrived(layer, c))
            tau = learner.visited(k, c)
            if 0 <= tau < len(learner._x) and learner.config.hidden:
                self._visits[k], due = layer.open_visit(tau, tau in learner._errors)
                self._due += [layer] if due else []
        if 0 <= self._tau < len(learner._x) and learner.readout.open_visit(self._tau, self._labelled):
            self._due.append(learner.readout)

    def observe(self, core: int) -> None:
        """Observe: first stage at a core."""
        learner, c = self.learner, self._step
        for k, part in self._hidden.get(core, ()) if learner._learn else ():
            tau = c - learner.layers[k].layer.number
            if 0 <= tau < len(learner._x):
                learner.layers[k].observe_part(part, tau)
            learner.direct_error(k, part, c)
            learner.send_message(k, part, c)

    def visit(self, core: int) -> None:
        """Visit: second stage at a core."""
        learner = self.learner
        for k, part in self._hidden.get(core, ()) if learner._learn else ():
            learner.take_message(k, part, self._step)
            if k in self._visits:
                learner.layers[k].visit_part(part, self._visits[k])
        for shared, part in self._shared.get(core, ()) if learner._learn else ():
            shared.visit_part(part)
        for part in self._readout.get(core, ()) if self._labelled else ():
            learner.readout.visit_part(part, self._tau, learner._errors[self._tau], learner.layers)

    def update(self, core: int) -> int:
        """Update: third stage at a core; return the synaptic words that it read, changed and wrote in this step."""
        learner = self.learner
        for k, part in self._hidden.get(core, ()):
            if learner.layers[k] in self._due:
                learner.layers[k].update_part(part, learner.lr)
        for shared, part in self._shared.get(core, ()):
            if shared in self._due:
                shared.update_part(part, learner.lr)
        for part in self._readout.get(core, ()):
            if learner.readout in self._due:
                learner.readout.update_part(part, learner.lr)
        return learner.counts.touched_now(core)

    def end(self) -> bool:
        """End, all cores done: the sums of what was updated begin anew; return True when neuron parameters were written."""
        learner, c = self.learner, self._step
        for each in self._due:
            each.close_update()
        if self._due:
            learner.forward.biases_changed()
        learner._count_spikes(c)
        learner._remember(c)
        self._step += 1
        return bool(self._due)
