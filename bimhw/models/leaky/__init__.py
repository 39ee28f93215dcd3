"""Networks of leaky integrate-and-fire neurons, with or without adaptation and recurrence."""
