"""Figures that documents quote. Each: ``python -m benchmarks.NAME``; a table, and one JSON object as the last line."""
