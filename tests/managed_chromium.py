"""A real Chromium under a school's policy, in a mount namespace of its own: the machine's policies stay untouched.

    async with managed_chromium(folder, policy, hosts={"forum.test": "127.0.0.1"}) as browser:
        page = await browser.new_page("http://forum.test:8000/")
        browser.write_policy(other)            # Chromium takes a changed policy by itself, within some seconds
        await browser.kill()                   # as a power cut does
        await browser.start()                  # the same profile again

The pages are driven over CDP; the extension's worker is not, because a debugger would keep it alive.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, Playwright, async_playwright

MANAGED = "/etc/chromium/policies/managed"
START_SECONDS = 60.0
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage", "--window-size=1280,900",
    "--remote-debugging-port=0",
)  # fmt: skip
NAMESPACE = """
set -e
if ! test -d {managed}; then
    mount -t tmpfs tmpfs /etc/chromium
    mkdir -p {managed}
fi
mount --bind "$1" {managed}
shift
exec "$@"
"""


@cache
def why_not() -> str:
    """Why this machine cannot run one; empty if it can.

    Only somebody without rights may be told no by the machine. As root, and for what ``make test`` installs, something
    missing is a failure and nothing to pass over.
    """
    if os.geteuid() == 0:
        return ""
    tried = subprocess.run([*_unshare(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this machine allows nobody but root a mount namespace"


def _unshare() -> list[str]:
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]


@dataclass
class ManagedChromium:
    """One profile under one policy. ``start`` and ``kill`` as often as a test likes."""

    folder: Path
    hosts: Mapping[str, str]
    arguments: Sequence[str]
    _playwright: Playwright
    _process: subprocess.Popen[bytes] | None = None
    _browser: Browser | None = field(default=None, repr=False)

    @property
    def profile(self) -> Path:
        """Where Chromium keeps what it keeps."""
        return self.folder / "profile"

    @property
    def log(self) -> Path:
        """What Chromium printed."""
        return self.folder / "chromium.log"

    def write_policy(self, policy: Mapping[str, Any]) -> None:
        """Set the policy; a running Chromium sees it within some seconds."""
        folder = self.folder / "managed"
        folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / "school.json.new"
        draft.write_text(json.dumps(policy), encoding="utf-8")
        draft.replace(folder / "school.json")

    async def start(self) -> None:
        """Start Chromium with the profile as it is, and reach its pages."""
        port_file = self.profile / "DevToolsActivePort"
        port_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        async with asyncio.timeout(START_SECONDS):
            while not (port_file.exists() and port_file.read_text().count("\n") == 1):
                if self._process.poll() is not None:
                    raise AssertionError(f"Chromium ended:\n{self.log.read_text(errors='replace')[-3000:]}")
                await asyncio.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        self._browser = await self._playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")

    def _command(self) -> list[str]:
        namespace = [*_unshare(), "sh", "-c", NAMESPACE.format(managed=MANAGED), "sh", str(self.folder / "managed")]
        chromium = ["chromium", *FLAGS, f"--user-data-dir={self.profile}", f"--host-resolver-rules={self._rules()}"]
        ends_with_us = ["setpriv", "--pdeathsig", "KILL"]
        return [*ends_with_us, *namespace, *chromium, *self.arguments, "about:blank"]

    def _rules(self) -> str:
        """Our hosts, this machine, and nothing else: no test asks the internet."""
        own = [f"MAP {name} {address}" for name, address in self.hosts.items()]
        return ", ".join([*own, "MAP * ~NOTFOUND", *(f"EXCLUDE {host}" for host in ("127.0.0.1", "*.localhost"))])

    @property
    def context(self) -> BrowserContext:
        """The profile's own windows and pages."""
        assert self._browser is not None, "it does not run"
        return self._browser.contexts[0]

    async def new_page(self, address: str = "about:blank") -> Page:
        """A new tab in front."""
        page = await self.context.new_page()
        await page.goto(address)
        return page

    async def kill(self) -> None:
        """End it without warning, with all its processes."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)
        if self._browser is not None:
            await self._browser.close()
        self._process = self._browser = None


@asynccontextmanager
async def managed_chromium(
    folder: Path, policy: Mapping[str, Any], hosts: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> AsyncIterator[ManagedChromium]:
    """A Chromium that runs under ``policy``. ``folder``: an empty one for its profile. ``hosts``: address by name."""
    folder.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = ManagedChromium(folder, hosts or {}, arguments, playwright)
        browser.write_policy(policy)
        try:
            await browser.start()
            yield browser
        finally:
            await browser.kill()


def school_policy(extension_id: str, base_url: str, token: str, **device: str) -> dict[str, Any]:
    """What a school puts on its devices: our extension and no other, and what it must know."""
    return {
        "ExtensionSettings": {
            "*": {"installation_mode": "blocked"},
            extension_id: {
                "installation_mode": "force_installed",
                "update_url": f"{base_url}/extension/updates.xml",
                "override_update_url": True,
                "toolbar_pin": "force_pinned",
            },
        },
        "3rdparty": {"extensions": {extension_id: {"serverUrl": base_url, "enrolToken": token, **device}}},
        "IncognitoModeAvailability": 1,
    }


async def focus(client: CDPSession, field: str) -> None:
    """Without the waiting of a locator, which would give the page time; the field may not be there yet."""
    looking = f"document.activeElement?.id === '{field}' || document.querySelector('#{field}')?.focus()"
    while not (await client.send("Runtime.evaluate", {"expression": looking}))["result"].get("value"):
        pass
