"""The audit pages, the question before a pupil's page, and notices: who reads what, in words."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import Role
from appliance.accounts.staff import Scope
from appliance.audit import verify
from appliance.clock import new_id, now, stamp
from appliance.looks import Reason
from appliance.signed_heads import read_statement
from appliance.signing import PublicKey
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance.unusual import MANY_PEOPLE
from appliance.web import looks_views
from appliance.web.audit_words import LONGEST_LIST, OTHER, SOMEBODY, ids_in, kind_of, tell

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parent.parent
ADA, BO, COLLEAGUE = (f"00000000-0000-7000-8000-{number:012}" for number in (1, 2, 3))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("audit") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("school: {name: St Ada's}\n")
    found = await start_in_process(home)
    async with found.appliance.records.transaction() as tx:
        await tx.executemany(
            "INSERT INTO people (id, kind, name, sort_name, added_at) VALUES (?, ?, ?, ?, '')",
            [
                (ADA, "pupil", "Ada <Lovelace>", "lovelace"),
                (BO, "guest", "Bo Guest", "guest"),
                (COLLEAGUE, "staff", "Colleague Jones", "jones"),
                *((pupil(number), "pupil", f"Pupil Number{number}", "pupil") for number in range(20)),
            ],
        )
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def head(running: Running) -> Client:
    return await running.as_role("head", name="Hanna Head")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    return await running.as_role("lead", name="Lee Lead")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def teacher(running: Running) -> Client:
    return await running.as_role("teacher", [Scope("person", ADA)], name="Tom Teacher")


def pupil(number: int) -> str:
    return f"00000000-0000-7000-9000-{number:012}"


def words(html: str) -> str:
    """What a reader sees of a page, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def main(html: str) -> str:
    return words(html[html.index("<main") :])


async def record(running: Running, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    async with running.appliance.records.transaction() as tx:
        await running.appliance.audit.record(tx, actor, action, subject, detail)


# The question before a pupil's page


async def asked(running: Running, client: Client, person: str) -> bool:
    return await running.appliance.looks.needs_reason(client.actor, person)


async def test_the_reason_is_given_by_one_button_and_opens_the_page(running: Running, teacher: Client) -> None:
    assert await asked(running, teacher, ADA)
    answer = await teacher.post(f"/people/{ADA}/look", {"reason": "worried"})
    assert (answer.status, answer.headers["Location"]) == (303, f"/people/{ADA}")
    assert not await asked(running, teacher, ADA)


@pytest.mark.parametrize("reason", ["", "because", "WORRIED"])
async def test_without_a_reason_the_question_comes_again(running: Running, lead: Client, reason: str) -> None:
    answer = await lead.post(f"/people/{ADA}/look", {"reason": reason})
    assert answer.status == 422
    shown = main(answer.text)
    assert "Why are you opening this?" in shown
    assert "Ada <Lovelace>" in shown
    assert looks_views.NO_REASON in shown
    assert re.findall(r'name="reason" value="(\w+)"', answer.text) == [reason.value for reason in Reason]
    assert await asked(running, lead, ADA)


@pytest.mark.parametrize("person", [BO, "nobody", COLLEAGUE, "01a215ce-d8f5-7b23-8473-04f664c55f68"])
@pytest.mark.parametrize("reason", ["worried", ""])
async def test_out_of_sight_and_not_there_are_the_same_answer(teacher: Client, person: str, reason: str) -> None:
    nobody = await teacher.post(f"/people/{new_id()}/look", {"reason": reason})
    answer = await teacher.post(f"/people/{person}/look", {"reason": reason})
    assert (answer.status, answer.text) == (404, nobody.text)


@pytest.mark.parametrize("role", [Role.IT, Role.GOVERNOR, Role.DPO, None])
async def test_who_sees_no_people_gives_no_reason(running: Running, role: Role | None) -> None:
    client = await running.as_role(role)
    assert (await client.post(f"/people/{ADA}/look", {"reason": "worried"})).status == 403


async def test_a_pupil_s_page_is_shown_once_a_reason_was_given(running: Running) -> None:
    client = await running.as_role("deputy", name="Quinn Deputy")
    question = await client.get(f"/people/{BO}")
    assert question.status == 200
    assert "Why are you opening this? This is the page of Bo Guest" in main(question.text)
    assert "There is a problem" not in question.text
    assert f'action="/people/{BO}/look"' in question.text
    await client.post(f"/people/{BO}/look", {"reason": "asked"})
    page = main((await client.get(f"/people/{BO}")).text)
    assert "Bo Guest" in page
    assert "Why are you opening this?" not in page


async def test_a_page_of_the_directory_asks_nothing(running: Running, lead: Client) -> None:
    """Whoever keeps the lists sees no records, and nobody but the reviewer sees those of a colleague."""
    for client, person, name in ((running, ADA, "Ada <Lovelace>"), (lead, COLLEAGUE, "Colleague Jones")):
        page = await client.get(f"/people/{person}")
        assert page.status == 200
        assert name in main(page.text)
        assert "Why are you opening this?" not in page.text


# Who did what


async def test_a_look_reads_like_a_sentence_for_who_may_see_the_pupil(head: Client, teacher: Client) -> None:
    await teacher.post(f"/people/{ADA}/look", {"reason": "worried"})
    page = (await head.get("/audit?kind=looks")).text
    assert "Tom Teacher looked at Ada <Lovelace> because: “I am worried about this pupil”" in main(page)
    assert "<Lovelace>" not in page


@pytest.mark.parametrize("role", [Role.IT, Role.GOVERNOR, Role.DPO])
async def test_a_look_names_nobody_to_those_who_see_no_pupils(running: Running, teacher: Client, role: Role) -> None:
    await teacher.post(f"/people/{ADA}/look", {"reason": "worried"})
    await record(running, "Tom Teacher", "put people into a group", "group 7A", {"people": [ADA, BO]})
    reader = await running.as_role(role)
    page = (await reader.get("/audit")).text
    assert f"Tom Teacher looked at {SOMEBODY} because: “I am worried about this pupil”" in main(page)
    assert "people: 2 people you may not see" in main(page)
    assert "Lovelace" not in page
    assert ADA not in page


async def test_the_record_is_for_those_who_may_read_it(teacher: Client) -> None:
    for path in ("/audit", "/audit/looks", "/audit/signed", "/audit/signed/2026-11-24", "/audit/public-key.pem"):
        assert (await teacher.get(path)).status == 403


async def test_the_record_is_filtered_by_who_what_and_when(running: Running, head: Client) -> None:
    await record(running, "Filter Tester", "changed setting", "school.name", {"reason": "our name"})
    await record(running, "Filter Tester", "signed in", "account filter", {})
    today = now().astimezone().date()
    for query, expected in (
        ("", {"changed setting", "signed in"}),
        ("&kind=settings", {"changed setting"}),
        ("&kind=sign-in", {"signed in"}),
        ("&kind=monitoring", set()),
        ("&kind=no-kind", set()),
        (f"&first={today - timedelta(days=1)}&last={today + timedelta(days=1)}", {"changed setting", "signed in"}),
        (f"&first={today + timedelta(days=2)}", set()),
        (f"&last={today - timedelta(days=2)}", set()),
    ):
        shown = main((await head.get(f"/audit?who=Filter+Tester{query}")).text)
        found = {action for action in ("changed setting", "signed in") if f"Filter Tester {action}" in shown}
        assert found == expected, query
        assert ("No row fits" in shown) is not expected


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "24.11.2026", "9999-12-31", "0001-01-01"])
async def test_a_day_that_is_none_is_explained_and_kept(head: Client, day: str) -> None:
    page = (await head.get(f"/audit?first={day}")).text
    assert "There is a problem" in main(page)
    assert f'value="{day}"' in page


async def test_paging_keeps_what_was_chosen(running: Running, head: Client) -> None:
    for number in range(60):
        await record(running, "Page & Turner", "changed setting", f"no. {number}", {})
    page = (await head.get("/audit?who=Page+%26+Turner&kind=settings")).text
    (older,) = re.findall(r'href="(/audit\?[^"]*before=\d+)"', page)
    second = (await head.get(unescape(older))).text
    assert len(re.findall(r'class="number">\d+<', second)) == 10
    assert "Page &amp; Turner" in second
    assert re.findall(r'href="(/audit\?who=[^"]*)">Newest rows', second)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("looked at", "looks"),
        ("signed in", "sign-in"),
        ("signed the audit", "box"),
        ("signed the report of a trial", "monitoring"),
        ("renamed", "accounts"),
        ("renamed a group", "people"),
        ("removed a member", "accounts"),
        ("changed a device", "people"),
        ("changed a web filter profile", "filter"),
        ("wrote down who provides", "filter"),
        ("wrote down feedback", "monitoring"),
        ("fed the cat", "other"),
    ],
)
async def test_what_was_done_has_a_kind(action: str, kind: str) -> None:
    assert kind_of(action).key == kind


def recorded_actions() -> Iterator[tuple[str, str]]:
    """(place, action) of everything that core and plugins record under a name that stands in the code."""
    ours = [path for path in (ROOT / "plugins").rglob("*.py") if "tests" not in path.relative_to(ROOT).parts]
    for path in sorted([*(ROOT / "appliance").rglob("*.py"), *ours]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {
            node.targets[0].id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) > 2):
                continue
            action: ast.expr = node.args[2]
            if isinstance(action, ast.Name) and action.id == "action":
                action = named.get("action", action)
            for part in [action.body, action.orelse] if isinstance(action, ast.IfExp) else [action]:
                said = part.values[0] if isinstance(part, ast.JoinedStr) else part
                if node.func.attr in {"record", "_record"} and isinstance(said, ast.Constant):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", str(said.value)


async def test_everything_that_core_and_plugins_record_has_a_kind() -> None:
    found = list(recorded_actions())
    assert len(found) > 20
    without = [f"{place}: {action}" for place, action in found if kind_of(action) is OTHER]
    assert without == [], "add its beginning to a kind in appliance/web/audit_words.py"


NAMES = {ADA: "Ada L.", BO: None}


@pytest.mark.parametrize(
    ("subject", "detail", "expected"),
    [
        (f"person {ADA}", {}, ("Ada L.", "", [])),
        (f"person {BO}", {}, (SOMEBODY, "", [])),
        (f"person {pupil(1)}", {}, (SOMEBODY, "", [])),  # erased, or never there
        (f"monitoring of person {ADA}", {"reason": "asked"}, ("monitoring of Ada L.", "asked", [])),
        ("group 7A", {"people": [ADA, BO, BO]}, ("group 7A", "", [("people", "Ada L., 2 people you may not see")])),
        ("group 7A", {"people": []}, ("group 7A", "", [("people", "none")])),
        ("x", {"people": [ADA] * (LONGEST_LIST + 3)}, ("x", "", [("people", ", ".join(["Ada L."] * 10) + ", 3 more")])),
        ("device 1", {"from": BO, "to": ADA}, ("device 1", "", [("from", SOMEBODY), ("to", "Ada L.")])),
        ("x", {"about": ["everyone", f"person {ADA}"]}, ("x", "", [("about", "everyone, Ada L.")])),
        ("x", {"id": pupil(2)}, ("x", "", [("id", pupil(2))])),
        ("x", {"value": 3, "nested": {"a": ADA}}, ("x", "", [("value", "3"), ("nested", '{"a": "Ada L."}')])),
        ("x", {"until": None, "note": "", "accounts_told": 0}, ("x", "", [("accounts told", "0")])),
    ],
)
async def test_what_is_named_in_rows(subject: str, detail: Mapping[str, Any], expected: tuple[str, str, Any]) -> None:
    row: Any = {"seq": 1, "at": stamp(), "actor": "Jo", "action": "did", "subject": subject}
    row["detail"] = json.dumps(detail)
    told = tell(row, NAMES)
    assert (told.subject, told.reason, told.details) == expected
    assert ids_in([row]) >= {one for one in (ADA, BO) if one in subject + row["detail"]}


@pytest.mark.parametrize(
    ("action", "subject", "expected"),
    [
        ("looked at", f"person {ADA}", "looked at Ada L."),
        ("changed a person", f"person {ADA}", "changed Ada L."),
        ("marked a person as left", f"person {BO}", f"marked a person as left {SOMEBODY}"),
        ("made account", "account jo", "made account jo"),
        ("put people into a group", "group 7A", "put people into group 7A"),
        ("changed setting", "school.name", "changed setting school.name"),
        ("assigned", f"monitoring of person {BO}", f"set monitoring of {SOMEBODY}"),
        ("made vault", "vault captures", "made the key for captures"),
        ("read an entry", "vulnerable list", "read an entry of the vulnerable list"),
        ("told of unusual access", "many pupils", "told somebody of unusual access: many pupils"),
    ],
)
async def test_rows_read_like_sentences(action: str, subject: str, expected: str) -> None:
    row: Any = {"seq": 1, "at": stamp(), "actor": "Jo", "action": action, "subject": subject, "detail": "{}"}
    told = tell(row, NAMES)
    assert f"{told.what} {told.subject}" == expected


# Who looked at whom


async def test_looks_are_numbers_first_and_names_for_those_who_may_see_them(
    running: Running, head: Client, lead: Client
) -> None:
    deputy = await running.as_role("deputy", name="Dora Deputy")
    governor = await running.as_role("governor", name="Gov Ernor")
    for number in range(MANY_PEOPLE + 1):
        await deputy.post(f"/people/{pupil(number)}/look", {"reason": "routine"})
    for reader, sees_pupils, told in (
        (head, True, True),
        (governor, False, True),
        (lead, True, True),
        (deputy, True, False),  # nobody reads of their own
        (running, False, False),  # IT
    ):
        page = (await reader.get("/audit/looks")).text
        assert f"Dora Deputy {MANY_PEOPLE + 1} " in main(page)
        assert "Pupil Number" not in page
        (address,) = re.findall(rf'href="(/audit/looks\?account={deputy.account}&amp;day=[-\d]+)"', page)
        day = main((await reader.get(unescape(address))).text)
        assert ("Pupil Number3 " in day) is sees_pupils
        assert ("16 looks are not listed" in day) is not sees_pupils
        assert ("opened the pages of 16 different pupils" in day) is told
        assert ("Unusual" in main(page)) is told
    home = main((await head.get("/")).text)
    assert "Dora Deputy opened the pages of 16 different pupils" in home
    assert "Pupil Number" not in home
    assert running.appliance.notices.waiting(deputy.account) == running.appliance.notices.waiting(lead.account) == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("?until=2020-01-01", 200),
        ("?until=nonsense", 200),
        ("?until=9999-12-31", 200),
        ("?account=nobody", 200),
        ("?account=nobody&day=2026-11-24", 404),
        ("?day=2026-11-24", 200),
    ],
)
async def test_any_address_of_the_looks_page_is_answered(head: Client, query: str, status: int) -> None:
    answer = await head.get(f"/audit/looks{query}")
    assert answer.status == status
    assert "until=2020" in query or "opened a pupil" not in main(answer.text) or "nobody" in query


# What was signed


async def test_what_was_signed_is_downloaded_and_proves_the_record(running: Running, head: Client) -> None:
    assert "The first signature is made tonight" in main((await head.get("/audit/signed")).text)
    await running.appliance.signed_heads.sign()
    page = (await head.get("/audit/signed")).text
    key = PublicKey.of_pem((await head.get("/audit/public-key.pem")).text.encode())
    assert key.fingerprint.replace(":", "") in re.sub(r"[\s:]", "", words(page))
    (path,) = re.findall(r'href="(/audit/signed/[-\d]+)"', page)
    answer = await head.get(path)
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.text.startswith("Where the audit of St Ada's stood\n")
    for name in ("Lovelace", "Teacher", "Head"):
        assert name not in answer.text
    signed = read_statement(answer.text, key)
    assert (await verify(running.appliance.records, [signed.noted])).good
    assert (await head.get("/audit/signed/2020-01-01")).status == 404
    assert "Nothing was signed before" in main((await head.get("/audit/signed?before=2020-01-01")).text)
    (check,) = await running.appliance.signed_heads.checks()
    assert check.words.startswith("Signed on")


# Notices


async def test_a_notice_stands_on_every_page_until_it_was_read(running: Running) -> None:
    client = await running.as_role("teacher", name="Nora Notice")
    assert "nothing for you here" in main((await client.get("/notices")).text)
    async with running.appliance.records.transaction() as tx:
        for number in (1, 2):
            await running.appliance.notices.tell(
                tx, words=f"Word <{number}>.", kind="test", accounts=[client.account], link="/account"
            )
    assert "2 notices for you" in words((await client.get("/help")).text)
    page = (await client.get("/")).text
    assert "Word <2>." in main(page)
    newest = re.findall(r'name="id" value="([^"]+)"', page)[0]
    answer = await client.post("/notices/got-it", {"id": newest})
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    listed = (await client.get("/notices")).text
    assert main(listed).index("Word <1>") < main(listed).index("Read before") < main(listed).index("Word <2>")
    (other,) = re.findall(r'name="id" value="([^"]+)"', listed)
    answer = await client.post("/notices/got-it", {"id": other, "back": "notices"})
    assert answer.headers["Location"] == "/notices"
    assert "notices for you" not in main((await client.get("/")).text)


async def test_nobody_puts_away_the_notice_of_somebody_else(running: Running, head: Client) -> None:
    client = await running.as_role("teacher")
    async with running.appliance.records.transaction() as tx:
        await running.appliance.notices.tell(tx, words="Yours.", kind="test", accounts=[client.account])
    (row,) = await running.appliance.notices.unread(client.actor)
    assert (await head.post("/notices/got-it", {"id": row["id"]})).status == 303
    assert running.appliance.notices.waiting(client.account) == 1
