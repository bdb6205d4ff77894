"""What was asked for: the table of queries, its pages and what becomes of it."""
