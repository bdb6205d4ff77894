"""The small language in which policies write phrases: one line stands for all the ways in which people say a thing.

* ``(a|b)`` is one of several, ``(really |)`` may be left out: ``I (really |)want to (die|be dead)`` is four phrases.
* ``{me}`` stands for the words of the list of that name, which the policy has under ``lists``.

Accents, capitals, spellings with digits, spaces between letters, misspellings and text-speak are found by the engine:
they are not written into policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product

MOST_FORMS = 400
"""What one line may stand for."""
LISTS_REMEMBERED = 256

_SLOT = re.compile(r"\{([a-z_]+)\}|\(([^()]*)\)")


class WrongPhrase(ValueError):
    """A phrase that cannot be read; the message says why."""


def forms(phrase: str, lists: Mapping[str, Sequence[str]]) -> list[str]:
    """Every way of saying it that a phrase stands for, each once. Raises ``WrongPhrase``."""
    parts = [_choices(part, lists) for part in _parts(phrase)]
    count = 1
    for choices in parts:
        count *= len(choices)
    if count > MOST_FORMS:
        raise WrongPhrase(f"the phrase {phrase!r} stands for {count:,} phrases; at most {MOST_FORMS:,} are possible")
    return list(dict.fromkeys(" ".join("".join(chosen).split()) for chosen in product(*parts)))


def _parts(phrase: str) -> Iterator[re.Match[str] | str]:
    """The plain pieces and the slots of a phrase, in order."""
    at = 0
    for slot in _SLOT.finditer(phrase):
        yield _plain(phrase[at : slot.start()], phrase)
        yield slot
        at = slot.end()
    yield _plain(phrase[at:], phrase)


def _plain(piece: str, phrase: str) -> str:
    if any(sign in piece for sign in "(){}|"):
        raise WrongPhrase(f"the brackets of the phrase {phrase!r} do not fit together")
    return piece


def _choices(part: re.Match[str] | str, lists: Mapping[str, Sequence[str]]) -> Sequence[str]:
    if isinstance(part, str):
        return (part,)
    name, choices = part.groups()
    if name is None:
        return tuple(str(choices).split("|"))
    if name not in lists:
        raise WrongPhrase(f"there is no list {name!r} under lists")
    return _listed(tuple(lists[name]))


@lru_cache(LISTS_REMEMBERED)
def _listed(entries: tuple[str, ...]) -> Sequence[str]:
    """What the entries of a list stand for. Many terms of a policy name the same list."""
    return tuple(form for entry in entries for form in forms(entry, {}))
