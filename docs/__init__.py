"""The documentation, and what generates and checks it."""
