"""Settings of training on a text."""

from __future__ import annotations

from bimhw.learning.rules.registry import gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from simulator.base.errors import InputError


class LanguageSettings(TrainSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of training on a text: `TrainSettings`, where ``epochs`` are passes and ``batch`` streams read side by side.

    Attributes:
        rule: an online rule, which updates at every symbol or block, or ``tbptt``: once a window by truncated BPTT.
        window: T of ``tbptt``.
        symbols: at most so many symbols of the text (0: all), to compare on equal data.
    """

    batch: int = 16
    epochs: int = 1
    lr: float = 0.008
    lr_end: float = 0.02
    window: int = 16
    symbols: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1 or self.symbols < 0:
            raise InputError(
                "training setting window, symbols", f"are {self.window}, {self.symbols}", "Give at least 1 and 0"
            )
        if self.rule == "tbptt":
            self.check_autograd()
            return
        if not learning_rule(self.rule).online or not gradient_form(self.form).streams:
            raise InputError(
                f"rule {self.rule!r} in form {self.form!r}",
                "needs sequences with an end",
                "Texts learn by rtrl or tbptt",
            )
