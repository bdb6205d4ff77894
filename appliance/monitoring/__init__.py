"""Who is monitored: the switch, trials, reviewers of staff, and what the school has written down and told."""
