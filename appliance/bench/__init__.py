"""The test bench: what the detectors in force make of sentences that were made up for it, counted and kept."""
