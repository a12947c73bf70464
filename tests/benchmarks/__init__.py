"""Benchmarks on real input: run by hand, none of them part of the tests."""
