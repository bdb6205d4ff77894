"""Lists of domains: reading, fetching, compiling, and which of them are in force."""
