"""Cross-checks against simulators that others wrote."""
