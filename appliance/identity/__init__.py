"""The identity file: what brings up a new box as the old one."""
