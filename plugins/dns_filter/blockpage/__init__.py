"""What pupils see where something is blocked, and how they ask for it."""
