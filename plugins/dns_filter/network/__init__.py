"""The network around the filter: who goes around it, which devices are there, and what the filter cannot do."""
