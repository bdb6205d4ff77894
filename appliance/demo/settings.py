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
  dns_filter: {{}}
  keyword: {{}}
  email_alert: {{}}
"""
