"""From names and titles to exclusions. Pure: it is done in the detection process.

Names are known as people write them, "Anna Cock" and "Mr Cock". A first name or a surname alone never is one: it would
hide what somebody is called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..engine.exclusions import Exclusions, Innocent, supplied
from ..library.model import Words, folded
from .services import ways_of_asking

ADDRESSED = ("Mr", "Mrs", "Miss", "Ms", "Dr", "Sir")
"""What stands before a surname."""
WITHIN_SURNAMES = frozenset("al ap bin da de del della den der di dos du el la le st te ten ter van von".split())
"""Words with which a surname may begin: "van der Berg" is one."""


def ways_of_naming(name: str) -> Iterator[str]:
    """How people write the name of somebody, none of it a single word."""
    words = name.split()
    if not words:
        return
    surname = _surname(words)
    if len(words) > 1:
        yield " ".join(words)
        yield f"{words[0]} {surname}"  # without middle names
    yield from (f"{title} {surname}" for title in ADDRESSED)


def _surname(words: Sequence[str]) -> str:
    first = len(words) - 1
    while first > 1 and words[first - 1].lower() in WITHIN_SURNAMES:
        first -= 1
    return " ".join(words[first:])


def exclusions(data: Mapping[str, Any], set_texts: Iterable[str], watched: Collection[str]) -> Exclusions:
    """The supplied ones and those of the school.

    ``data``: names of ``people`` and of the ``school``, and the name and site of each service of ``help``.

    ``watched``: names that are watched for. What holds one of them is left out, so that it hides none.
    """
    names = dict.fromkeys(way for name in data["people"] for way in ways_of_naming(name))
    hidden_by_none = [folded(name) for name in watched]
    kept = [name for name in names if not hidden_by_none or not _holds_any(folded(name), hidden_by_none)]
    services = data.get("help", ())
    return (
        supplied()
        .adding(Innocent.NAME, [data["school"], *kept])
        .adding(Innocent.TITLE, set_texts)
        .adding(Innocent.HELP, ways_of_asking(name for name, _ in services))
        .adding_sites(site for _, site in services)
    )


def _holds_any(name: Words, watched: Iterable[Words]) -> bool:
    return any(
        name[start : start + len(words)] == words for words in watched for start in range(len(name) - len(words) + 1)
    )
