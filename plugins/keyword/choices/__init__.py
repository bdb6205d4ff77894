"""What the school decides about policies: rows over the supplied files, each with who, why and when."""
