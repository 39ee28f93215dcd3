"""When things happen: engines that turn `StepWork` into `StepTimes`."""
