"""What of the queries concerns the safeguarding lead: sites of certain kinds, and names in which a term stands."""
