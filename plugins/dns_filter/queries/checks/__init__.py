"""Proof that the filter works: its own test of every day, and checks that people make on devices."""
