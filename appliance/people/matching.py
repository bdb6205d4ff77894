"""Matching a file of people with the directory: who is new, who changed, who is back, who would leave. Pure.

People are matched by their reference, else by name and form. Whatever could merge two people, or make two of one, is a
question for a person: until it is answered the row changes nothing, and nobody whom it may mean counts as leaving.
An empty cell says nothing: what the directory has stays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.people.csv_files import Entry, Reading, Unreadable
from appliance.people.names import ACCOUNT_KINDS, account_name, exact, fold

Account = tuple[str, str]
"""Kind and name under which devices or browsers know a person."""
NEW = "new"
"""The answer to a question: this is somebody who is not in the directory yet."""
SAME = "same"
"""For all questions at once: it is the one person of that name who is in the directory."""
LEAVE_OUT = "leave out"
MANY = 5
"""If more than one in this many would leave, the file is perhaps not the whole school."""
GROUP_FIELDS: Mapping[str, str] = {"form": "form", "year": "year", "classes": "class"}
"""Field of an entry -> kind of group."""


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody in the directory. ``groups``: names of their forms, years and classes, by field of an entry."""

    id: str
    name: str
    reference: str
    email: str
    left: bool
    form: tuple[str, ...] = ()
    year: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Present:
    """The directory as an import finds it: people of one kind, and the names that are taken.

    ``groups``: (kind, case-folded name) -> name. ``owners``: account -> id of the person whose it is, of any kind.
    """

    people: tuple[Known, ...]
    groups: Mapping[tuple[str, str], str] = field(default_factory=dict)
    owners: Mapping[Account, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one field: ``name``, ``reference``, ``email``, ``form``, ``year``, ``classes``, ``accounts``."""

    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who is not in the directory yet."""

    entry: Entry
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Somebody who is, and what the file changes. ``accounts``: those to add."""

    entry: Entry
    known: Known
    changes: tuple[Change, ...]
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A row that a person has to decide about: is it one of ``candidates``, or somebody new (if ``may_be_new``)?"""

    entry: Entry
    why: str
    candidates: tuple[Known, ...]
    may_be_new: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was left out of a row that was taken otherwise."""

    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do. ``same``: matched and as they were; ``here``: people at the school now."""

    new: tuple[Arrival, ...]
    changed: tuple[Match, ...]
    back: tuple[Match, ...]
    leaving: tuple[Known, ...]
    same: int
    here: int
    questions: tuple[Question, ...]
    unreadable: tuple[Unreadable, ...]
    notes: tuple[Note, ...]

    @property
    def many_leave(self) -> bool:
        """Whether so many would leave that the file is perhaps not the whole school."""
        return len(self.leaving) * MANY > self.here

    @property
    def digest(self) -> str:
        """Changes whenever the plan does, so that what is applied is what was shown."""
        shown = (self.new, self.changed, self.back, self.leaving, self.questions)
        return hashlib.sha256(repr(shown).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def make_plan(reading: Reading, present: Present, answers: Mapping[int, str], for_all: str = "") -> Plan:
    """What the file would do to the directory.

    ``answers``: line -> ``NEW``, ``LEAVE_OUT`` or the id of a candidate; ``for_all``: ``SAME`` or ``NEW`` for questions
    that have no answer of their own and to which it can be one.
    """
    entries = _spelled_alike(reading.entries, present.groups)
    sorting = _answered(_sort(entries, present.people), answers, for_all)
    accounts, notes = _accounts(sorting, present.owners)
    matches = [
        Match(entry, known, _changes(entry, known, accounts[entry.line]), accounts[entry.line])
        for entry, known in sorting.pairs
    ]
    return Plan(
        new=tuple(Arrival(entry, accounts[entry.line]) for entry in sorting.new),
        changed=tuple(match for match in matches if match.changes and not match.known.left),
        back=tuple(match for match in matches if match.known.left),
        leaving=_leaving(present.people, sorting, reading.unreadable),
        same=sum(not match.changes and not match.known.left for match in matches),
        here=sum(not known.left for known in present.people),
        questions=tuple(sorting.questions),
        unreadable=reading.unreadable,
        notes=tuple(notes),
    )


# Who is who


@dataclass(frozen=True, slots=True)
class _Sorting:
    pairs: list[tuple[Entry, Known]]
    questions: list[Question]
    new: list[Entry]


def _sort(entries: Sequence[Entry], people: Sequence[Known]) -> _Sorting:
    by_reference = {known.reference.casefold(): known for known in people if known.reference}
    found = _Sorting([], [], [])
    rest = []
    named = set()
    for entry in entries:
        known = by_reference.get(entry.reference.casefold())
        if known is None:
            rest.append(entry)
            continue
        named.add(known.id)
        if _share_a_word(entry.name, known.name):
            found.pairs.append((entry, known))
        else:
            why = f"Its reference belongs to {known.name}, and the two names have nothing in common."
            found.questions.append(Question(entry, why, (known,), may_be_new=False))
    rivals: dict[str, list[Entry]] = {}
    for entry in entries:
        rivals.setdefault(fold(entry.name), []).append(entry)
    _sort_by_name(rest, [known for known in people if known.id not in named], rivals, found)
    return found


def _sort_by_name(
    entries: Sequence[Entry], people: Sequence[Known], rivals: Mapping[str, Sequence[Entry]], found: _Sorting
) -> None:
    """Entries whose reference nobody has, against people whose reference is not in the file.

    ``rivals``: all rows of the file by their folded names.
    """
    namesakes: dict[str, list[Known]] = {}
    for known in people:
        namesakes.setdefault(fold(known.name), []).append(known)
    sure = _sure_pairs(entries, namesakes, rivals)
    found.pairs.extend(sure.values())
    taken = {known.id for _, known in sure.values()}
    for entry in entries:
        if entry.line in sure:
            continue
        name = fold(entry.name)
        candidates = tuple(known for known in namesakes.get(name, ()) if known.id not in taken)
        others = [rival for rival in rivals[name] if rival.line not in sure and _may_be_one(entry, rival)]
        if candidates:
            found.questions.append(Question(entry, _why(entry, candidates, others), candidates, may_be_new=True))
        elif others and not entry.reference:
            found.questions.append(Question(entry, _why(entry, candidates, others), (), may_be_new=True))
        else:
            found.new.append(entry)


def _sure_pairs(
    entries: Sequence[Entry], namesakes: Mapping[str, Sequence[Known]], rivals: Mapping[str, Sequence[Entry]]
) -> dict[int, tuple[Entry, Known]]:
    """By line: the one row of this name and form with the one person of this name and form."""
    pairs = {}
    for entry in entries:
        name = fold(entry.name)
        if any(_may_be_one(entry, rival) for rival in rivals[name]):
            continue
        fitting = [known for known in namesakes.get(name, ()) if _fits(entry, known)]
        if len(fitting) == 1:
            pairs[entry.line] = (entry, fitting[0])
    wanted = Counter(known.id for _, known in pairs.values())
    return {line: (entry, known) for line, (entry, known) in pairs.items() if wanted[known.id] == 1}


def _fits(entry: Entry, known: Known) -> bool:
    if known.left or (entry.reference and known.reference) or exact(entry.name) != exact(known.name):
        return False
    return entry.form.casefold() in map(str.casefold, known.form) if entry.form else not known.form


def _may_be_one(entry: Entry, rival: Entry) -> bool:
    """Whether two rows of one name may mean one person: nothing that both say keeps them apart."""
    if rival is entry or (entry.reference and rival.reference):
        return False
    return not entry.form or not rival.form or entry.form.casefold() == rival.form.casefold()


def _share_a_word(one: str, other: str) -> bool:
    return bool(set(fold(one).split()) & set(fold(other).split()))


def _why(entry: Entry, candidates: Sequence[Known], others: Sequence[Entry]) -> str:
    if others:
        return f"Line {others[0].line} has the same name and could be the same person."
    if len(candidates) > 1:
        return "Several people in the directory have this name."
    known = candidates[0]
    if known.left:
        return "Somebody of this name has left."
    if entry.reference and known.reference:
        return "Somebody of this name is in the directory with another reference."
    return "Somebody of this name is in the directory in another form, or the name is spelled in another way."


def _answered(sorting: _Sorting, answers: Mapping[int, str], for_all: str) -> _Sorting:
    """The questions that have an answer become pairs and new people. Nobody is taken for two people."""
    chosen = {question.entry.line: _answer(question, answers, for_all) for question in sorting.questions}
    times = Counter(answer for answer in chosen.values() if answer not in ("", NEW))
    done = _Sorting(list(sorting.pairs), [], list(sorting.new))
    for question in sorting.questions:
        answer = chosen[question.entry.line]
        if answer == NEW:
            done.new.append(question.entry)
        elif answer and times[answer] == 1:
            known = next(candidate for candidate in question.candidates if candidate.id == answer)
            done.pairs.append((question.entry, known))
        elif answer:
            why = "More than one row was taken for the same person. Choose one of them."
            done.questions.append(replace(question, why=why))
        else:
            done.questions.append(question)
    return done


def _answer(question: Question, answers: Mapping[int, str], for_all: str) -> str:
    """``NEW``, the id of a candidate, or nothing if it is open, left out, or the answer is none that can be given."""
    ids = [known.id for known in question.candidates]
    answer = answers.get(question.entry.line, "")
    if not answer and for_all == SAME and len(ids) == 1:
        answer = ids[0]
    elif not answer and for_all == NEW:
        answer = NEW
    if answer == NEW:
        return NEW if question.may_be_new else ""
    return answer if answer in ids else ""


# What changes


def _spelled_alike(entries: Iterable[Entry], groups: Mapping[tuple[str, str], str]) -> list[Entry]:
    """The entries with groups spelled as in the directory, else as where they come first."""
    spelling = dict(groups)

    def spelled(kind: str, name: str) -> str:
        return spelling.setdefault((kind, name.casefold()), name) if name else ""

    return [
        replace(
            entry,
            form=spelled("form", entry.form),
            year=spelled("year", entry.year),
            classes=tuple(spelled("class", name) for name in entry.classes),
        )
        for entry in entries
    ]


def _changes(entry: Entry, known: Known, accounts: Sequence[Account]) -> tuple[Change, ...]:
    changes = []
    if entry.name != known.name:
        changes.append(Change("name", (known.name,), (entry.name,)))
    for key in ("reference", "email"):
        before, after = getattr(known, key), getattr(entry, key)
        if after and after.casefold() != before.casefold():
            changes.append(Change(key, (before,) if before else (), (after,)))
    for key, after in groups_of(entry).items():
        before = getattr(known, key)
        if after and set(after) != set(before):
            changes.append(Change(key, tuple(sorted(before)), tuple(sorted(after))))
    if accounts:
        changes.append(Change("accounts", (), tuple(name for _, name in accounts)))
    return tuple(changes)


def groups_of(entry: Entry) -> dict[str, tuple[str, ...]]:
    """Names of the groups that an entry names, by its field; none where it says nothing."""
    return {
        "form": (entry.form,) if entry.form else (),
        "year": (entry.year,) if entry.year else (),
        "classes": entry.classes,
    }


def _accounts(sorting: _Sorting, owners: Mapping[Account, str]) -> tuple[dict[int, tuple[Account, ...]], list[Note]]:
    """By line, the accounts to add; and what cannot be added, because two people would have the same."""
    people = [(entry, known.id) for entry, known in sorting.pairs] + [(entry, "") for entry in sorting.new]
    claims = Counter(account for entry, _ in people for account in _accounts_of(entry))
    found: dict[int, tuple[Account, ...]] = {}
    notes = []
    for entry, person in people:
        added = []
        for kind, name in _accounts_of(entry):
            owner = owners.get((kind, name), "")
            what = ACCOUNT_KINDS[kind].casefold()
            if owner and owner == person:
                continue
            if owner:
                notes.append(Note(entry.line, f"{name} ({what}) belongs to somebody else in the directory."))
            elif claims[kind, name] > 1:
                notes.append(Note(entry.line, f"{name} ({what}) stands in the file for more than one person."))
            else:
                added.append((kind, name))
        found[entry.line] = tuple(added)
    return found, sorted(notes, key=lambda note: note.line)


def _accounts_of(entry: Entry) -> list[Account]:
    named = (("system", entry.username), ("browser", entry.email))
    return [(kind, key) for kind, name in named if (key := account_name(name))]


# Who would leave


def _leaving(people: Sequence[Known], sorting: _Sorting, unreadable: Sequence[Unreadable]) -> tuple[Known, ...]:
    """Everybody at the school whom no row means, or may mean."""
    kept = {known.id for _, known in sorting.pairs}
    kept |= {known.id for question in sorting.questions for known in question.candidates}
    texts = [frozenset(fold(row.text).split()) for row in unreadable]
    return tuple(known for known in people if not known.left and known.id not in kept and not _mentioned(known, texts))


def _mentioned(known: Known, texts: Sequence[frozenset[str]]) -> bool:
    """Whether a row that cannot be read holds somebody's reference or every word of their name."""
    words = [set(fold(text).split()) for text in (known.reference, known.name) if text]
    return any(wanted <= text for text in texts for wanted in words if wanted)
