"""How much of each policy counts for whom, and when."""
