"""Policies from whoever publishes them: signed bundles, from the packing to the day on which they are in force."""
