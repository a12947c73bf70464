"""Measurements on real data. Not tests: run each by name, as `python -m tests.benchmarks.topics`."""
