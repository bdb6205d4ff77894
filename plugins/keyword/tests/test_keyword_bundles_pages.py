"""Bundles in a real appliance: they come, are looked at, applied, taken back, tried silently, and survive a restart."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from bundle_bench import FISH, NEW_FISH, Publisher, policy, supplied, term

from appliance.access import Role
from appliance.clock import new_id, stamp
from appliance.errors import ApplianceError
from appliance.hookspecs import State
from appliance.observations import Observation, Surface
from appliance.plugin_commands import run_words
from appliance.testing import Client, Home, Running, start_in_process
from appliance_plugins.keyword.bundles import previews
from appliance_plugins.keyword.bundles.room import Bundles
from appliance_plugins.keyword.library import shipped

PATH = "/keyword/bundles"
LISTS = "/keyword/bundle-lists"


class School:
    """An appliance that can be started again, and its lead."""

    def __init__(self, home: Home, source: Path, publisher: Publisher) -> None:
        self.home = home
        self.source = source
        self.publisher = publisher
        self.box: Running
        self.lead: Client

    async def start(self) -> None:
        self.box = await start_in_process(self.home)
        self.lead = await self.box.as_role(Role.LEAD, name="Lena Lead")

    async def restart(self) -> None:
        await self.box.stop()
        await self.start()

    @property
    def room(self) -> Bundles:
        return self.box.appliance.plugins._registered["keyword"].plugin.bundles  # type: ignore[no-any-return]

    def offer(self, name: str, packed: bytes) -> None:
        (self.source / name).write_bytes(packed)

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self.lead.get(path)
        assert answer.status == status, words(answer.text)
        return words(answer.text)

    async def post(self, path: str, status: int = 200, **fields: str) -> str:
        answer = await self.lead.post(path, fields)
        if answer.status == 303:
            return await self.get(answer.headers["Location"])
        assert answer.status == status, words(answer.text)
        return words(answer.text)

    async def received(self, version: int = 1, text: str = NEW_FISH) -> str:
        """Let a bundle come; the path of its page."""
        self.offer(f"{version}.tar", self.publisher.bundle(version, {"fish": text}))
        await self.post(f"{PATH}/look")
        kept = (await self.room.desk.store.bundles())[0]
        assert kept.version == version
        return f"{PATH}/{kept.id}"

    async def apply(self, page: str) -> str:
        """Apply a bundle once its page shows what it changes."""
        await self.seen(page)
        return await self.post(f"{page}/apply")

    async def seen(self, page: str) -> str:
        """The page of a bundle once it shows what it changes."""
        while "being worked out" in (text := await self.get(page)):  # each look waits for it a while
            pass
        return text

    def terms(self, name: str = "fish") -> list[str]:
        """The terms of a policy that runs."""
        found = next((one for one in self.room.running.policies if one.name == name), None)
        return [] if found is None else [term.id for term in found.terms]

    async def found(self, text: str) -> list[str]:
        """What the detection process finds."""
        await self.box.appliance.detection.refresh()
        seen = await self.box.appliance.detection.judge(Observation(new_id(), stamp(), Surface.TYPED, text))
        return [one.term for one in seen]

    async def checks(self) -> dict[str, State]:
        return {check.name: check.state for check in await self.room.health()}

    async def age(self) -> str:
        """What the line about updates says."""
        return next(check.words for check in await self.room.health() if check.name == "Policy updates")

    async def audited(self) -> list[tuple[str, str, str]]:
        rows = await self.box.appliance.audit.rows(None, 20)
        return [(row["actor"], row["action"], row["subject"]) for row in rows]


def words(page: str) -> str:
    """The page without its markup, as it reads."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


@pytest.fixture
async def school(appliance_home: Home, tmp_path: Path) -> AsyncIterator[School]:
    source, publisher = tmp_path / "offered", Publisher()
    source.mkdir()
    appliance_home.write(publisher.settings(source))
    found = School(appliance_home, source, publisher)
    with supplied(tmp_path / "supplied"):
        await found.start()
        yield found
        await found.box.stop()


async def test_before_anything_came_the_supplied_policies_are_version_0(school: School) -> None:
    page = await school.get(PATH)
    assert "Those that came with the appliance (version 0)" in page
    assert "1 September 2026" in page
    assert "Nothing waits." in page
    assert school.publisher.key.public.fingerprint[:2] in page
    assert "Policy updates" in words((await school.lead.get("/")).text)


async def test_a_bundle_comes_is_looked_at_applied_and_taken_back(school: School) -> None:
    assert school.terms() == ["cod", "eel"]
    assert re.fullmatch(r"In force: the policies that came with the appliance, \d+ days? old\.", await school.age())
    page = await school.received()
    assert school.terms() == ["cod", "eel"]
    text = await school.seen(page)
    assert "New words." in text
    for told in ("stinging ray", "slippery eel", "severity: severe instead of moderate", "1 term new", "1 term gone"):
        assert told in text
    assert "Version 1 of acme-words is in force." in await school.apply(page)
    assert school.terms() == ["cod", "ray"]
    assert re.fullmatch(r"In force: version 1 of acme-words, \d+ days? old\.", await school.age())
    assert school.terms("birds") == ["gull"]
    assert "Beside it 1 policy that came with the appliance" in await school.get(PATH)
    assert "beside 1 policy that came with the appliance" in await school.get("/")
    assert await school.found("a stinging ray and a slippery eel") == ["fish/ray"]
    assert "These policies are in force already." in await school.post(f"{page}/apply", 422)
    assert "The supplied policies are in force again." in await school.post(f"{PATH}/back")
    assert school.terms() == ["cod", "eel"]
    assert "no policies before these" in await school.post(f"{PATH}/back", 422)
    actions = [row for row in await school.audited() if row[0] == "Lena Lead"]
    assert ("Lena Lead", "went back to the policies before", "the supplied policies") in actions
    assert ("Lena Lead", "applied a bundle of policies", "acme-words") in actions


async def test_what_it_changes_is_worked_out_while_nobody_waits(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await school.received()
    monkeypatch.setattr(previews, "PATIENCE_SECONDS", 0)
    waiting = await school.lead.get(page)
    assert "That is being worked out" in waiting.text
    assert waiting.headers["Refresh"] == "10"
    assert "Put it aside" in waiting.text
    for early in ("Apply it", "Begin a trial run"):
        assert early not in waiting.text, "nobody has seen what it changes"
    refused = await school.post(f"{page}/apply", 422)
    assert "still being worked out" in refused
    assert school.terms() == ["cod", "eel"]
    monkeypatch.setattr(previews, "PATIENCE_SECONDS", 60)
    there = await school.lead.get(page)
    assert "being worked out" not in there.text
    assert "Refresh" not in there.headers
    assert "stinging ray" in there.text
    assert "Apply it" in there.text
    await school.apply(page)
    monkeypatch.setattr(previews, "PATIENCE_SECONDS", 0)
    assert "being worked out" not in await school.get(page), "of what is in force nothing is worked out"


async def test_going_back_goes_back_step_by_step(school: School) -> None:
    for version in (1, 2):
        text = policy("fish", term(f"v{version}", f"word number {'ab'[version - 1]}"))
        await school.apply(await school.received(version, text))
    assert school.terms() == ["v2"]
    await school.restart()
    assert school.terms() == ["v2"]
    assert "Version 1 of acme-words is in force again." in await school.post(f"{PATH}/back")
    assert school.terms() == ["v1"]
    await school.post(f"{PATH}/back")
    assert school.terms() == ["cod", "eel"]


async def test_what_is_refused_is_told_on_the_page(school: School) -> None:
    await school.received(5)
    older = school.publisher.bundle(4)
    for file in school.source.iterdir():
        file.unlink()
    cases = {
        "old.tar": (older, "older than version 5"),
        "strange.tar": (Publisher().bundle(9), "does not trust"),
        "broken.tar": (b"nonsense", "no tar file"),
        "schema.tar": (school.publisher.bundle(9, {"fish": FISH.replace("moderate", "mild")}), '"mild" is not one of'),
        "large.tar": (bytes(9_000_000), "larger than 8 MB"),
        "other.tar": (
            Publisher(key=school.publisher.key).bundle(5, {"fish": FISH}),
            "another bundle with the version 5",
        ),
    }
    for name, (packed, told) in cases.items():
        school.offer(name, packed)
        page = await school.post(f"{PATH}/look", 422)
        assert "1 file was not taken" in page
        assert name in page
        assert told in page, name
        with pytest.raises(ApplianceError, match=f"{name} was not taken"):
            await run_words(school.box.appliance.plugins, ["policy", "check"])
        (school.source / name).unlink()
    assert [kept.version for kept in await school.room.desk.store.bundles()] == [5]
    assert (await school.checks())["Policy updates"] is State.WARNING
    assert school.terms() == ["cod", "eel"]


async def test_the_newest_of_a_folder_counts_and_is_taken_once(school: School) -> None:
    for version in (3, 1, 2):
        school.offer(f"{version}.tar", school.publisher.bundle(version))
    assert "Version 3 of acme-words has come" in await school.post(f"{PATH}/look")
    assert "is here already" in await school.post(f"{PATH}/look")
    await school.box.run_job("keyword", "new policies")
    assert len(await school.room.desk.store.bundles()) == 1
    assert (
        await run_words(school.box.appliance.plugins, ["policy", "check"]) == "Version 3 of acme-words is here already."
    )


async def test_a_policy_with_the_name_of_the_school_s_own_is_refused(school: School) -> None:
    own = school.home.folder / "policies"
    own.mkdir()
    (own / "local.yaml").write_text(policy("local", term("giant", "green giant")))
    await school.restart()
    school.offer("1.tar", school.publisher.bundle(1, {"local": policy("local", term("dwarf", "blue dwarf"))}))
    assert "a policy called local, and the school has one" in await school.post(f"{PATH}/look", 422)


async def test_a_bundle_that_is_damaged_on_the_disk_does_not_run(school: School) -> None:
    await school.apply(await school.received())
    (kept,) = (school.home.state / "workers" / "keyword.bundles").glob("*.bundle")
    whole = kept.read_bytes()
    for spoilt in (whole.replace(b"stinging", b"stingink"), whole[:700], b""):
        kept.write_bytes(spoilt)
        await school.restart()
        assert school.terms() == ["cod", "eel"]
        assert (await school.checks())["Policies in force"] is State.BROKEN
        assert "cannot be used, so the supplied policies run" in await school.get(PATH)
    await school.post(f"{PATH}/look")  # it comes again, whole
    assert school.terms() == ["cod", "ray"]
    assert "Policies in force" not in await school.checks()
    kept.unlink()
    await school.restart()
    assert school.terms() == ["cod", "eel"]
    await school.post(f"{PATH}/back")
    assert "Policies in force" not in await school.checks()


async def test_a_key_that_is_trusted_no_more_ends_its_bundle(school: School) -> None:
    await school.apply(await school.received())
    school.home.write(Publisher().settings(school.source))
    await school.restart()
    assert school.terms() == ["cod", "eel"]
    assert "does not trust" in await school.get(PATH)


async def test_what_a_crash_has_left_is_cleared_away(school: School) -> None:
    folder = school.home.state / "workers" / "keyword.bundles"
    (folder / "x.bundle.0000.part").write_bytes(b"half of it")
    (folder / "nobody.bundle").write_bytes(b"no row names it")
    await school.restart()
    assert list(folder.glob("*.part")) == list(folder.glob("*.bundle")) == []


async def test_a_trial_counts_and_keeps_no_text(school: School) -> None:
    await school.apply(await school.received(1, FISH))
    page = await school.received(2)
    assert "from 1 to 60" in await school.post(f"{page}/trial", 422, days="900")
    assert "runs silently beside for 7 days" in await school.post(f"{page}/trial", days="7")
    assert school.terms() == ["cod", "eel"]
    await school.box.appliance.detection.refresh()
    seen = Observation(new_id(), stamp(), Surface.TYPED, "a slippery eel, a stinging ray, a smelly cod")
    findings = await school.box.appliance.detection.judge(seen)
    assert sorted(one.term for one in findings) == ["fish/cod", "fish/eel", "on-trial:fish/ray"]
    weighed = await school.box.appliance.weighing.weigh(seen, findings, person=None, device=None)
    assert sorted(one.term for one in weighed) == ["fish/cod", "fish/eel"]
    await school.box.run_job("keyword", "policies on trial")
    text = await school.get(page)
    assert "stinging ray Fish Moderate 1" in text
    assert "On trial" in text
    await school.restart()
    assert school.room.running.trial is not None
    assert "was put aside" in await school.post(f"{page}/drop")
    assert school.room.running.trial is None
    assert "stinging ray Fish Moderate 1" in await school.get(page)
    await school.apply(page)
    assert school.terms() == ["cod", "ray"]


async def test_a_trial_ends_when_its_end_has_come(school: School) -> None:
    page = await school.received()
    await school.post(f"{page}/trial", days="1")
    async with school.box.appliance.records.transaction() as tx:
        await tx.execute("UPDATE keyword_bundle_trials SET ends_at = '2026-01-01T00:00:00Z'")
    await school.restart()
    await school.box.run_job("keyword", "policies on trial")
    assert school.room.running.trial is None
    assert "What the trial run has found" in await school.get(page)
    deputy, pastoral = await school.box.as_role(Role.DEPUTY), await school.box.as_role(Role.PASTORAL)
    await school.post(f"{page}/trial", days="1")
    async with school.box.appliance.records.transaction() as tx:
        await tx.execute("UPDATE keyword_bundle_trials SET ends_at = '2026-01-01T00:00:00Z' WHERE ended_at IS NULL")
    await school.restart()
    await school.box.run_job("keyword", "policies on trial")
    await school.box.run_job("keyword", "policies on trial")
    told = "The trial run of version 1 of acme-words has ended."
    notices = await school.box.appliance.notices.all(school.lead.actor)
    assert [(row["words"].startswith(told), row["link"]) for row in notices] == [(True, f"{page}#trial")] * 2
    assert len(await school.box.appliance.notices.all(deputy.actor)) == 1
    assert await school.box.appliance.notices.all(pastoral.actor) == []


async def test_what_the_school_has_switched_off_is_marked_and_would_not_be_found(school: School) -> None:
    """The test bench has a sentence “why are you even alive you waste of space”."""
    found = policy("fish", term("cod", "waste of space"), term("ray", "stinging ray"))
    page = await school.received(1, found)
    before = await school.seen(page)
    assert "would be found by Fish: “waste of space”" in before
    assert "Bullying" in before.partition("Sentences in which it makes a difference")[2]
    assert "Your decision" not in before
    asked = await school.lead.post(
        "/keyword/policies/fish/terms/cod", {"change": "off", "because": "harmless", "reason": "x"}
    )
    assert asked.status == 303
    (request,) = await school.box.appliance.records.fetch("SELECT id FROM keyword_requests")
    await school.lead.post(f"/keyword/requests/{request['id']}", {"do": "grant", "reason": "x"})
    after = await school.seen(page)
    assert "Fish: “waste of space”" not in after
    assert "Your decision switched off at your school, and stays off" in after


async def test_hidden_policies_are_numbers_alone(school: School) -> None:
    text = policy("secret", term("one", "nasty newt"), hidden=True)
    school.offer("1.tar", school.publisher.bundle(1, {"secret": text}))
    await school.post(f"{PATH}/look")
    kept = (await school.room.desk.store.bundles())[0]
    page = await school.seen(f"{PATH}/{kept.id}")
    assert "newt" not in page
    assert "Secret A new policy hidden: its terms are not shown 1 0 0" in page


async def test_old_policies_are_called_old(school: School, tmp_path: Path) -> None:
    for file in (tmp_path / "supplied").glob("*.yaml"):
        file.write_text(file.read_text().replace("date: 2026-09-01", "date: 2025-09-01"))
    shipped.supplied_policies.cache_clear()
    await school.restart()
    assert (await school.checks())["Policy updates"] is State.WARNING
    assert "Older than a term" in await school.get(PATH)


async def test_who_decides_nothing_sees_and_changes_nothing(school: School) -> None:
    page = await school.received()
    pastoral = await school.box.as_role(Role.PASTORAL)
    assert "Look now" not in (await pastoral.get(PATH)).text
    assert "Apply it" not in (await pastoral.get(page)).text
    for path in (f"{page}/apply", f"{page}/drop", f"{page}/trial", f"{PATH}/look", f"{PATH}/back", f"{LISTS}/remove"):
        assert (await pastoral.post(path, {"days": "3"})).status == 403
    assert (await school.box.get(PATH)).status == 403
    assert (await pastoral.get(LISTS)).status == 403
    assert (await school.lead.get(f"{PATH}/none")).status == 404


# Lists that were handed over


async def upload(school: School, content: str, kind: str = "child-abuse", body: str = "IWF") -> tuple[int, str]:
    form = aiohttp.FormData()
    form.add_field("kind", kind)
    form.add_field("body", body)
    form.add_field("file", content.encode(), filename="list.txt" if content else "", content_type="text/plain")
    answer = await school.lead.post(LISTS, form)  # type: ignore[arg-type]
    return answer.status, answer.text


async def test_a_list_is_brought_in_replaced_and_removed(school: School) -> None:
    assert (await upload(school, "wicked words\nbad things\nxy\n"))[0] == 303
    page = await school.get(LISTS)
    assert "2 terms of IWF are looked for now. 1 line was left out: so short as to be found everywhere." in page
    assert await school.found("some wicked words") != []
    for path in (LISTS, PATH, "/keyword", "/keyword/policies/imported_child_abuse", "/audit"):
        text = (await school.lead.get(path)).text
        assert "wicked" not in text
        assert "bad things" not in text
    folder = school.home.state / "workers" / "keyword.bundles"
    (kept,) = folder.glob("*.list")
    assert b"wicked" not in kept.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600
    await school.restart()
    assert school.terms("imported_child_abuse") != []
    await upload(school, "other words\n")
    assert await school.found("some wicked words") == []
    assert len(await school.found("some other words")) == 1
    assert "Its 1 term will no longer be looked for" in await school.get(LISTS)
    assert "ask IWF for it and bring it in again" in await school.get(LISTS)
    refused = await school.post(f"{LISTS}/remove", 422, kind="child-abuse", reason=" ")
    assert refused.count("Say why the list (Child sexual abuse) goes.") == 2, "in the summary and beside the field"
    assert len(await school.found("some other words")) == 1
    await school.post(f"{LISTS}/remove", kind="child-abuse", reason="a newer one is on its way")
    assert await school.found("some other words") == []
    assert list(folder.glob("*.list")) == []
    actions = [action for _, action, subject in await school.audited() if subject == "child-abuse"]
    assert actions == [
        "removed a list that was handed over",
        "replaced a list that was handed over",
        "imported a list that was handed over",
    ]
    (row,) = [row for row in await school.box.appliance.audit.rows(None, 20) if row["action"].startswith("removed")]
    assert "a newer one is on its way" in row["detail"]
    assert "no such list" in await school.post(f"{LISTS}/remove", 422, kind="child-abuse", reason="again")


async def test_a_form_with_mistakes_says_all_of_them(school: School) -> None:
    status, text = await upload(school, "", "other", "")
    assert status == 422
    assert "child-abuse, terrorism" not in text, "codes are for the command line"
    for told in (
        "Say what the list is about: choose one of the two.",
        "Say who has handed the list over",
        "Choose the file",
    ):
        assert told in text
    assert (await upload(school, "\n"))[0] == 422


async def test_a_list_that_is_damaged_is_told(school: School) -> None:
    await upload(school, "wicked words\n", "terrorism", "CTIRU")
    (kept,) = (school.home.state / "workers" / "keyword.bundles").glob("*.list")
    kept.write_bytes(kept.read_bytes()[:-1])
    await school.restart()
    assert (await school.checks())["List of terms: Terrorist material"] is State.BROKEN
    assert "cannot be read, so nothing is looked for by it" in await school.get(LISTS)
    await upload(school, "wicked words\n", "terrorism", "CTIRU")
    assert "List of terms: Terrorist material" not in await school.checks()


async def test_the_command_line_brings_a_list_in(school: School, tmp_path: Path) -> None:
    plugins, file = school.box.appliance.plugins, tmp_path / "list.csv"
    file.write_text("term;note\nwicked words;x\n")
    command = ["policy", "import-list", str(file), "--kind", "terrorism", "--from", "CTIRU"]
    assert "1 term of CTIRU is looked for now." in await run_words(plugins, command)
    assert len(school.terms("imported_terrorism")) == 1
    gone = ["policy", "remove-list", "--kind", "terrorism", "--reason"]
    with pytest.raises(ApplianceError, match="Say why"):
        await run_words(plugins, [*gone, " "])
    assert "is gone" in await run_words(plugins, [*gone, "CTIRU took it back"])
    for wrong, told in (("list.csv", "whole path"), (str(tmp_path / "none"), "cannot read")):
        with pytest.raises(ApplianceError, match=told):
            await run_words(plugins, ["policy", "import-list", wrong, "--kind", "terrorism", "--from", "CTIRU"])
