"""Timing: engines that turn `StepWork` into `StepTimes`."""
