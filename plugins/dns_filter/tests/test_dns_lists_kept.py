"""Copies of lists are kept: compiled in a process of its own, held back when they shrink, gone back to, and locked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import Refused
from appliance_plugins.dns_filter.answerer.table import ALLOW, SUFFIX, Table, digest
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.lists import child
from appliance_plugins.dns_filter.lists.catalogue import Catalogue, SourceState
from appliance_plugins.dns_filter.lists.compiling import DIGESTS, digests_of
from appliance_plugins.dns_filter.lists.copies import FEW, INDEX, ListUnreadable
from appliance_plugins.dns_filter.lists.dialects import WITH_BELOW
from appliance_plugins.dns_filter.lists.fetching import Fetcher
from appliance_plugins.dns_filter.lists.sources import Spec, handed_over


class Kept:
    """A catalogue in a folder, and the files of its lists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources = folder / "etc"
        self.sources.mkdir(exist_ok=True)
        self.catalogue = self.new()

    def new(self) -> Catalogue:
        return Catalogue(self.folder / "lists", Fetcher("", 1000, ()), 1)

    def write(self, name: str, *names: str) -> Path:
        path = self.sources / name
        path.write_text("\n".join(names))
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # another moment, even on a coarse clock
        return path

    async def use(self, *specs: Spec) -> None:
        await self.catalogue.open()
        self.catalogue.use(specs)
        await self.catalogue.refresh()

    async def restart(self, *specs: Spec) -> None:
        self.catalogue = self.new()
        await self.use(*specs)

    def state(self, name: str) -> SourceState:
        return next(state for state in self.catalogue.states if state.spec.name == name)

    def names(self, name: str) -> list[tuple[str, int]]:
        """What the table in force says of a name."""
        table = Table.open(self.folder / "lists" / (self.catalogue.table + SUFFIX))
        try:
            return sorted(table.sets[table.find(to_wire(name))])
        finally:
            table.close()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def spec(path: Path, name: str = "ads", **fields: object) -> Spec:
    return replace(Spec(name, "settings", path=path), **fields)  # type: ignore[arg-type]


def many(count: int, start: int = 0) -> Sequence[str]:
    return [f"n{number}.example" for number in range(start, start + count)]


async def test_lists_become_one_table_with_ways_around_built_in(kept: Kept) -> None:
    ads = kept.write("ads.txt", "ads.example", "both.example", "nonsense")
    games = kept.write("games.txt", "||both.example^", "@@||ok.both.example^")
    await kept.use(spec(ads, category="advertising"), spec(games, "games", category="games"))
    assert kept.names("ads.example") == [("ads", WITH_BELOW)]
    assert kept.names("both.example") == [("ads", WITH_BELOW), ("games", WITH_BELOW)]
    assert kept.names("ok.both.example") == [("games", WITH_BELOW | ALLOW)]
    assert kept.names("dns.google") == [("bypass", WITH_BELOW)]
    assert kept.names("other.example") == []
    facts = kept.catalogue.facts()
    assert (facts["ads"].category, facts["ads"].names, facts["ads"].locked) == ("advertising", 2, False)
    assert facts["bypass"].category == "bypass"
    (only,) = kept.state("ads").kept.current.lists  # type: ignore[union-attr]
    assert (only.format, only.rejected) == ("domains", 1)


async def test_an_exception_of_one_rule_gives_way_to_another_rule(kept: Kept) -> None:
    path = kept.write("a.txt", "||d.example^$denyallow=x.d.example|y.d.example", "||x.d.example^")
    await kept.use(spec(path))
    assert kept.names("x.d.example") == [("ads", WITH_BELOW)]
    assert kept.names("y.d.example") == [("ads", WITH_BELOW | ALLOW)]


async def test_what_has_not_changed_is_not_read_again_even_after_a_restart(kept: Kept) -> None:
    path = kept.write("ads.txt", "a.example")
    await kept.use(spec(path))
    table = kept.catalogue.table
    first = kept.state("ads").kept.current
    await kept.restart(spec(path))
    assert kept.catalogue.table == table
    assert kept.state("ads").kept.current == first
    kept.write("ads.txt", "b.example")
    assert await kept.catalogue.refresh()
    assert kept.catalogue.table != table
    assert kept.names("a.example") == []


async def test_a_list_that_cannot_be_read_keeps_its_last_good_copy(kept: Kept) -> None:
    path = kept.write("ads.txt", "a.example")
    await kept.use(spec(path))
    path.write_text("<!doctype html>\n<p>Not found</p>\n")
    await kept.catalogue.refresh()
    assert "is no list in the format" in kept.state("ads").trouble.what  # type: ignore[union-attr]
    assert kept.names("a.example") == [("ads", WITH_BELOW)]
    path.unlink()
    await kept.catalogue.refresh()
    assert "No such file" in kept.state("ads").trouble.what  # type: ignore[union-attr]
    assert kept.names("a.example") == [("ads", WITH_BELOW)]
    kept.write("ads.txt", "b.example")
    await kept.catalogue.refresh()
    assert kept.state("ads").trouble is None
    assert kept.names("b.example") == [("ads", WITH_BELOW)]


async def test_a_list_that_shrinks_by_half_is_held_back_until_somebody_accepts_it(kept: Kept) -> None:
    path = kept.write("ads.txt", *many(FEW * 2))
    await kept.use(spec(path))
    kept.write("ads.txt", *many(FEW))
    await kept.catalogue.refresh()
    assert kept.state("ads").shrank == "ads would have 100 names instead of 200."
    assert kept.names(f"n{FEW + 5}.example") == [("ads", WITH_BELOW)]
    await kept.restart(spec(path))  # what is held back survives a restart, and is not read again and again
    assert kept.state("ads").shrank
    kept.catalogue.accept("ads")
    assert await kept.catalogue.rebuild()
    assert kept.names(f"n{FEW + 5}.example") == []
    assert kept.state("ads").shrank == ""
    with pytest.raises(Refused):
        kept.catalogue.accept("ads")


async def test_a_short_list_may_be_edited_by_hand(kept: Kept) -> None:
    path = kept.write("ads.txt", *many(FEW - 1))
    await kept.use(spec(path))
    kept.write("ads.txt", "a.example")
    await kept.catalogue.refresh()
    assert kept.state("ads").shrank == ""
    assert kept.names("n1.example") == []


async def test_a_list_that_comes_to_be_empty_is_held_back_however_short_it_was(kept: Kept) -> None:
    path = kept.write("ads.txt", "a.example", "b.example")
    await kept.use(spec(path))
    kept.write("ads.txt", "# nothing any more")
    await kept.catalogue.refresh()
    assert kept.state("ads").shrank == "ads would have 0 names instead of 2."
    assert kept.names("a.example") == [("ads", WITH_BELOW)]


async def test_somebody_goes_back_to_the_copy_before(kept: Kept) -> None:
    path = kept.write("ads.txt", "a.example")
    await kept.use(spec(path))
    with pytest.raises(Refused):
        kept.catalogue.go_back("ads")
    kept.write("ads.txt", "b.example")
    await kept.catalogue.refresh()
    kept.catalogue.go_back("ads")
    await kept.catalogue.rebuild()
    assert (kept.names("a.example"), kept.names("b.example")) == ([("ads", WITH_BELOW)], [])
    await kept.catalogue.refresh()  # the copy that was refused does not come back by itself
    assert kept.names("b.example") == []
    kept.write("ads.txt", "c.example")
    await kept.catalogue.refresh()
    assert kept.names("c.example") == [("ads", WITH_BELOW)]


async def test_the_layout_of_toulouse_becomes_a_list_for_each_folder(kept: Kept) -> None:
    for folder, name in (("adult", "x.example"), ("agressif", "h.example"), ("astrology", "s.example")):
        (kept.sources / folder).mkdir()
        (kept.sources / folder / "domains").write_text(f"{name}\n")
        (kept.sources / folder / "urls").write_text(f"{name}/page\n")
    with tarfile.open(kept.folder / "ut1.tar.gz", "w:gz") as archive:
        archive.add(kept.sources, "blacklists")
    await kept.use(spec(kept.sources, "ut1", format="ut1"), spec(kept.folder / "ut1.tar.gz", "packed", format="ut1"))
    assert kept.names("x.example") == [("packed-adult", WITH_BELOW), ("ut1-adult", WITH_BELOW)]
    facts = kept.catalogue.facts()
    assert [facts[f"ut1-{name}"].category for name in ("adult", "agressif", "astrology")] == ["adult", "hate", "other"]
    assert kept.state("ut1").kept.current.ignored == 3  # type: ignore[union-attr]


async def test_a_checksum_must_fit(kept: Kept) -> None:
    path = kept.write("ads.txt", "a.example")
    await kept.use(spec(path, sha256="0" * 64))
    assert "has the SHA-256" in kept.state("ads").trouble.what  # type: ignore[union-attr]
    assert kept.names("a.example") == []


async def test_files_that_nobody_needs_any_more_are_deleted(kept: Kept) -> None:
    path = kept.write("ads.txt", "a.example")
    await kept.use(spec(path))
    for name in ("b.example", "c.example", "d.example"):
        kept.write("ads.txt", name)
        await kept.catalogue.refresh()
        await kept.catalogue.tidy()
    left = sorted(each.suffix for each in (kept.folder / "lists").iterdir())
    assert left == [DIGESTS, DIGESTS, ".json", ".table", ".table"]  # this one and the one before


async def test_a_damaged_index_only_costs_another_reading(kept: Kept) -> None:
    path = kept.write("ads.txt", "a.example")
    await kept.use(spec(path))
    (kept.folder / "lists" / INDEX).write_text("{nonsense")
    await kept.restart(spec(path))
    assert kept.names("a.example") == [("ads", WITH_BELOW)]


async def test_compiled_files_that_are_gone_are_made_again(kept: Kept) -> None:
    path, other = kept.write("ads.txt", "a.example"), kept.write("games.txt", "g.example")
    await kept.use(spec(path), spec(other, "games"))
    for compiled in (kept.folder / "lists").glob(f"*{DIGESTS}"):
        compiled.unlink()
    kept.write("ads.txt", "b.example")
    await kept.catalogue.refresh()
    assert kept.catalogue.table_trouble is not None
    assert kept.names("a.example") == [("ads", WITH_BELOW)]  # the table from before is whole
    await kept.catalogue.refresh()
    assert kept.catalogue.table_trouble is None
    assert (kept.names("b.example"), kept.names("g.example")) == ([("ads", WITH_BELOW)], [("games", WITH_BELOW)])


# Locked lists


async def test_a_locked_list_stays_when_its_line_its_file_or_its_lock_goes(kept: Kept) -> None:
    path = kept.write("abuse.txt", "abuse.example", "nonsense")
    locked = spec(path, "abuse", locked=True, category="child_abuse")
    await kept.use(locked)
    assert kept.state("abuse").kept.current.lists[0].examples == ()  # type: ignore[union-attr]
    for specs in ((), (replace(locked, locked=False),)):
        await kept.restart(*specs)
        assert kept.names("abuse.example") == [("abuse", WITH_BELOW)]
        assert kept.catalogue.facts()["abuse"].locked
        assert kept.catalogue.facts()["abuse"].category == "child_abuse"
    path.unlink()
    await kept.restart(locked)
    assert kept.names("abuse.example") == [("abuse", WITH_BELOW)]
    await kept.restart()
    assert "is gone" in kept.state("abuse").trouble.what  # type: ignore[union-attr]


async def test_a_locked_list_is_replaced_by_a_newer_one_but_never_on_a_page(kept: Kept) -> None:
    path = kept.write("abuse.txt", "a.example", "b.example")
    locked = spec(path, "abuse", locked=True)
    await kept.use(locked)
    kept.write("abuse.txt", "b.example", "c.example")
    await kept.catalogue.refresh()
    assert kept.names("c.example") == [("abuse", WITH_BELOW)]
    with pytest.raises(Refused, match="locked"):
        kept.catalogue.go_back("abuse")
    kept.write("abuse.txt", "c.example")
    await kept.catalogue.refresh()
    assert kept.state("abuse").shrank  # however few names it has
    with pytest.raises(Refused, match="locked"):
        kept.catalogue.accept("abuse")


async def test_no_list_speaks_in_the_name_of_a_locked_one(kept: Kept) -> None:
    (kept.sources / "iwf").mkdir()
    (kept.sources / "iwf" / "domains").write_text("||x.example^\n@@||abuse.example^\n")
    abuse = kept.write("abuse.txt", "abuse.example")
    await kept.use(
        spec(kept.sources, "locked", format="ut1"), spec(abuse, "locked-iwf", locked=True),
    )  # fmt: skip
    assert kept.names("abuse.example") == [("locked-iwf", WITH_BELOW)]
    assert kept.catalogue.facts()["locked-iwf"].locked


def test_lists_that_are_handed_over_say_by_whom_and_belong_to_root(tmp_path: Path) -> None:
    assert list(handed_over(tmp_path / "missing")) == []
    for name in ("iwf.txt", "loose.txt", "alone.txt"):
        (tmp_path / name).write_text("a.example\n")
    about = "title: Abuse images\nprovider: Example Filtering Ltd\ncategory: child_abuse\n"
    (tmp_path / "iwf.yaml").write_text(about)
    (tmp_path / "loose.yaml").write_text(about)
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    (tmp_path / "loose.txt").chmod(0o666)
    found = {each.name: each for each in handed_over(tmp_path)}
    good = found["locked-iwf"]
    assert (good.title, good.provider, good.category, good.locked) == (
        "Abuse images", "Example Filtering Ltd", "child_abuse", True,
    )  # fmt: skip
    assert good.trouble is None
    assert "changed by others than root" in str(found["locked-loose"].trouble)
    assert "Put a file alone.yaml" in str(found["locked-alone"].trouble)


# The process


def test_digests_are_those_of_the_table() -> None:
    names = ("a.example", "b.a.example", "c.b.a.example", "x" * 63 + ".e.d.c.b.a.example")
    assert digests_of(name.encode() for name in names) == b"".join(digest(to_wire(name)) for name in names)


async def test_the_process_says_how_far_it_is_and_why_it_ended(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    task = {"do": "compile", "source": "/nonexistent", "folder": str(tmp_path), "format": "auto", "limit": 10}
    with pytest.raises(ListUnreadable, match="No such file"):
        await child.run(task, lambda octets, names: heard.append((octets, names)))
    with pytest.raises(ListUnreadable, match="ended before it was done"):
        await child.run({"do": "compile"}, lambda *far: None)
    assert heard == []
