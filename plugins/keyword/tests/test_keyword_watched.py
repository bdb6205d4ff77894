"""Names that are watched for, and words that pupils suggest: what is kept of children, and who may do what with it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import Role
from appliance.clock import new_id, now, stamp
from appliance.errors import Refused
from appliance.hookspecs import Circumstances
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance_plugins.keyword.choices.suggestions.box import OF_ALL, OF_ONE_ADDRESS, SPAN, Box, Pace

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHY = "Petronella told me what they call her"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("watched") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("plugins: {keyword: {}}\n")
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def lead(running: Running) -> Client:
    """The first lead, who can open what is sealed."""
    found = await running.as_role(Role.LEAD, name="Lena Lead")
    await running.appliance.vaults.start()
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deputy(running: Running) -> Client:
    return await running.as_role(Role.DEPUTY, name="Dan Deputy")


def choices(running: Running) -> Any:
    return running.appliance.plugins._registered["keyword"].plugin.choices


def in_days(number: int) -> str:
    return f"{now() + timedelta(days=number):%Y-%m-%d}"


def the_id(page: str) -> str:
    found = re.search(r"/keyword/\w+/([0-9a-f-]{36})", page)
    assert found is not None
    return found[1]


async def store_holds(running: Running, words: str) -> bool:
    """Whether these words stand anywhere in the file of records, or beside it."""
    folder = running.appliance.config.settings.storage.state_dir
    return any(words.encode() in path.read_bytes() for path in folder.glob("records.db*"))


async def test_a_name_needs_a_reason_an_end_and_a_second_adult(running: Running, lead: Client, deputy: Client) -> None:
    form = {"name": "Trella the Smella", "reason": WHY, "last_day": in_days(20)}
    for change, words in (
        ({"name": "T"}, "A name needs 3 to 60 letters"),
        ({"name": "Muslim"}, "This only says who somebody is"),
        ({"reason": " "}, "Say why"),
        ({"reason": "", "name": "", "last_day": ""}, "A name needs 3 to 60 letters"),
        ({"last_day": ""}, "Give the last day"),
        ({"last_day": in_days(-2)}, "lies in the past"),
        ({"last_day": in_days(120)}, "within a term"),
    ):
        wrong = await lead.post("/keyword/names", {**form, **change})
        assert (wrong.status, words in wrong.text) == (422, True), words
        beside = re.findall(r'id="(\w+)-error"', wrong.text)
        assert beside == [name for name in form if name in change], "each beside its field"
    assert (await lead.post("/keyword/names", form)).status == 303
    assert not await store_holds(running, WHY)
    page = (await lead.get("/keyword/names")).text
    assert WHY in page
    assert "I agree" not in page
    own = await lead.post(f"/keyword/names/{the_id(page)}", {"do": "agree"})
    assert "You have asked for this yourself" in own.text
    theirs = (await deputy.get("/keyword/names")).text
    assert "The reason is sealed, and you cannot open it" in theirs
    assert WHY not in theirs
    blind = await deputy.post(f"/keyword/names/{the_id(page)}", {"do": "agree"})
    assert "You cannot read why" in blind.text
    await lead.post(f"/keyword/names/{the_id(page)}", {"do": "end"})
    assert (await deputy.post("/keyword/names", form)).status == 303
    assert choices(running).library.decisions.names == ()
    row = the_id((await lead.get("/keyword/names")).text)
    assert [asked["link"] for asked in await unread_names(running, lead)] == [f"/keyword/names#name-{row}"]
    assert "1 name to agree on" in (await lead.get("/")).text
    assert "to agree on" not in (await deputy.get("/")).text, "she has asked for it herself"
    assert (await lead.post(f"/keyword/names/{row}", {"do": "agree"})).status == 303
    assert await unread_names(running, lead) == await unread_names(running, deputy) == []
    assert [one.name for one in choices(running).library.decisions.names] == ["Trella the Smella"]
    await running.appliance.detection.refresh()
    seen = Observation(new_id(), stamp(), Surface.TYPED, "look it is trella the smella")
    (found,) = await running.appliance.detection.judge(seen)
    assert found.term == f"names_watched_for/{row}"
    for path in ("/keyword", "/keyword/requests", "/keyword/levels", "/keyword/policies/names_watched_for"):
        assert "Trella" not in (await lead.get(path)).text, path
    assert "0 terms with" in (await lead.get("/keyword?words=Trella")).text
    rows = await running.appliance.records.fetch("SELECT * FROM audit WHERE subject LIKE 'name %'")
    assert len(rows) == 4
    assert not any("Trella" in row["detail"] + row["subject"] for row in rows)


async def unread_names(running: Running, client: Client) -> list[Any]:
    """Notices about names that this account has still to read."""
    return [row for row in await running.appliance.notices.unread(client.actor) if "a name is" in row["words"]]


def name_found(running: Running) -> Finding:
    (name,) = choices(running).library.decisions.names
    return Finding("Names", "1", f"names_watched_for/{name.id}", "x", "bullying", Severity.MODERATE, "x", 0, 1)


async def test_a_name_ends_at_its_moment_and_the_record_says_so(running: Running) -> None:
    (name,) = choices(running).library.decisions.names
    until = datetime.fromisoformat(name.until)
    seen = Observation(new_id(), stamp(), Surface.TYPED, "x")
    for moment, kept in ((until - timedelta(seconds=1), 1), (until, 0)):
        subject = Circumstances(None, None, frozenset(), "", moment)
        assert len(await choices(running).weigh(subject, seen, [name_found(running)])) == kept
    async with running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE keyword_names SET until = ?", (stamp(now() - timedelta(minutes=1)),))
    await running.run_job("keyword", "names whose time is over")
    assert choices(running).library.decisions.names == ()
    rows = await running.appliance.records.fetch("SELECT actor FROM audit WHERE action = 'stopped watching for a name'")
    assert [row["actor"] for row in rows][1:] == ["the appliance"]


async def test_a_name_is_turned_down_or_taken_back_by_one(running: Running, lead: Client, deputy: Client) -> None:
    form = {"name": "Somebody Else", "reason": WHY, "last_day": in_days(5)}
    for do, client in (("refuse", deputy), ("end", lead)):
        await lead.post("/keyword/names", form)
        row = the_id((await lead.get("/keyword/names")).text)
        assert (await client.post(f"/keyword/names/{row}", {"do": do})).status == 303
        assert (await deputy.post(f"/keyword/names/{row}", {"do": "agree"})).status == 422
    assert choices(running).library.decisions.names == ()


# Suggestions


async def suggest(running: Running, word: str = "snorp", meaning: str = "to hit somebody") -> Any:
    return await running.post("/keyword/suggest", {"word": word, "meaning": meaning}, "pupil", signed_in=False)


async def test_a_pupil_suggests_a_word_and_nothing_of_them_is_kept(
    running: Running, lead: Client, deputy: Client
) -> None:
    page = await running.get("/keyword/suggest", "pupil", signed_in=False)
    assert "Suggest a word that adults should know" in page.text
    assert "Set-Cookie" not in page.headers
    empty = await suggest(running, " ")
    assert empty.status == 422
    assert '<a href="#word">Write the word.</a>' in empty.text
    assert 'aria-describedby="word-error"' in empty.text
    assert (await suggest(running)).status == 303
    assert "Thank you" in (await running.get("/keyword/suggest?thanks=yes", "pupil", signed_in=False)).text
    assert not await store_holds(running, "snorp")
    (row,) = await running.appliance.records.fetch("SELECT * FROM keyword_suggestions")
    assert {key for key in row.keys() if row[key]} == {"id", "day", "words", "state"}  # noqa: SIM118 - a row of SQLite
    assert len(row["day"]) == 10
    assert "A word that you cannot open" in (await deputy.get("/keyword/suggestions")).text
    queue = (await lead.get("/keyword/suggestions")).text
    assert "snorp" in queue
    assert "to hit somebody" in queue


async def test_a_suggestion_becomes_a_term_and_what_was_written_is_gone(running: Running, lead: Client) -> None:
    row = the_id((await lead.get("/keyword/suggestions")).text)
    assert '<option value="">Choose</option>' in (await lead.get("/keyword/suggestions")).text
    without = await lead.post(f"/keyword/suggestions/{row}", {"do": "accept", "policy": ""})
    assert without.status == 422
    assert f'<a href="#policy-{row}">Choose the policy' in without.text
    assert f'id="policy-{row}-error"' in without.text
    on = await lead.post(f"/keyword/suggestions/{row}", {"do": "accept", "policy": "bullying"})
    assert on.headers["Location"] == f"/keyword/policies/bullying/add?suggestion={row}"
    form = (await lead.get(on.headers["Location"])).text
    assert "snorp" in form
    term = {
        "phrases": "snorp you", "definition": "To hit somebody, in our year 8.", "severity": "minor",
        "on_typed": "yes", "reason": "Suggested", "suggestion": row,
    }  # fmt: skip
    assert (await lead.post("/keyword/policies/bullying/add", term)).status == 303
    (kept,) = await running.appliance.records.fetch("SELECT * FROM keyword_suggestions")
    assert (kept["state"], kept["words"]) == ("accepted", None)
    assert kept["term"].startswith("bullying/own-")
    assert (await lead.post(f"/keyword/suggestions/{row}", {"do": "decline"})).status == 422


async def test_a_suggestion_is_declined(running: Running, lead: Client) -> None:
    await suggest(running, "blarg")
    row = the_id((await lead.get("/keyword/suggestions")).text)
    assert (await lead.post(f"/keyword/suggestions/{row}", {"do": "decline"})).status == 303
    rows = await running.appliance.records.fetch("SELECT * FROM keyword_suggestions WHERE words IS NOT NULL")
    assert rows == []


async def test_the_home_page_says_how_much_waits_and_nothing_more(
    running: Running, lead: Client, deputy: Client
) -> None:
    await suggest(running, "quibblenaut")
    await deputy.post("/keyword/names", {"name": "Trella", "reason": WHY, "last_day": in_days(5)})
    page = (await lead.get("/")).text
    assert "1 name to agree on" in page
    assert "suggested by pupils" in page
    for words in ("Trella", "quibblenaut"):
        assert words not in page


async def test_the_box_cannot_be_flooded(running: Running) -> None:
    pace, at = Pace(), now()
    assert [pace.allows("10.0.0.1", at) for _ in range(OF_ONE_ADDRESS + 1)] == [*[True] * OF_ONE_ADDRESS, False]
    assert all(pace.allows(f"10.0.1.{number}", at) for number in range(OF_ALL - OF_ONE_ADDRESS))
    assert not pace.allows("10.0.2.1", at)
    assert pace.allows("10.0.2.1", at + SPAN)
    box = Box(running.appliance, choices(running)._suggestion_views._store)
    for _ in range(OF_ONE_ADDRESS):
        await box.put("10.0.0.1", "word", "")
    with pytest.raises(Refused, match="A lot of words"):
        await box.put("10.0.0.1", "word", "")
