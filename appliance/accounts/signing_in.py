"""Signing in, opening a locked browser again, and changing what one signs in with.

Tries are counted per account and address, and apart for browsers in which the account has signed in before: who
hammers at an account from somewhere else uses up tries of that place only. A try counts from the moment at which it is
made, so that many at once are no way around, and a right one takes its count back. Unknown names, wrong passwords and
wrong codes get the same words after the same time.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from appliance.access import Role
from appliance.accounts.credentials import Credentials, NewSecrets, Opened
from appliance.accounts.passwords import Stretcher
from appliance.accounts.sessions import KeyRing, Session, Sessions, sha256
from appliance.accounts.staff import Account, Staff, fold_sign_in_name
from appliance.audit import Audit
from appliance.clock import stamp
from appliance.db import Database, Transaction
from appliance.errors import Refused
from appliance.notices import Notices
from appliance.sealing import Keys
from appliance.vaults import VAULT_NAMES, Vaults

TRIES = 10
TRIES_OF_ADDRESS = 60
TRIES_OF_NEW_PASSWORDS = 30
WINDOW_SECONDS = 300.0
"""Cyber Essentials: no more than ten guesses in five minutes."""
COUNTED_MOST = 20_000
BROWSERS_KEPT = 20
WRONG = "Name, password and code do not fit together."
WRONG_TODO = "Check each of them. A code from the app works once: wait for the next one if you have just used it."


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tries under one key a window holds."""

    key: str
    most: int


class Throttle:
    """Counts tries per key in a sliding window; forgets the oldest keys when there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, *limits: Limit) -> float:
        """Count a try under each key and return 0; if one of them is full, count nothing: seconds until it is not."""
        wait = max(self.wait(limit) for limit in limits)
        if wait == 0.0:
            for limit in limits:
                self._count(limit.key)
        return wait

    def wait(self, limit: Limit) -> float:
        """Seconds until another try is taken; 0 if it would be taken now."""
        tries, most = self._tries.get(limit.key), limit.most
        if tries is None:
            return 0.0
        moment = self._clock()
        while tries and tries[0] <= moment - WINDOW_SECONDS:
            tries.popleft()
        return tries[-most] + WINDOW_SECONDS - moment if len(tries) >= most else 0.0

    def _count(self, key: str) -> None:
        self._tries.setdefault(key, deque(maxlen=TRIES_OF_ADDRESS)).append(self._clock())
        self._tries.move_to_end(key)
        while len(self._tries) > COUNTED_MOST:
            self._tries.popitem(last=False)

    def give_back(self, *limits: Limit) -> None:
        """The newest try under each key was none, or was right."""
        for limit in limits:
            if tries := self._tries.get(limit.key):
                tries.pop()

    def forget(self, limit: Limit) -> None:
        """It was right this time: those before do not count any more."""
        self._tries.pop(limit.key, None)


@dataclass(frozen=True)
class Memory:
    """What outlives a change of settings but never the process: opened keys, and how often somebody was wrong."""

    ring: KeyRing = field(default_factory=KeyRing)
    throttle: Throttle = field(default_factory=Throttle)
    stretcher: Stretcher = field(default_factory=Stretcher)

    def close(self) -> None:
        """Wipe and end everything."""
        self.ring.keep_only(())
        self.stretcher.close()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that has begun, and the id that tells this browser again."""

    session: str
    browser: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a try comes from: the address, and the id that an earlier sign-in left in the browser."""

    address: str
    browser: str | None = None

    @property
    def place(self) -> str:
        """The address as it is counted: an IPv6 network of 64 bits is one place."""
        try:
            found = ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:
            return self.address
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
        return str(getattr(found, "ipv4_mapped", None) or found)


class SigningIn:
    """The way in. ``throttle`` outlives a change of settings."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        staff: Staff,
        credentials: Credentials,
        vaults: Vaults,
        notices: Notices,
        throttle: Throttle,
    ) -> None:
        self._records = records
        self._audit = audit
        self._staff = staff
        self._credentials = credentials
        self._vaults = vaults
        self._notices = notices
        self._throttle = throttle

    @property
    def _sessions(self) -> Sessions:
        return self._staff.sessions

    # Signing in

    async def sign_in(self, sign_in_name: str, password: str, code: str, visitor: Visitor) -> SignedIn:
        """Begin a session. Raises ``Refused`` in the same words whatever was wrong."""
        account = self._staff.named(sign_in_name)
        known = await self._knows(account, visitor)
        limits = _limits(sign_in_name, visitor, known)
        who = account.id if account is not None and account.active else None
        opened = await self._try_password(who, password, limits, known=known)
        signed_in = None
        if account is not None and opened is not None:
            with wiped_on_failure(opened.keys):
                async with self._records.transaction() as tx:
                    signed_in = await self._try_code(tx, account, opened, code, visitor, known)
                if signed_in is None:
                    opened.keys.wipe()
        if opened is None or signed_in is None:
            await self._note_wrong(account, limits)
            raise Refused(WRONG, WRONG_TODO)
        own, *others = limits
        self._throttle.forget(own)
        self._throttle.give_back(*others)
        await self._vaults.load_keys(opened.keys)
        return signed_in

    async def _try_password(
        self, account: str | None, password: str, limits: Sequence[Limit], *, known: bool
    ) -> Opened | None:
        """What the password opens, if it is right and there were not too many tries."""
        wait = self._throttle.take(*limits)
        if wait > 0:
            raise Refused("There were too many wrong tries from here.", _try_again(wait, known))
        try:
            return await self._credentials.open(account, password, known=known)
        except Refused:  # too many wait: this was no try
            self._throttle.give_back(*limits)
            raise

    async def _try_code(
        self, tx: Transaction, account: Account, opened: Opened, code: str, visitor: Visitor, known: bool
    ) -> SignedIn | None:
        """Begin the session if the code is right too.

        Whoever has the password already could otherwise try codes from many places at once: those count together.
        """
        codes = Limit(f"codes of {account.id}", TRIES)
        taken = known or self._throttle.take(codes) == 0.0
        right = taken and await self._credentials.use_factor(tx, account.id, code)
        if right and await self._credentials.is_current(tx, opened):
            self._throttle.forget(codes)
            return await self._begin(tx, account, opened.keys, visitor, known)
        if self._throttle.take(Limit(f"told {account.id}", 1)) == 0.0:
            await self._notices.tell(
                tx,
                accounts=[account.id],
                words="Somebody entered your right password but no right code. If that was not you, change your"
                " password now.",
                link="/account",
                kind="wrong code",
            )
        return None

    async def _note_wrong(self, account: Account | None, limits: Sequence[Limit], where: str = "") -> None:
        """Put it on the record when tries run out, once per account and window: nobody can fill the record."""
        if account is None or self._throttle.wait(limits[0]) == 0.0:
            return
        if self._throttle.take(Limit(f"recorded {account.id}", 1)) == 0.0:
            place = where or (limits[1].key if len(limits) > 1 else "a browser that was used before")
            async with self._records.transaction() as tx:
                await self._audit.record(
                    tx,
                    "somebody",
                    "tried to sign in too often",
                    f"account {account.sign_in_name}",
                    {"from": place, "tries": TRIES},
                )

    async def _begin(self, tx: Transaction, account: Account, keys: Keys, visitor: Visitor, known: bool) -> SignedIn:
        browser = await self.remember(tx, account, visitor, known)
        await tx.execute("UPDATE staff_accounts SET last_sign_in = ? WHERE id = ?", (stamp(), account.id))
        await self._staff.take_after_commit(tx)
        if account.role is Role.LEAD:
            await self.found_vaults(tx, account, keys)
        await self._audit.record(
            tx, account.name, "signed in", f"account {account.sign_in_name}", {"new browser": not known}
        )
        session = await self._sessions.begin(tx, "work", account.id, keys)
        return SignedIn(session, browser)

    async def found_vaults(self, tx: Transaction, account: Account, keys: Keys) -> None:
        """A lead begins what nobody can open: at the first set-up, and when every member has gone."""
        for name in VAULT_NAMES:
            await self._vaults.found(tx, name, account.id, keys)

    async def remember(self, tx: Transaction, account: Account, visitor: Visitor, known: bool) -> str:
        """The id by which this browser is known from now on; the account is told of one that is new."""
        moment = stamp()
        browser = visitor.browser if known and visitor.browser else secrets.token_urlsafe(32)
        earlier = await tx.fetch(
            "SELECT browser_sha256 FROM staff_browsers WHERE account_id = ? ORDER BY last_used DESC", (account.id,)
        )
        await tx.execute(
            "INSERT INTO staff_browsers (browser_sha256, account_id, first_used, last_used) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (account_id, browser_sha256) DO UPDATE SET last_used = excluded.last_used",
            (sha256(browser), account.id, moment, moment),
        )
        too_many = [(account.id, row["browser_sha256"]) for row in earlier[BROWSERS_KEPT:]]
        await tx.executemany("DELETE FROM staff_browsers WHERE account_id = ? AND browser_sha256 = ?", too_many)
        if not known and earlier:
            await self._notices.tell(
                tx,
                accounts=[account.id],
                words="You signed in from a browser that was not used before. If that was not you, change your"
                " password now and tell IT.",
                link="/account",
                kind="new browser",
            )
        return browser

    async def _knows(self, account: Account | None, visitor: Visitor) -> bool:
        row = await self._records.fetch_one(
            "SELECT 1 FROM staff_browsers WHERE account_id = ? AND browser_sha256 = ?",
            (account.id if account is not None else "", sha256(visitor.browser or "")),
        )
        return row is not None

    async def forget_browsers(self, tx: Transaction, account: str, visitor: Visitor) -> None:
        """Every other browser is a new one from now on: whoever sits there may not be whom one thought."""
        await tx.execute(
            "DELETE FROM staff_browsers WHERE account_id = ? AND browser_sha256 <> ?",
            (account, sha256(visitor.browser or "")),
        )

    # While signed in

    async def unlock(self, session: Session, password: str) -> str:
        """Open a locked browser again; returns the id that the session has from now on."""
        account = self._own(session)
        keys = await self._prove(account, password, session)
        with wiped_on_failure(keys):
            async with self._records.transaction() as tx:
                session_id = await self._sessions.begin(tx, "work", account.id, keys, replaces=session)
                await self._audit.record(tx, account.name, "opened a locked browser", f"account {account.sign_in_name}")
        await self._vaults.load_keys(keys)
        return session_id

    async def _prove(self, account: Account, password: str, session: Session) -> Keys:
        """The opened keys of somebody who is signed in and enters the password again."""
        limits = [Limit(f"session {session.sha256}", TRIES)]
        opened = await self._try_password(account.id, password, limits, known=True)
        if opened is None:
            await self._note_wrong(account, limits, "a browser that is signed in")
            raise Refused("This is not your password.", "Check whether Caps Lock is on, then try again.")
        self._throttle.forget(limits[0])
        return opened.keys

    async def sign_out(self, session: Session) -> None:
        """End this session."""
        async with self._records.transaction() as tx:
            if session.account is not None and session.purpose == "work":
                account = self._staff.get(session.account)
                await self._audit.record(tx, account.name, "signed out", f"account {account.sign_in_name}")
            await self._sessions.end(tx, session)

    async def sign_out_elsewhere(self, session: Session, visitor: Visitor) -> int:
        """End every other session of this account; returns how many. Their browsers are unknown from now on."""
        account = self._own(session)
        others = len(self._sessions.of_account(account.id)) - 1
        async with self._records.transaction() as tx:
            await self._sessions.end_all(tx, account.id, but=session)
            await self.forget_browsers(tx, account.id, visitor)
            await self._audit.record(tx, account.name, "signed out elsewhere", f"account {account.sign_in_name}")
        return max(others, 0)

    # Changing what one signs in with

    async def change_password(self, session: Session, password: str, new: str, visitor: Visitor) -> str:
        """Replace the password; ends every session of the account and begins a new one here. Returns its id."""
        account = self._own(session)
        await self.check_new_password(new, session, account.name, account.sign_in_name)
        keys = await self._prove(account, password, session)
        with wiped_on_failure(keys):
            change = await self._credentials.set_password(account.id, new, keys)
            async with self._records.transaction() as tx:
                session_id = await self._begin_again(tx, session, keys, visitor)
                await self._credentials.write(tx, change)
                await self._changed(tx, account, "changed password", "Your password was changed.")
        await self._vaults.load_keys(keys)
        return session_id

    async def check_new_password(self, password: str, session: Session, *about: str) -> None:
        """Raise ``Refused`` with the reason if a new password does not serve. ``about``: names that are easy to guess.

        To judge one is work, and so is to stretch it: nobody keeps the box busy with that.
        """
        who = session.account or session.sha256
        if self._throttle.take(Limit(f"new passwords of {who}", TRIES_OF_NEW_PASSWORDS)) > 0:
            raise Refused("You have tried many passwords in a short time.", "Wait five minutes, then try again.")
        await self._credentials.check_new_password(password, *about)

    async def change_factor(
        self, session: Session, password: str, secret: bytes, code: str, visitor: Visitor
    ) -> str | None:
        """Replace the second factor; ends every session. The new session's id, ``None`` if the code is not right."""
        account = self._own(session)
        keys = await self._prove(account, password, session)
        with wiped_on_failure(keys):
            async with self._records.transaction() as tx:
                if not await self._credentials.set_factor(tx, account.id, secret, code):
                    keys.wipe()
                    return None
                session_id = await self._begin_again(tx, session, keys, visitor)
                await self._changed(tx, account, "changed second factor", "Your second factor was changed.")
        await self._vaults.load_keys(keys)
        return session_id

    async def _begin_again(self, tx: Transaction, session: Session, keys: Keys, visitor: Visitor) -> str:
        """What one signs in with has changed: a new session here, none anywhere else, and no known browser but this."""
        assert session.account is not None
        await self._sessions.end_all(tx, session.account, but=session)
        await self.forget_browsers(tx, session.account, visitor)
        return await self._sessions.begin(tx, "work", session.account, keys, replaces=session)

    async def codes_left(self, account: str) -> int:
        """How many recovery codes of an account were not used."""
        return await self._credentials.codes_left(account)

    def pack(self, session: Session, secret: bytes) -> str:
        """A new factor's secret, as a form carries it to the next page, readable for nobody but us."""
        return self._credentials.pack(session.account or "", "factor", secret)

    def unpack(self, session: Session, text: str) -> bytes:
        """What ``pack`` packed for this account; raises ``Refused`` for anything else."""
        return self._credentials.unpack(session.account or "", "factor", text)

    async def print_anew(self, session: Session, password: str) -> NewSecrets:
        """New recovery codes and a new recovery key; what was printed before is void."""
        account = self._own(session)
        keys = await self._prove(account, password, session)
        try:
            async with self._records.transaction() as tx:
                await self._sessions.check(tx, session)
                printed = await self._credentials.new_printed(tx, account.id, keys)
                words = "Your recovery codes and your recovery key were made anew."
                await self._changed(tx, account, "made new recovery codes and key", words)
        finally:
            keys.wipe()
        return printed

    async def _changed(self, tx: Transaction, account: Account, action: str, words: str) -> None:
        await self._audit.record(tx, account.name, action, f"account {account.sign_in_name}")
        await self._notices.tell(
            tx,
            accounts=[account.id],
            words=f"{words} If that was not you, tell the safeguarding lead and IT at once.",
            link="/account",
            kind="own account",
        )

    def _own(self, session: Session) -> Account:
        assert session.account is not None
        return self._staff.get(session.account)


@contextmanager
def wiped_on_failure(keys: Keys) -> Iterator[None]:
    """Wipe opened keys if what they were opened for does not come about."""
    try:
        yield
    except BaseException:
        keys.wipe()
        raise


def _try_again(wait: float, known: bool) -> str:
    minutes = int(wait // 60) + 1
    again = f"Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
    return again if known else f"{again} Browsers in which you have signed in before are not held up by this."


def _limits(sign_in_name: str, visitor: Visitor, known: bool) -> list[Limit]:
    """What a try counts under, the account's own key first. However the name is written, it is one key."""
    name = fold_sign_in_name(sign_in_name)
    if known:
        return [Limit(f"browser {sha256(visitor.browser or '')} {name}", TRIES)]
    return [Limit(f"{visitor.place} {name}", TRIES), Limit(visitor.place, TRIES_OF_ADDRESS)]
