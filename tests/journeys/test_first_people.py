"""From an empty box to four people at work: IT, lead, deputy and teacher, each in a browser of their own."""

from __future__ import annotations

from collections.abc import Callable

from browsers import a_chromium
from people_at_work import PATIENCE, Person, somebody
from playwright.async_api import expect

from appliance.testing import Box, Home

PUPILS = """UPN,Forename,Surname,Reg Group,Year Group
A1,Ada,Lovelace,7B,7
A2,Bo,Yang,7B,7
A3,Cy,Twombly,8C,8
"""


async def test_four_people_join(appliance_home: Home, start_box: Callable[[Home], Box]) -> None:
    box = start_box(appliance_home)
    await box.ready()
    base = f"https://staff.localhost:{appliance_home.web_port}"
    expect.set_options(timeout=PATIENCE)
    async with a_chromium() as browser:
        it = await somebody(browser, base, "Ida Technician", "wombat ladder teal harbour")
        lead = await somebody(browser, base, "Lena Lead", "pickle orbit velvet canyon")
        deputy = await somebody(browser, base, "Dee Deputy", "gravel lantern oboe muffin")
        teacher = await somebody(browser, base, "Tom Teacher", "saddle comet parsley dune")
        await first_half(box, it, teacher)
        await second_half(it, lead, teacher)
        await a_deputy_is_let_in(lead, deputy)
        await it_brings_in_the_pupils(it)
        await a_teacher_is_told_about_whom(lead, teacher)
        await a_look_is_on_the_record(it, lead, teacher)
        await the_lead_locks_her_pages(lead)
        for person in (it, lead, deputy, teacher):
            assert not person.complaints
    assert box.stop() == 0
    assert box.cli("audit", "verify").returncode == 0


async def first_half(box: Box, it: Person, other: Person) -> None:
    """IT does the first half. Nobody else can, and the link is good once."""
    link = f"{it.base}/set-up#{box.setup_code()}"
    await it.page.goto(link)
    await it.page.wait_for_url("**/set-up/account")
    await it.accessible()
    await other.page.goto(link)
    await expect(other.page.locator(".error-summary")).to_contain_text("may have been used already")
    await it.page.fill("#school", "Mill Lane School")
    await it.page.fill("#name", it.name)
    await it.page.fill("#sign_in_name", "ida")
    await it.choose_password()
    await it.add_factor_and_sheet()
    await it.sees("no safeguarding lead has joined yet. Until then nothing is captured.")
    await expect(it.page.locator("header")).to_contain_text("Mill Lane School")
    await it.accessible()
    assert {"Staff", "Status", "Plugins", "Settings"} <= await it.places()
    assert box.cli("setup-link").returncode != 0  # the set-up is done


async def second_half(it: Person, lead: Person, other: Person) -> None:
    """IT invites the lead, once, and nobody else who sees records; she joins on her own computer."""
    await it.go("/staff/invite")
    assert await it.page.locator("input[value=teacher]").count() == 0
    invitation = await it.invite(lead.name, "lena", "lead")
    await it.go("/staff/invite")
    assert await it.page.locator("input[value=deputy]").count() == 0
    await lead.join(invitation)
    await lead.sees_not("no safeguarding lead has joined")
    await lead.sees("Let a second person open what is sealed")
    assert not {"Settings", "Plugins"} & await lead.places()
    await other.page.goto(invitation)
    await expect(other.page.locator(".error-summary")).to_contain_text("may have been used already")


async def a_deputy_is_let_in(lead: Person, deputy: Person) -> None:
    """A deputy joins, and the lead lets the deputy open what is sealed."""
    await deputy.join(await lead.invite(deputy.name, "dee", "deputy"))
    await deputy.sees("Be let in to what is sealed")
    await lead.go("/staff/who-can-open")
    await lead.accessible()
    captures = lead.page.locator("section", has_text="What devices capture")
    await captures.get_by_role("combobox").select_option(label="Dee Deputy, Deputy safeguarding lead")
    await lead.press("Let in")
    await lead.sees("Dee Deputy can open it too")
    await deputy.go("/")
    await expect(deputy.page.locator(".steps-done")).to_contain_text("Be let in to what is sealed")


async def it_brings_in_the_pupils(it: Person) -> None:
    """IT imports a list; it sees names and forms, nothing else."""
    await it.go("/people/import")
    await it.accessible()
    await import_pupils(it)
    await it.go("/people")
    await it.sees("Ada Lovelace")
    await it.accessible()


async def a_teacher_is_told_about_whom(lead: Person, teacher: Person) -> None:
    """A teacher sees nobody until the lead says about whom. That signs him out; he comes back with a recovery code."""
    await teacher.join(await lead.invite(teacher.name, "tom", "teacher"))
    await teacher.go("/people")
    await teacher.sees_not("Lovelace")
    await lead.go("/staff")
    await lead.page.get_by_role("link", name=teacher.name).click()
    await lead.accessible()
    await lead.page.get_by_label("Form 7B").check()
    await lead.page.locator("form[action$='/about'] button").click()
    await lead.sees("Form 7B")
    await teacher.go("/people")
    await expect(teacher.page.locator("h1")).to_have_text("Sign in")
    await teacher.accessible()
    await teacher.page.fill("#name", "TOM")
    await teacher.page.fill("#password", teacher.password)
    await teacher.page.fill("#code", teacher.codes[0])
    await teacher.press("Sign in")
    await teacher.sees("Ada Lovelace")
    await teacher.sees("Bo Yang")
    await teacher.sees_not("Twombly")
    assert not {"Staff", "Settings", "Audit", "Monitoring"} & await teacher.places()


async def a_look_is_on_the_record(it: Person, lead: Person, teacher: Person) -> None:
    """A pupil's page asks why, once a day, and the record has it; IT reads the record without the name."""
    await teacher.page.get_by_role("link", name="Ada Lovelace").click()
    await teacher.sees("Why are you opening")
    await teacher.accessible()
    await teacher.page.locator(".reasons button").first.click()
    await expect(teacher.page.locator("h1")).to_contain_text("Ada Lovelace")
    await teacher.accessible()
    await lead.go("/audit")
    await lead.sees("Tom Teacher")
    await lead.sees("Ada Lovelace")
    await lead.accessible()
    await it.go("/audit")
    await it.sees("Tom Teacher")
    await it.sees_not("Lovelace")


async def the_lead_locks_her_pages(lead: Person) -> None:
    """Her password opens them again where she was."""
    await lead.go("/account")
    await lead.accessible()
    await lead.press("Lock these pages now")
    await expect(lead.page.locator("h1")).to_have_text("These pages are locked")
    await lead.accessible()
    await lead.go("/people")
    await lead.page.fill("#password", "not this one")
    await lead.press("Open again")
    await expect(lead.page.locator(".error-summary")).to_contain_text("not your password")
    await lead.page.fill("#password", lead.password)
    await lead.press("Open again")
    await expect(lead.page.locator("h1")).to_have_text("People")


async def import_pupils(it: Person) -> None:
    """Paste a list, say which column is what, look at what would change, apply it."""
    await it.page.locator("textarea").fill(PUPILS)
    await it.press("Read the file")
    await it.accessible()
    await it.press("Show what would change")
    await it.sees("Ada Lovelace")
    await it.accessible()
    await it.press("Apply it")
    await it.sees("Everything was applied")
    await it.accessible()
