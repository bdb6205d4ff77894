"""The process that answers. It imports the standard library and itself only: small, quick to start, hard to attack."""
