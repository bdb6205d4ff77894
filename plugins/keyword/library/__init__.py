"""What is looked for: policies as files, those that are supplied and the school's own."""
