"""How an account is made ready: from a one-time link to a signed-in browser, in steps that can be left and begun again.

A link is used in one browser at a time: it opens a session that can do nothing but these steps. It is void when they
are done. The purposes are those of ``sessions.Purpose``: ``set-up`` makes the first account, of IT; ``join`` makes an
invited account ready; ``password`` and ``factor`` give an account a new password or a new second factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

from appliance.access import Role
from appliance.accounts.credentials import Credentials, NewSecrets, PasswordChange
from appliance.accounts.second_factor import new_secret
from appliance.accounts.sessions import Session, Sessions, sha256
from appliance.accounts.signing_in import Limit, SignedIn, SigningIn, Throttle, Visitor, wiped_on_failure
from appliance.accounts.staff import (
    SET_UP,
    TOO_MANY_WRONG_CODES,
    WRONG_CODES_MOST,
    Account,
    Staff,
    checked_name,
    checked_sign_in_name,
)
from appliance.audit import Audit
from appliance.clock import new_id, stamp
from appliance.codes import plain_code
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.notices import Notices
from appliance.sealing import Keys
from appliance.vaults import Vaults

LONGEST_CODE = 300
TRIES_OF_CODES = 20
TRIES_OF_PASSWORD = 10


@dataclass(frozen=True, slots=True, repr=False)
class Printed:
    """What is shown once, and what the next form brings back to prove that it was noted."""

    secrets: NewSecrets
    check: str


class Joining:
    """The steps. Every method that takes a session raises ``Refused`` if it is not for that."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        staff: Staff,
        credentials: Credentials,
        signing_in: SigningIn,
        vaults: Vaults,
        notices: Notices,
        throttle: Throttle,
    ) -> None:
        self._records = records
        self._audit = audit
        self._staff = staff
        self._credentials = credentials
        self._signing_in = signing_in
        self._vaults = vaults
        self._notices = notices
        self._throttle = throttle

    @property
    def _sessions(self) -> Sessions:
        return self._staff.sessions

    # The link

    async def redeem(self, code: str, visitor: Visitor) -> str | None:
        """The id of a session for what this link is for; ``None`` if the code is wrong, void or too old.

        A right code always works, so that nobody can lock out whoever holds it by guessing.
        """
        token = sha256(plain_code(code)) if len(code) <= LONGEST_CODE else ""
        link = await self._records.fetch_one(_LINK, (token, stamp()))
        # The holder's own openings are counted apart, and only so that nobody can fill the record with them.
        counted = f"codes {visitor.place}" if link is None else f"link {token}"
        if self._throttle.take(Limit(counted, TRIES_OF_CODES)) > 0:
            raise Refused("Too many codes were tried in a short time.", "Wait five minutes, then try yours again.")
        if link is None:
            return None
        async with self._records.transaction() as tx:
            link = await tx.fetch_one(_LINK, (token, stamp()))
            if link is None:
                return None  # it was used or replaced at this very moment
            return await (self._open_set_up(tx, token) if link["purpose"] == "set-up" else self._open(tx, link))

    async def _open_set_up(self, tx: Transaction, token: str) -> str:
        await tx.execute("DELETE FROM staff_links WHERE token_sha256 = ?", (token,))
        await self._audit.record(tx, "somebody", "opened the set-up link", "staff pages")
        return await self._sessions.begin(tx, "set-up", None)

    async def _open(self, tx: Transaction, link: Row) -> str:
        account = self._staff.get(link["account_id"])
        await self._sessions.end_all(tx, account.id, purpose=link["purpose"])
        subject = f"account {account.sign_in_name}"
        await self._audit.record(tx, account.name, f"opened a link ({link['purpose']})", subject)
        return await self._sessions.begin(tx, link["purpose"], account.id)

    # First half of the set-up

    async def make_first_account(self, session: Session, name: str, sign_in_name: str, password: str) -> str:
        """IT's own account; returns the id of the session that goes on with its second factor."""
        if session.purpose != "set-up":
            raise Refused("The set-up is done already.", "Sign in instead.")
        about = checked_name(name), checked_sign_in_name(sign_in_name)
        await self._signing_in.check_new_password(password, session, *about)
        account_id = new_id()
        keys, change = await self._credentials.new_keys(account_id, password)
        with wiped_on_failure(keys):
            async with self._records.transaction() as tx:
                await self._sessions.check(tx, session)
                await self._staff.remove_half_made(tx)
                account = await self._staff.add(tx, SET_UP, name, sign_in_name, Role.IT, account_id)
                await self._credentials.write(tx, change)
                return await self._sessions.begin(tx, "join", account.id, keys, replaces=session)

    # Password

    async def was_here_before(self, session: Session) -> bool:
        """Whether this account was let back in and its recovery key of then still opens what it had."""
        return await self._credentials.has_recovery_key(self._joining(session, "join").id)

    async def set_password(self, session: Session, password: str, recovery_key: str = "") -> None:
        """The first password of an account that joins. With ``recovery_key`` somebody who was here before keeps the key
        pair of then, and what it alone can open.
        """
        account = self._joining(session, "join")
        await self._signing_in.check_new_password(password, session, account.name, account.sign_in_name)
        keys, change = await self._made_keys(account, password, await self._by_recovery(account, recovery_key))
        with wiped_on_failure(keys):
            async with self._records.transaction() as tx:
                await self._sessions.check(tx, session)
                await self._credentials.write(tx, change)
                tx.after_commit.append(lambda: self._sessions.open(session, keys))

    async def reset_password(self, session: Session, code: str, password: str, recovery_key: str) -> bool:
        """A new password for somebody who has the second factor; returns whether old content can still be opened.

        With the recovery key the account keeps its key pair. Without it (empty) the account gets a new one, and what
        was sealed to it before stays shut until a colleague admits the account again.
        """
        account = self._joining(session, "password")
        await self._signing_in.check_new_password(password, session, account.name, account.sign_in_name)
        keys = await self._by_recovery(account, recovery_key)
        async with self._records.transaction() as tx:
            await self._sessions.check(tx, session)
            right = await self._credentials.use_factor(tx, account.id, code)
            void = not right and await self._count_wrong_code(tx, account)
        if void:
            raise Refused("This code is not right, and there were too many wrong ones.", TOO_MANY_WRONG_CODES)
        if not right:
            raise Refused("This code is not right.", "Enter the one that the app shows now, or a recovery code.")
        await self._new_password(session, account, password, keys)
        return keys is not None

    async def _count_wrong_code(self, tx: Transaction, account: Account) -> bool:
        """Whether this was the last wrong code that is taken: then the link is void and its session ends."""
        if await self._credentials.count_wrong_code(tx, account.id) < WRONG_CODES_MOST:
            return False
        await tx.execute("DELETE FROM staff_links WHERE account_id = ? AND purpose = 'password'", (account.id,))
        await self._sessions.end_all(tx, account.id, purpose="password")
        subject = f"account {account.sign_in_name}"
        await self._audit.record(tx, "somebody", "tried to sign in with a link too often", subject)
        await self._notices.tell(
            tx,
            accounts=[account.id],
            roles=[Role.LEAD],
            words=f"Somebody with a link for a new password of {account.name} did not have the second factor. The"
            " link is void. If nobody knows why, find out who made it and who had it.",
            link="/staff",
            kind="wrong code",
        )
        return True

    async def keep_password(self, session: Session, password: str) -> None:
        """Begin a new second factor with the password that one still has."""
        account = self._joining(session, "factor")
        tries = Limit(f"password with a link {account.id}", TRIES_OF_PASSWORD)
        if self._throttle.take(tries) > 0:
            raise Refused("There were too many wrong tries.", "Wait five minutes, then try again.")
        opened = await self._credentials.open(account.id, password, known=True)
        if opened is None:
            raise Refused("This is not your password.", "If you have forgotten it too, choose that below.")
        self._throttle.forget(tries)
        self._sessions.open(session, opened.keys)

    async def replace_password(self, session: Session, password: str, recovery_key: str) -> bool:
        """Begin a new second factor with a new password too; otherwise as ``reset_password``."""
        account = self._joining(session, "factor")
        await self._signing_in.check_new_password(password, session, account.name, account.sign_in_name)
        keys = await self._by_recovery(account, recovery_key)
        await self._new_password(session, account, password, keys)
        return keys is not None

    async def _by_recovery(self, account: Account, recovery_key: str) -> Keys | None:
        return await self._credentials.open_by_recovery(account.id, recovery_key) if recovery_key.strip() else None

    async def _made_keys(self, account: Account, password: str, keys: Keys | None) -> tuple[Keys, PasswordChange]:
        """These keys under a new password; a new pair if there are none."""
        if keys is None:
            return await self._credentials.new_keys(account.id, password)
        with wiped_on_failure(keys):
            return keys, await self._credentials.set_password(account.id, password, keys)

    async def _new_password(self, session: Session, account: Account, password: str, before: Keys | None) -> None:
        keys, change = await self._made_keys(account, password, before)
        with wiped_on_failure(keys):
            async with self._records.transaction() as tx:
                await self._sessions.check(tx, session)
                await self._credentials.write(tx, change)
                await self._sessions.end_all(tx, account.id, but=session)
                detail = {"kept what it could open": change.public is None}
                await self._audit.record(
                    tx, account.name, "made a new password with a link", f"account {account.sign_in_name}", detail
                )
                await self._tell_owner(tx, account, "Your password was made anew with a link.")
                tx.after_commit.append(lambda: self._sessions.open(session, keys))

    async def _tell_owner(self, tx: Transaction, account: Account, words: str) -> None:
        await self._notices.tell(
            tx,
            accounts=[account.id],
            words=f"{words} If that was not you, tell the safeguarding lead and IT at once.",
            link="/account",
            kind="own account",
        )

    # Second factor

    def offer_factor(self, session: Session) -> tuple[bytes, str]:
        """A secret for the app, and the packed form of it that the next form carries."""
        account = self._with_keys(session)
        secret = new_secret()
        return secret, self._credentials.pack(account.id, "factor", secret)

    def offered(self, session: Session, packed: str) -> bytes:
        """The secret of an offer, for showing it again."""
        return self._credentials.unpack(self._with_keys(session).id, "factor", packed)

    async def set_factor(self, session: Session, packed: str, code: str) -> bool:
        """Keep the offered second factor if the code shows that the app has it."""
        account = self._with_keys(session)
        secret = self.offered(session, packed)
        async with self._records.transaction() as tx:
            await self._sessions.check(tx, session)
            if not await self._credentials.set_factor(tx, account.id, secret, code):
                return False
            await self._sessions.end_all(tx, account.id, but=session)
            await self._audit.record(tx, account.name, "set a second factor", f"account {account.sign_in_name}")
            if session.purpose == "factor":
                await self._tell_owner(tx, account, "Your second factor was made anew with a link.")
            await self._sessions.note_factor(tx, session)
        return True

    # Recovery codes and key

    async def print(self, session: Session) -> Printed:
        """Recovery codes and recovery key, shown now and never again."""
        account = self._with_keys(session)
        keys = self._sessions.keys(session)
        assert keys is not None
        async with self._records.transaction() as tx:
            await self._sessions.check(tx, session)
            printed = await self._credentials.new_printed(tx, account.id, keys)
        check = printed.mark + Credentials.first_group(printed.recovery_key).encode()
        return Printed(printed, self._credentials.pack(account.id, "sheet", check))

    async def finish(self, session: Session, check: str, typed: str, visitor: Visitor) -> SignedIn | None:
        """The account is ready and this browser is signed in; ``None`` if what was typed is not the printed group of
        the newest sheet.

        A password or second factor that was made anew ends here too, with every printed sheet replaced.
        """
        account = self._with_keys(session)
        wanted = self._credentials.unpack(account.id, "sheet", check)
        noted = await self._credentials.newest_mark(account.id) + plain_code(typed)[:4].encode("utf-8", "replace")
        if not compare_digest(wanted, noted):
            return None
        if session.purpose != "password" and not session.has_new_factor:
            raise Refused("The second factor is still missing.", "Open your link again and do not leave out that step.")
        keys = self._sessions.keys(session)
        assert keys is not None
        async with self._records.transaction() as tx:
            await self._sessions.check(tx, session)
            if session.purpose == "join":
                await self._staff.before_joining(tx, account)
            await tx.execute(
                "UPDATE staff_accounts SET state = 'active', joined_at = coalesce(joined_at, ?), last_sign_in = ?"
                " WHERE id = ?",
                (stamp(), stamp(), account.id),
            )
            await tx.execute("DELETE FROM staff_links WHERE account_id = ?", (account.id,))
            await self._staff.take_after_commit(tx)
            if account.role is Role.LEAD:
                await self._signing_in.found_vaults(tx, account, keys)
            browser = await self._signing_in.remember(tx, account, visitor, known=False)
            await self._signing_in.forget_browsers(tx, account.id, Visitor(visitor.address, browser))
            await self._audit.record(tx, account.name, _DONE[session.purpose], f"account {account.sign_in_name}")
            await self._sessions.end_all(tx, account.id, but=session)
            session_id = await self._sessions.begin(tx, "work", account.id, replaces=session)
            if session.purpose == "join":
                await self._announce(tx, account)
        await self._vaults.load_keys(keys)
        return SignedIn(session_id, browser)

    async def _announce(self, tx: Transaction, account: Account) -> None:
        if account.role is None:
            return
        await self._notices.tell(
            tx,
            roles=[Role.LEAD],
            without=[account.id],
            words=f"{account.name} ({account.role.label}) has joined and can sign in.",
            link="/staff",
            kind="joined",
        )

    # Checks

    def _joining(self, session: Session, purpose: str) -> Account:
        if session.purpose != purpose or session.account is None:
            raise Refused("This step does not belong to the link that you opened.", "Open your link again.")
        return self._staff.get(session.account)

    def _with_keys(self, session: Session) -> Account:
        if session.account is None or session.purpose in ("work", "set-up"):
            raise Refused("This step does not belong to the link that you opened.", "Open your link again.")
        if self._sessions.is_locked(session):
            raise Refused(
                "This was left alone for too long, or the appliance was started again.",
                "Open your link again and begin with the password.",
            )
        return self._staff.get(session.account)


_LINK = "SELECT token_sha256, purpose, account_id FROM staff_links WHERE token_sha256 = ? AND expires_at > ?"
_DONE = {
    "join": "joined",
    "password": "signed in with a new password",
    "factor": "signed in with a new second factor",
}
