"""Profiles: what each kind of device, group and person may look up, and the snapshot that says so to the worker."""
