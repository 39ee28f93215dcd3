"""Prediction against published measurements of real chips."""
