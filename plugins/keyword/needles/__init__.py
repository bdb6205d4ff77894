"""What devices get: the terms to look for, and the tables with which the browser's code reads a text as the engine
does."""
