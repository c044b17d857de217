"""Measurements behind the project's claims: `python -m experiments.benchmark NAME`."""
