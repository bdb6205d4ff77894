"""The supplied policies are kept beside their files in a form that is read at once, and not believed when it is old."""

from __future__ import annotations

import math
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from appliance.api import Surface, load_shipped_yaml
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.engine.english import _costs, _frequencies, costs, frequencies
from appliance_plugins.keyword.engine.exclusions import DATA, Innocent, supplied
from appliance_plugins.keyword.engine.folding import Table
from appliance_plugins.keyword.engine.prepared import NO_ANCHOR, Phrases, Prepared, Texts, anchors, pair_hash, prepared
from appliance_plugins.keyword.kept import kept
from appliance_plugins.keyword.library import shipped
from appliance_plugins.keyword.library.model import Policy

NAME = "sexting"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copy(shipped.SUPPLIED / f"{NAME}.yaml", tmp_path)
    monkeypatch.setattr(shipped, "SUPPLIED", tmp_path)
    shipped.supplied_policies.cache_clear()
    yield tmp_path
    shipped.supplied_policies.cache_clear()


def read() -> Policy:
    shipped.supplied_policies.cache_clear()
    (policy,) = shipped.supplied_policies()
    return policy


def kept_in(folder: Path) -> Path:
    (kept,) = (folder / "__pycache__").iterdir()
    return kept


def test_what_is_kept_is_what_was_read(folder: Path) -> None:
    anew = read()
    before = kept_in(folder).read_bytes()
    again = read()
    assert again == anew
    assert kept_in(folder).read_bytes() == before
    for one, other in zip(anew.terms, again.terms, strict=True):
        assert isinstance(other.phrases, Phrases)
        assert prepared(other.phrases, Table()) == prepared(tuple(one.phrases), Table())


def test_it_is_read_and_not_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anew = read()
    monkeypatch.delattr(shipped, "load_shipped_yaml")
    assert read() == anew


def test_another_file_is_read_anew(folder: Path) -> None:
    file = folder / f"{NAME}.yaml"
    before = read()
    file.write_text(file.read_text("utf-8").replace(before.summary.split()[0], "Anew"), "utf-8")
    assert read().summary == before.summary.replace(before.summary.split()[0], "Anew")
    assert read().summary != before.summary


@pytest.mark.parametrize("damage", ["cut off", "another byte", "empty", "a folder"])
def test_what_is_damaged_is_not_read(folder: Path, damage: str) -> None:
    anew = read()
    kept = kept_in(folder)
    content = kept.read_bytes()
    if damage == "a folder":
        kept.unlink()
        kept.mkdir()
    else:
        changed = content[:-1] + bytes([content[-1] ^ 1])
        kept.write_bytes({"cut off": content[:-7], "another byte": changed, "empty": b""}[damage])
    assert read() == anew


def test_what_was_prepared_finds_the_same(folder: Path) -> None:
    plain = read()
    text = "send nudes pls or i will show every1 ur pics"
    kept = Engine([read()]).find(text, Surface.TYPED)
    terms = tuple(replace(term, phrases=tuple(term.phrases)) for term in plain.terms)
    anew = Engine([replace(plain, terms=terms)]).find(text, Surface.TYPED)
    assert kept
    assert [(hit.term.id, hit.start, hit.end, hit.hows) for hit in kept] == [
        (hit.term.id, hit.start, hit.end, hit.hows) for hit in anew
    ]


def test_what_is_prepared() -> None:
    phrases = ("Kill Urself", "kill yourself", "kys", "想死", "no-one", "", "end")
    found = prepared(phrases, Table())
    assert found.lines == ("kill yourself", "", "kys", "想死", "no one", "", "end")
    assert set(found.words) == {"kill", "yourself", "no", "one"}  # what is short is only compared exactly
    assert found.alone == ()
    assert memoryview(found.pairs).cast("I").tolist() == sorted([pair_hash("kill", "yourself"), pair_hash("no", "one")])
    assert found.anchors == ("kill yourself", "kys", "no one", "end")
    assert memoryview(found.anchored).cast("I").tolist() == [0, NO_ANCHOR, 1, NO_ANCHOR, 2, NO_ANCHOR, 3]
    assert prepared(Phrases(Texts.of(phrases).joined, Prepared((), (), (), b"", (), b"")), Table()).lines == ()


def test_phrases_are_looked_for_by_the_words_that_most_of_them_have() -> None:
    lines = ["i want to kill myself", "i am going to kill myself", "you want to hurt me", "to be or", "die"]
    words, anchored = anchors(lines)
    assert [words[number] for number in memoryview(anchored).cast("I")] == [
        "kill myself", "kill myself", "want to", "to be", "die",
    ]  # fmt: skip


def test_what_is_kept_is_of_the_same_source_or_made_anew(tmp_path: Path) -> None:
    made: list[str] = []

    def make(what: str) -> list[str]:
        made.append(what)
        return [what]

    beside = tmp_path / "words.yaml"
    assert kept(beside, 1, b"one", lambda: make("one")) == kept(beside, 1, b"one", lambda: make("again")) == ["one"]
    assert kept(beside, 1, b"two", lambda: make("two")) == ["two"]
    assert kept(beside, 2, b"two", lambda: make("another form")) == ["another form"]
    assert made == ["one", "two", "another form"]
    assert kept(tmp_path / "nowhere" / "words.yaml", 1, b"one", lambda: ["made"]) == [
        "made"
    ]  # nothing can be kept there


def test_what_root_has_kept_the_service_may_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        kept(tmp_path / "words.yaml", 1, b"one", lambda: ["made"])
    finally:
        os.umask(before)
    (file,) = (tmp_path / "__pycache__").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)] == [0o755, 0o644]


def test_english_words_and_exclusions_are_as_their_files_say() -> None:
    seen = _frequencies((files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_bytes())
    assert list(frequencies().items()) == list(seen.items())  # the commonest first
    assert list(costs()[1].items()) == list(_costs(seen)[1].items())  # the commonest first
    assert costs()[0] == math.log(sum(seen.values()))
    supplied.cache_clear()
    sayings = {phrase for why, phrase in supplied().phrases if why is Innocent.COLLOCATION}
    assert sayings == set(load_shipped_yaml(DATA)["collocations"])


@pytest.mark.parametrize("texts", [(), ("",), ("one",), ("one", "", "two words"), ("想死", "")])
def test_texts_kept_as_one_are_what_they_were(texts: tuple[str, ...]) -> None:
    kept_as_one = Texts.of(texts)
    assert (kept_as_one == texts, list(kept_as_one), len(kept_as_one)) == (True, list(texts), len(texts))
    assert kept_as_one == Texts(kept_as_one.joined)
    assert hash(kept_as_one) == hash(texts)
    assert kept_as_one[1:] == list(texts[1:])
    assert kept_as_one != (*texts, "more")
    assert [kept_as_one[number] for number in range(len(texts))] == list(texts)
