"""The pages of people, groups, devices, imports and the vulnerable list, as browsers of different people see them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape

import aiohttp
import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import Role
from appliance.accounts.staff import Scope
from appliance.clock import new_id
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details, Filter
from appliance.testing import HELP_SEEKING, Answer, Client, Home, Running, free_port, start_in_process
from appliance.web.pages import COOKIE

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = "UPN,Forename,Surname,Reg Group,Year,Username\n"
FORBIDDEN = re.compile(r"\b(users?|events?|payloads?|null|vaults?|shadow|invalid input)\b", re.IGNORECASE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """IT's browser at an appliance."""
    folder = tmp_path_factory.mktemp("directory") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("")
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    """The first lead, who keeps the vulnerable list."""
    return await running.as_role(Role.LEAD, name="Lee Lead")


def words(page: str) -> str:
    """What can be read on a page."""
    text = re.sub(r"<code>.*?</code>|<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def goes_to(answer: Answer) -> str:
    """Where an answer leads."""
    assert answer.status == 303, words(answer.text)
    return answer.headers["Location"]


async def pupil(running: Running, name: str, *groups: str) -> str:
    directory = running.appliance.directory
    person = await directory.add(running.actor, Details("pupil", name))
    for group in groups:
        await directory.groups.add_people(running.actor, group, [person])
    return person


async def upload(client: Client, kind: str, content: bytes, name: str = "people.csv") -> Answer:
    """Choose a file as a browser does."""
    form = aiohttp.FormData({"kind": kind, "text": ""})
    form.add_field("file", content, filename=name, content_type="text/csv")
    headers = {
        "Host": f"staff.localhost:{client.port}",
        "Sec-Fetch-Site": "same-origin",
        "Cookie": f"{COOKIE}={client.cookie}",
    }
    url = f"http://127.0.0.1:{client.port}/people/import"
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.post(url, data=form, headers=headers, allow_redirects=False) as response,
    ):
        return Answer(response.status, await response.text(), dict(response.headers))


async def previewed(client: Client, kind: str, text: str) -> tuple[str, Answer]:
    """The address of a file's preview, and the preview."""
    columns = goes_to(await upload(client, kind, text.encode()))
    page = (await client.get(columns)).text
    chosen = {}
    for select in re.findall(r'<select id="\w+".*?</select>', page, re.DOTALL):
        value = re.search(r'<option value="(\d+)" selected', select)
        if value:
            chosen[select.split('"')[1]] = value[1]
    address = goes_to(await client.post(columns, chosen))
    return address, await client.get(address)


async def applied(running: Running, address: str, preview: Answer, **more: str) -> Answer:
    """Apply what a preview shows, and wait until it has settled."""
    seen = re.findall(r'name="seen" value="(\w+)"', preview.text)[0]
    answer = await running.post(f"{address}/apply", {"seen": seen, **more})
    await running.appliance.directory.imports.settled()
    return answer


# People


async def test_a_person_is_added_found_changed_and_marked_as_left(running: Running) -> None:
    wrong = await running.post("/people/new", {"kind": "pupil", "name": " ", "reference": "A-7"})
    assert wrong.status == 422
    assert "Give the name." in words(wrong.text)
    assert 'value="A-7"' in wrong.text
    form = {"kind": "pupil", "name": "Zoë <O’Hara>", "reference": "A-7", "email": "z@a.uk"}
    address = goes_to(await running.post("/people/new", form))
    page = await running.get(address)
    assert "Zoë <O’Hara>" in words(page.text)
    assert "<O’Hara>" not in page.text
    twice = await running.post("/people/new", {**form, "name": "Other"})
    assert (twice.status, "has this reference" in words(twice.text)) == (422, True)

    found = await running.post("/people", {"words": "ohara zoe"})
    assert f'href="{address}"' in found.text
    assert f'href="{address}"' in (await running.post("/people", {"words": "a-7"})).text
    assert "Nobody of this name" in words((await running.post("/people", {"words": "nobody at all"})).text)
    assert f'href="{address}"' in (await running.get("/people?kind=pupil")).text
    assert f'href="{address}"' not in (await running.get("/people?kind=staff&page=x")).text

    assert goes_to(await running.post(f"{address}/edit", {"name": "Zoë Hart", "reference": "A-7"})) == address
    assert "Zoë Hart" in words((await running.get(address)).text)
    assert "Nothing is deleted" in words((await running.get(f"{address}/left")).text)
    assert goes_to(await running.post(f"{address}/left")) == address
    assert "Has left the school" in words((await running.get(address)).text)
    assert f'href="{address}"' in (await running.get("/people?left=yes")).text
    goes_to(await running.post(f"{address}/back"))
    assert "Has left the school" not in words((await running.get(address)).text)


async def test_what_is_typed_into_a_search_stands_in_no_address(running: Running) -> None:
    for number in range(51):
        await pupil(running, f"Searched Pupil{number:02}")
    page = (await running.post("/people", {"words": "searched"})).text
    assert "51 people found" in words(page)
    assert not re.findall(r'(?:href|action)="[^"]*searched', page, re.IGNORECASE)
    second = await running.post("/people", {"words": "searched", "page": "2"})
    assert "Pupil50" in second.text
    assert "Pupil49" not in second.text


async def test_somebody_out_of_scope_and_somebody_who_is_not_there_are_the_same(running: Running) -> None:
    ada, ben = await pupil(running, "Ada Inscope"), await pupil(running, "Ben Outofscope")
    teacher = await running.as_role(Role.TEACHER, [Scope("person", ada)])
    answers = [await teacher.get(f"/people/{person}") for person in (ben, new_id())]
    assert [answer.status for answer in answers] == [404, 404]
    assert words(answers[0].text) == words(answers[1].text)
    listed = words((await teacher.get("/people")).text)
    assert "Ada Inscope" in listed
    assert "Outofscope" not in listed
    assert "Outofscope" not in words((await teacher.post("/people", {"words": "ben"})).text)


async def test_the_reason_is_asked_before_a_pupils_page_and_not_of_it(running: Running) -> None:
    ada = await pupil(running, "Ada Gated")
    await running.appliance.directory.add_account(running.actor, ada, "system", "gated-name")
    teacher = await running.as_role(Role.TEACHER, [Scope("person", ada)])
    asked = await teacher.get(f"/people/{ada}")
    assert "Why are you opening this?" in words(asked.text)
    assert "gated-name" not in asked.text
    goes_to(await teacher.post(f"/people/{ada}/look", {"reason": "routine"}))
    page = await teacher.get(f"/people/{ada}")
    assert "gated-name" in page.text
    assert "Mark as left" not in page.text
    assert "Mark as left" in (await running.get(f"/people/{ada}")).text


async def test_groups_and_sign_in_names_are_changed_on_a_persons_page(running: Running) -> None:
    ada, ben = await pupil(running, "Ada Names"), await pupil(running, "Ben Names")
    group = await running.appliance.directory.groups.make(running.actor, "list", "Choir")
    await running.post(f"/people/{ada}/groups", {"do": "add", "group": group})
    assert running.appliance.directory.groups_of_person(ada) == {group}
    await running.post(f"/people/{ada}/groups", {"do": "remove", "group": group})
    assert running.appliance.directory.groups_of_person(ada) == frozenset()
    gone = await running.post(f"/people/{ada}/groups", {"do": "add", "group": "nothing"})
    assert (gone.status, "not in the directory any more" in words(gone.text)) == (422, True)
    await running.post(f"/people/{ada}/accounts", {"do": "add", "kind": "system", "name": "ANames"})
    taken = await running.post(f"/people/{ben}/accounts", {"do": "add", "kind": "system", "name": "anames"})
    assert (taken.status, 'value="anames"' in taken.text) == (422, True)
    await running.post(f"/people/{ada}/accounts", {"do": "remove", "kind": "system", "name": "anames"})
    assert await running.appliance.directory.find_account("system", "anames") is None
    for path in ("groups", "accounts"):
        assert (await running.post(f"/people/{ada}/{path}", {"do": "nonsense"})).status == 400


async def test_a_leavers_account_ends_at_once(running: Running) -> None:
    person = await running.appliance.directory.add(running.actor, Details("staff", "Mr Leaver"))
    teacher = await running.as_role(Role.TEACHER, name="Mr Leaver")
    async with running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE staff_accounts SET person_id = ? WHERE id = ?", (person, teacher.account))
        await running.appliance.staff.take_after_commit(tx)
    assert (await teacher.get("/people")).status == 200
    assert "account for these pages ends at once" in words((await running.get(f"/people/{person}/left")).text)
    await running.post(f"/people/{person}/left")
    assert not running.appliance.staff.get(teacher.account).active
    assert (await teacher.get("/people")).status == 403


# Groups and devices


async def test_a_group_is_made_filled_renamed_and_deleted(running: Running) -> None:
    assert (await running.post("/groups", {"kind": "list", "name": ""})).status == 422
    address = goes_to(await running.post("/groups", {"kind": "list", "name": "Chess club"}))
    group = address.rpartition("/")[2]
    ada, desk = await pupil(running, "Ada Chess"), await running.appliance.directory.devices.add(
        running.actor, DeviceDetails("Chess desk", "CHESS1")
    )  # fmt: skip
    found = await running.post(f"{address}/people", {"do": "find", "words": "chess"})
    assert "Ada Chess" in words(found.text)
    nobody = await running.post(f"{address}/people", {"do": "put", "words": "chess"})
    assert (nobody.status, "Tick who" in words(nobody.text)) == (422, True)
    assert goes_to(await running.post(f"{address}/people", {"do": "put", "person": ada})) == address
    assert "Ada Chess" not in words((await running.post(f"{address}/people", {"words": "ada chess"})).text)
    assert "Chess desk" in words((await running.post(f"{address}/devices", {"words": "chess1"})).text)
    assert (await running.post(f"{address}/devices", {"do": "put"})).status == 422
    goes_to(await running.post(f"{address}/devices", {"do": "put", "device": desk}))
    page = words((await running.get(address)).text)
    assert "Ada Chess" in page
    assert "Chess desk" in page
    assert (await running.post(f"{address}/rename", {"name": " "})).status == 422
    goes_to(await running.post(f"{address}/rename", {"name": "Chess"}))
    assert "List Chess" in words((await running.get(address)).text)
    goes_to(await running.post(f"{address}/take-out", {"device": desk}))
    assert (await running.post(f"{address}/take-out", {})).status == 400

    teacher = await running.as_role(Role.TEACHER, [Scope("group", group)], name="Tina Chess")
    assert "Ada Chess" in words((await teacher.get(address)).text)
    assert "Tina Chess" in words((await running.get(f"{address}/delete")).text)
    assert (await running.post(f"{address}/delete")).status == 422
    async with running.appliance.records.transaction() as tx:
        await tx.execute("DELETE FROM staff_scopes WHERE account_id = ?", (teacher.account,))
    assert "1 person is no longer in it" in words((await running.get(f"{address}/delete")).text)
    goes_to(await running.post(f"{address}/delete"))
    assert (await running.get(address)).status == 404
    assert (await running.get(f"/people/{ada}")).status == 200


async def test_a_device_is_added_given_moved_and_removed(running: Running) -> None:
    assert (await running.post("/devices/new", {"name": "", "serial": "S-9"})).status == 422
    address = goes_to(await running.post("/devices/new", {"name": "Laptop 9", "serial": "S-9"}))
    assert (await running.post("/devices/new", {"name": "Laptop 9", "serial": "S-9"})).status == 422
    ada = await pupil(running, "Ada Laptop")
    assert "Ada Laptop" in words((await running.post(f"{address}/give", {"words": "laptop"})).text)
    assert (await running.post(f"{address}/give", {"do": "give"})).status == 422
    goes_to(await running.post(f"{address}/give", {"do": "give", "person": ada}))
    assert "Ada Laptop" in words((await running.get(address)).text)
    assert "Laptop 9" in words((await running.get(f"/people/{ada}")).text)
    room = await running.appliance.directory.groups.make(running.actor, "room", "IT 9")
    goes_to(await running.post(f"{address}/groups", {"do": "add", "group": room}))
    assert "Room IT 9" in words((await running.get(f"/groups/{room}")).text)
    assert address in (await running.get(f"/devices?group={room}&holder=somebody")).text
    assert address not in (await running.get("/devices?holder=nobody")).text
    assert (await running.post(f"{address}/groups", {"do": "add", "group": "nothing"})).status == 422
    goes_to(await running.post(f"{address}/groups", {"do": "remove", "group": room}))
    goes_to(await running.post(f"{address}/give", {"do": "nobody"}))
    goes_to(await running.post(f"{address}/edit", {"name": "Laptop nine", "serial": "S-9"}))
    assert (await running.get(f"{address}/remove")).status == 200
    goes_to(await running.post(f"{address}/remove"))
    assert address not in (await running.post("/devices", {"words": "laptop nine"})).text
    assert address in (await running.post("/devices", {"words": "laptop nine", "removed": "yes"})).text
    goes_to(await running.post(f"{address}/bring-back"))
    teacher = await running.as_role(Role.TEACHER, [Scope("person", ada)])
    assert (await teacher.get(address)).status == (await teacher.get(f"/devices/{new_id()}")).status == 404


# Importing


async def test_a_file_is_chosen_matched_previewed_applied_and_undone(running: Running) -> None:
    directory = running.appliance.directory
    for kind in ("pupil", "staff"):
        example = await running.get(f"/people/import/example.csv?kind={kind}")
        assert "attachment" in example.headers["Content-Disposition"]
        _, shown = await previewed(running, kind, example.text.removeprefix("\ufeff"))
        assert "2 people are added" in words(shown.text)
    text = f"{FILE}I1,=Im,Port,7I,7,iport\nI2,Zoë,Port,7I,7,\nI3,,,7I,7,\n"
    address, shown = await previewed(running, "pupil", text)
    page = words(shown.text)
    assert "New 2" in page
    assert "Line 4" in page or "It has no name." in page
    assert "=Im Port" in page
    assert (await directory.find(running.actor, Filter("port"), 1)).total == 0
    stale = await running.post(f"{address}/apply", {"seen": "other"})
    assert (stale.status, "Read it once more" in words(stale.text)) == (422, True)
    assert goes_to(await applied(running, address, shown)) == "/people/import/result"
    assert (await directory.find(running.actor, Filter("port"), 1)).total == 2
    result = await running.get("/people/import/result")
    assert "Added 2" in words(result.text)
    assert "Refresh" not in result.headers
    gone = await running.get(address)
    assert (gone.status, "no longer here" in words(gone.text)) == (409, True)

    address, shown = await previewed(running, "pupil", f"{FILE}I1,Im,Porter,8I,8,iport\n")
    assert "Name: =Im Port → Im Porter" in words(shown.text)
    goes_to(await applied(running, address, shown))
    assert "person gets back" in words((await running.get("/people/import/undo")).text)
    last = await directory.imports.last(running.actor)
    assert last is not None
    assert goes_to(await running.post("/people/import/undo", {"id": last["id"]})) == "/people/import/result"
    await directory.imports.settled()
    assert "Everything is as it was before" in words((await running.get("/people/import/result")).text)
    assert (await directory.find(running.actor, Filter("porter"), 1)).total == 0
    assert (await running.get("/people/import/undo")).status == 409


async def test_many_leave_only_if_it_is_said_twice(running: Running) -> None:
    directory = running.appliance.directory
    before = (await directory.counts(running.actor))["pupil"]
    address, shown = await previewed(running, "pupil", f"{FILE}L1,New,Pupil,7L,7,\n")
    assert "more than one in five" in words(shown.text)
    once = await applied(running, address, shown, leave="yes")
    assert (once.status, f"of {before} people" in words(once.text)) == (422, True)
    assert re.search(r'name="leave"[^>]*checked', once.text)
    goes_to(await applied(running, address, shown, leave="yes", sure="yes"))
    assert (await directory.counts(running.actor))["pupil"] == 1
    last = await directory.imports.last(running.actor)
    assert last is not None
    await directory.imports.undo(running.actor, last["id"])
    await directory.imports.settled()
    assert (await directory.counts(running.actor))["pupil"] == before


async def test_a_person_answers_what_is_not_certain(running: Running) -> None:
    address, shown = await previewed(running, "pupil", f"{FILE}Q1,Quinn,Question,7Q,7,\n")
    goes_to(await applied(running, address, shown))
    address, shown = await previewed(running, "pupil", f"{FILE},Quinn,Question,8Q,8,\n")
    assert "1 question" in words(shown.text)
    assert "There is nothing to apply" in words(shown.text) or "0 people are added" in words(shown.text)
    goes_to(await running.post(f"{address}/answers", {"answer-2": "new", "for_all": ""}))
    assert "New 1" in words((await running.get(address)).text)
    goes_to(await running.post(f"{address}/answers", {"answer-2": "", "for_all": "same", "answer-x": "y"}))
    shown = await running.get(address)
    assert "Form: 7Q → 8Q" in words(shown.text)
    goes_to(await running.post(f"{address}/drop"))
    assert (await running.get(address)).status == 409


async def test_a_long_part_of_a_preview_has_pages_of_its_own(running: Running) -> None:
    rows = "".join(f"P{number},Page,Number{number},7P,7,\n" for number in range(250))
    address, shown = await previewed(running, "pupil", FILE + rows)
    assert "See all 250" in words(shown.text)
    assert "Number11 " not in words(shown.text)
    first, second = [words((await running.get(f"{address}?show=new&page={page}")).text) for page in (1, 2)]
    assert "Number199" in first
    assert "Number200" not in first
    assert "Number249" in second
    assert "Page 2 of 2" in second


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"PK\x03\x04", "spreadsheet"), (b"Name\n", "no rows")],
)
async def test_a_file_that_cannot_be_read_is_refused_beside_its_field(
    running: Running, content: bytes, said: str
) -> None:
    answer = await upload(running, "staff", content)
    assert answer.status == 422
    assert said in words(answer.text)
    assert re.search(r'value="staff" checked', answer.text)


async def test_text_can_be_pasted_and_nothing_at_all_is_said_so(running: Running) -> None:
    async def send(text: str) -> Answer:
        form = aiohttp.FormData({"kind": "staff", "text": text})
        form.add_field("file", b"", filename="", content_type="application/octet-stream")
        headers = {
            "Host": f"staff.localhost:{running.port}", "Sec-Fetch-Site": "same-origin",
            "Cookie": f"{COOKIE}={running.cookie}",
        }  # fmt: skip
        url = f"http://127.0.0.1:{running.port}/people/import"
        async with aiohttp.ClientSession() as session, session.post(
            url, data=form, headers=headers, allow_redirects=False
        ) as response:  # fmt: skip
            return Answer(response.status, await response.text(), dict(response.headers))

    assert goes_to(await send("Name\nMs Pasted\n")).startswith("/people/import/")
    nothing = await send(" ")
    assert (nothing.status, "Choose a file, or paste" in words(nothing.text)) == (422, True)
    bad = await send("Name\n")
    assert (bad.status, "no rows" in words(bad.text)) == (422, True)
    assert (await running.post("/people/import", {"kind": "staff"})).status == 400


async def test_columns_that_cannot_be_used_are_named(running: Running) -> None:
    columns = goes_to(await upload(running, "pupil", b"Foo,Bar\nAda,Lovelace\n"))
    assert (await running.get(columns.removesuffix("/columns"))).status == 303  # they come first
    wrong = await running.post(columns, {"reference": "0", "name": "nonsense"})
    assert wrong.status == 422
    goes_to(await running.post(columns, {"name": "1"}))


async def test_the_page_asks_again_by_itself_while_an_import_works(running: Running) -> None:
    address, shown = await previewed(running, "pupil", f"{FILE}R1,Re,Fresh,7R,7,\n")
    seen = re.findall(r'name="seen" value="(\w+)"', shown.text)[0]
    imports = running.appliance.directory.imports
    async with running.appliance.records.transaction():  # the import has to wait for the store
        applying = asyncio.create_task(running.post(f"{address}/apply", {"seen": seen}))
        while not imports._at_work:
            await asyncio.sleep(0)
    goes_to(await applying)
    answer = await running.get("/people/import/result")
    while "Refresh" in answer.headers:
        answer = await running.get("/people/import/result")
    assert "Added 1" in words(answer.text)


async def test_a_file_belongs_to_the_one_who_chose_it(running: Running, lead: Client) -> None:
    address, _ = await previewed(running, "pupil", f"{FILE}F1,For,Ian,7F,7,\n")
    assert (await lead.get(address)).status == 409
    assert (await lead.post(f"{address}/apply", {})).status == 409


# The vulnerable list


async def test_a_pupil_is_put_on_the_list_and_taken_off(running: Running, lead: Client) -> None:
    ada = await pupil(running, "Vera Able")
    assert "Vera Able" in words((await lead.post("/vulnerable/add", {"words": "vera"})).text)
    wrong = await lead.post(f"/vulnerable/add/{ada}", {"reason": " ", "review_on": "soon", "until_on": "2000-01-01"})
    assert wrong.status == 422
    said = words(wrong.text)
    assert "Say why" in said
    assert "year, month and day" in said
    assert "This day is over" in said
    later = {"reason": "Her father died.", "review_on": "2199-01-01"}
    assert "within ten years" in words((await lead.post(f"/vulnerable/add/{ada}", later)).text)
    soon = f"{running.appliance.looks.today() + timedelta(days=30)}"
    address = goes_to(await lead.post(f"/vulnerable/add/{ada}", {**later, "review_on": soon}))
    assert "Her father died." in words((await lead.get(address)).text)
    assert "Vera Able" in words((await lead.get("/vulnerable")).text)
    assert "On the vulnerable list" in words((await open_page(lead, ada)).text)
    assert (await lead.post(f"{address}/note", {"note": ""})).status == 422
    goes_to(await lead.post(f"{address}/note", {"note": "She talks to the nurse."}))
    assert (await lead.post(f"{address}/dates", {"review_on": "x"})).status == 422
    goes_to(await lead.post(f"{address}/dates", {"review_on": "", "until_on": ""}))
    assert (await lead.post(f"{address}/end", {"end": ""})).status == 422
    assert goes_to(await lead.post(f"{address}/end", {"end": "All is well."})) == "/vulnerable"
    page = words((await lead.get(address)).text)
    for text in ("Her father died.", "She talks to the nurse.", "All is well.", "Not on the vulnerable list any more"):
        assert text in page


async def open_page(client: Client, person: str) -> Answer:
    """A pupil's page, with a reason if one is asked for."""
    await client.post(f"/people/{person}/look", {"reason": "routine"})
    return await client.get(f"/people/{person}")


async def test_nobody_else_can_tell_that_a_pupil_is_on_the_list(running: Running, lead: Client) -> None:
    quiet, loud = await pupil(running, "Same Name"), await pupil(running, "Same Name")
    other = await running.as_role(Role.LEAD)  # a lead who was not let in
    goes_to(await lead.post(f"/vulnerable/add/{quiet}", {"reason": "x"}))
    for client in (running, other):
        pages = [(await open_page(client, person)).text.replace(person, "") for person in (quiet, loud)]
        one, other_one = [re.sub(r"<time.*?</time>", "", page) for page in pages]
        assert one == other_one
        assert "vulnerable" not in pages[0].lower()
        assert "vulnerable" not in (await client.get("/people")).text.lower()
        assert (await client.get("/vulnerable")).status == 403
    assert "vulnerable" in (await lead.get("/people")).text.lower()


async def test_what_is_not_there_is_not_there(running: Running, lead: Client) -> None:
    nothing = new_id()
    for path in (f"/people/{nothing}", f"/people/{nothing}/edit", f"/groups/{nothing}", f"/devices/{nothing}"):
        assert (await running.get(path)).status == 404
    for path in (f"/vulnerable/{nothing}", f"/vulnerable/add/{nothing}"):
        assert (await lead.get(path)).status == 404
        assert (await lead.post(path, {"reason": "x"})).status in (404, 405)


async def test_empty_lists_say_why_and_what_next(running: Running) -> None:
    nobody = await running.as_role(Role.TEACHER)
    for path, said in (
        ("/people", "You may not know about anybody yet"),
        ("/groups", "no group about which you may know"),
        ("/devices", "no device about which you may know"),
    ):
        page = await nobody.get(path)
        assert (page.status, said in words(page.text)) == (200, True)


async def test_pages_use_no_words_of_developers(running: Running, lead: Client) -> None:
    group = await running.appliance.directory.groups.make(running.actor, "trolley", "Words")
    ada = await pupil(running, "Ada Words", group)
    device = await running.appliance.directory.devices.add(running.actor, DeviceDetails("Words"))
    entry = goes_to(await lead.post(f"/vulnerable/add/{ada}", {"reason": "x"}))
    columns = goes_to(await upload(running, "pupil", b"Name,Form\nAda Words,9W\n,\n"))
    goes_to(await running.post(columns, {"name": "0", "form": "1"}))
    mine = [
        "/people", "/people/new", f"/people/{ada}", f"/people/{ada}/edit", f"/people/{ada}/left", "/people/import",
        columns, columns.removesuffix("/columns"), "/people/import/result", "/groups", f"/groups/{group}",
        f"/groups/{group}/people", f"/groups/{group}/devices", f"/groups/{group}/delete", "/devices", "/devices/new",
        f"/devices/{device}", f"/devices/{device}/edit", f"/devices/{device}/give", f"/devices/{device}/remove",
    ]  # fmt: skip
    theirs = ["/vulnerable", "/vulnerable/add", entry, f"/vulnerable/add/{ada}"]
    for client, paths in ((running, mine), (lead, theirs)):
        for path in paths:
            page = await client.get(path)
            assert page.status == 200, path
            assert not FORBIDDEN.findall(words(page.text)), path
            assert not re.findall(r"\bon\w+=|style=|<script>", page.text), path
