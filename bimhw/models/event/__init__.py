"""Networks of leaky integrate-and-fire neurons with exponential currents, learnt by their spike times."""
