"""Who is at the school: people, groups, devices, the import of the school's own lists, the vulnerable list."""
