"""From policies to what a browser looks for (``browser/needles.js`` reads it).

::

    terms    by "policy/term": {phrases, surfaces, exact, near, within}; what is not said is not so
    near     by the hash of itself: what has to stand near a phrase, for all terms that share it
    taught   words of terms that no list of English has, and total: how often all words were seen; so that a run of
             letters comes apart on the device as it does here, whichever terms the device has
    hidden   hashes of terms that no device is to know, under a key of this device alone (``hidden``)

Phrases are folded words, several phrases with a bar between them. Everything is an object of strings and whole numbers,
so that a change of one term is a small difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ..engine.english import SHORT, TAUGHT, frequencies, is_word
from ..engine.folding import Table, words
from ..engine.textspeak import CANON, FILLERS, canonical
from ..library.model import Matching, Policy, Term
from .surfaces import bits

Needles = Mapping[str, Any]
_BAR = "|"
_NAME_DIGITS = 12


class Making:
    """Makes needles of policies; what it has folded once it remembers."""
