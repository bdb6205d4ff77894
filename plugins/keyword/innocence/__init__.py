"""What is innocent at this school alone: its people's names, its own, titles of texts that are read in class."""
