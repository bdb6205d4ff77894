"""The settings file of the demonstration."""

from __future__ import annotations

NAME = "Larkfield School (invented)"
BANNER = "Demonstration: everything here is invented."
SETTINGS = f"""\
# The settings of the demonstration, written when it was first started. Change what you like.
school:
  name: {NAME}
  banner: {BANNER!r}
plugins:
  dns_filter:
    lists:
      - {{name: example, file: lists/example.domains, format: domains}}
    profiles:
      - {{name: pupil, mode: block, block: [example]}}
      - {{name: staff, mode: watch, block: [example]}}
  keyword: {{}}
  email_alert: {{}}
"""
