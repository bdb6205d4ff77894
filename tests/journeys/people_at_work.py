"""People of a school, each with a browser, a password, an authenticator app and a printed sheet."""

from __future__ import annotations

from base64 import b32decode
from dataclasses import dataclass, field

from barriers import barriers
from playwright.async_api import Browser, BrowserContext, Page, expect

from appliance.accounts.second_factor import code_at, step_of
from appliance.clock import now

PATIENCE = 30_000.0  # milliseconds


@dataclass
class Person:
    """Somebody with a browser, a password, an authenticator app and a printed sheet."""

    name: str
    password: str
    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    secret: bytes = b""
    recovery_key: str = ""
    codes: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.base}{path}")

    async def press(self, words: str) -> None:
        await self.page.get_by_role("button", name=words).first.click()

    async def choose_password(self) -> None:
        await self.page.fill("#password", self.password)
        await self.page.fill("#again", self.password)
        await self.press("Go on")

    async def add_factor_and_sheet(self) -> None:
        """The second and the third step: the app, and the sheet that is printed."""
        await self.page.wait_for_url("**/join/factor")
        await self.accessible()
        self.secret = b32decode((await self.page.locator(".offer .secret").inner_text()).replace(" ", ""))
        await self.page.fill("#code", code_at(self.secret, step_of(now())))
        await self.press("Go on")
        await self.press("Show them now")
        await self.accessible()
        self.recovery_key = await self.page.locator(".sheet .secret").inner_text()
        self.codes = await self.page.locator(".codes code").all_inner_texts()
        await self.page.fill("#typed", self.recovery_key[:4])
        await self.press("Finish and sign in")
        await expect(self.page.get_by_role("heading", name="Home", exact=True)).to_be_visible()

    async def join(self, link: str) -> None:
        """Everything from the link to the first page."""
        await self.page.goto(link)
        await self.page.wait_for_url("**/join/password")
        assert "#" not in self.page.url
        await self.accessible()
        await self.choose_password()
        await self.add_factor_and_sheet()

    async def invite(self, name: str, sign_in_name: str, role: str) -> str:
        """The link for somebody else, as the page shows it once."""
        await self.go("/staff/invite")
        await self.page.fill("#name", name)
        await self.page.fill("#sign_in_name", sign_in_name)
        await self.page.locator(f"input[name=role][value={role}]").check()
        await self.press("Make the invitation")
        await expect(self.page.locator("h1")).to_have_text(f"Invitation for {name}")
        await self.accessible()
        return (await self.page.locator("pre code").inner_text()).strip()

    async def accessible(self) -> None:
        assert not await barriers(self.page)

    async def sees(self, words: str) -> None:
        await expect(self.page.locator("main")).to_contain_text(words)

    async def sees_not(self, words: str) -> None:
        await expect(self.page.locator("main")).not_to_contain_text(words)

    async def places(self) -> set[str]:
        return set(await self.page.locator(".rail li a").all_inner_texts())


async def somebody(browser: Browser, base: str, name: str, password: str) -> Person:
    # axe is put into the page from outside, which the policy forbids, so the policy is looked past here; that every
    # page keeps to it is looked at in tests/test_web_browser.py.
    context: BrowserContext = await browser.new_context(ignore_https_errors=True, bypass_csp=True)
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    person = Person(name, password, page, base)
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    return person
