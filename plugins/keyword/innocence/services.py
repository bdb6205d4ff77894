"""How people look for services that help: by their names, and by names that are also words together with a topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..engine.english import costs

TELLING = frozenset(
    "helpline helplines charity trust foundation anonymous phoneline counselling bereavement childline samaritans "
    "nspcc".split()
)
"""Words that no name has which means something else."""
LONG = 4
"""Words of a name that nobody writes by chance."""
BEFORE = ("call", "text", "ring", "contact", "message", "email", "chat with", "talk to")
BEHIND = ("helpline", "charity", "number", "phone number", "chat", "counselling", "app", "website", "textline", "uk")
TOPICS = (
    "self harm", "self harming", "self injury", "suicide", "suicidal thoughts", "suicide prevention",
    "eating disorder", "eating disorders", "anorexia", "bulimia", "bullying", "cyberbullying", "depression", "anxiety",
    "abuse", "sexual abuse", "rape", "sexual assault", "grooming", "nudes", "sexting", "drugs", "domestic violence",
    "domestic abuse", "forced marriage", "fgm", "hate crime", "gambling", "pornography", "porn addiction",
)  # fmt: skip
"""What people seek help for."""
AS_THEY_SOUND = frozenset("calm harmless aware fearless unseen sane release become call inspire pace forward".split())
"""Names that say something else beside a topic: "calm suicide"."""


def ways_of_asking(names: Iterable[str]) -> Iterator[str]:
    """Phrases that say that somebody looks for one of these services.

    A name that is also words ("Shout", "Mind", "The Mix") says so only with a word of its kind or a topic beside it.
    """
    words = costs()[1].keys()
    for name in names:
        parts = [part.strip("'’.,").lower() for part in name.replace("-", " ").split()]
        if len(parts) >= LONG or not TELLING.isdisjoint(parts) or any(part not in words for part in parts):
            yield name
            continue
        yield from (f"{before} {name}" for before in BEFORE)
        yield from (f"{name} {behind}" for behind in BEHIND)
        if AS_THEY_SOUND.isdisjoint(parts):
            yield from (f"{name} {topic}" for topic in TOPICS)
            yield from (f"{topic} {name}" for topic in TOPICS)
