"""On-chip learning: traces, STDP, eligibility (RTRL) in four forms, third factor, optimisers, rounding, pruning."""

from simulator.plasticity.config import LearnConfig, learn_config
from simulator.plasticity.learn import LearnResult, activity, learn, program_of
from simulator.plasticity.learner import Learner
from simulator.plasticity.prepare import calibrate, prepare

__all__ = [
    "LearnConfig",
    "LearnResult",
    "Learner",
    "activity",
    "calibrate",
    "learn",
    "learn_config",
    "prepare",
    "program_of",
]
