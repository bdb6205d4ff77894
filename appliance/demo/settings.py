"""The settings file of the demonstration, and the lists of websites that lie beside it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NAME = "Larkfield School (invented)"
BANNER = "Demonstration: everything here is invented."
INTERNET_PORT = 5399
"""Where the invented internet (``internet.py``) says where its sites are; ``upstreams`` below names it."""
SETTINGS = f"""\
# The settings of the demonstration, written when it was first started. Change what you like.
school:
  name: {NAME}
  banner: {BANNER!r}
groups:
  - {{name: classrooms, title: Classrooms, addresses: [127.0.7.0/28]}}
  - {{name: office, title: Office, addresses: [127.0.7.16/28]}}
plugins:
  dns_filter:
    # The invented internet: every name that is asked for leads to an address that is kept free for documents.
    upstreams: ["127.0.0.1:{INTERNET_PORT}"]
    profile_of: {{office: staff}}
    lists:
      - {{name: games, file: lists/games.domains, format: domains, category: games}}
      - {{name: social, file: lists/social.domains, format: domains, category: social_media}}
      - {{name: betting, file: lists/betting.domains, format: domains, category: gambling}}
      - {{name: grown-ups, file: lists/grown-ups.domains, format: domains, category: adult}}
  keyword: {{}}
  email_alert: {{}}
"""
LISTS: Mapping[str, str] = MappingProxyType({
    "games.domains": "# Invented.\ngames.example\narcade.example\nblocks.example\nchess.example\n",
    "social.domains": "# Invented.\nsocial.example\nphotos.example\n",
    "betting.domains": "# Invented.\nbets.example\ncasino.example\n",
    "grown-ups.domains": "# Invented.\ngrown-ups.example\n",
})  # fmt: skip
"""Name of a file -> what stands in it."""
