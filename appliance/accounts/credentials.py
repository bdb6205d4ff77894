"""What an account proves itself with: password, second factor, and the key pair that the password opens.

Each account has an X25519 key pair. Its private key is kept twice, each time encrypted: under the password's key half,
and under the printed recovery key. The store never holds what opens it. A new password therefore needs either the
opened key or the recovery key; without both the account gets a new pair, and content sealed to the old one stays shut
until a colleague admits the account again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256

from appliance.accounts.passwords import SALT_BYTES, Stretcher
from appliance.accounts.second_factor import FactorKey, new_codes, step_for
from appliance.clock import now
from appliance.codes import plain_code
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.sealing import (
    Keys,
    SealError,
    key_from_recovery,
    new_pair,
    new_recovery_key,
    read_recovery_key,
    unwrap,
    wipe,
    wrap,
)
from appliance.vaults import Vaults

_BY_PASSWORD = b"appliance account key by password v1 "
_BY_RECOVERY = b"appliance account key by recovery v1 "
_NOBODYS_SALT = bytes(SALT_BYTES)
_MARK_BYTES = 16


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """What a right password opens: the account's keys. ``verifier``: of which password, should it change meanwhile."""

    keys: Keys
    verifier: bytes


@dataclass(frozen=True, slots=True, repr=False)
class NewSecrets:
    """What is shown once, for printing. ``mark`` tells this sheet from every other one and tells nothing of it."""

    codes: tuple[str, ...]
    recovery_key: str
    mark: bytes


class Credentials:
    """Reads and writes the secret columns of ``staff_accounts``; nothing else does."""

    def __init__(self, records: Database, vaults: Vaults, factor_key: FactorKey, stretcher: Stretcher) -> None:
        self._records = records
        self._vaults = vaults
        self._factor_key = factor_key
        self._stretcher = stretcher

    # Proving

    async def open(self, account: str | None, password: str, *, known: bool = False) -> Opened | None:
        """The account's opened keys if the password is right. An account that does not exist takes just as long."""
        row = await self._row(account)
        salt = row["salt"] if row is not None and row["salt"] is not None else _NOBODYS_SALT
        stretched = await self._stretcher.stretch(password, salt, known=known)
        if row is None or row["verifier"] is None or not stretched.matches(row["verifier"]):
            return None
        private = unwrap(row["key_by_password"], stretched.key, _BY_PASSWORD + row["id"].encode())
        return Opened(_keys(row["id"], private), row["verifier"])

    async def is_current(self, tx: Transaction, opened: Opened) -> bool:
        """Whether the account can still sign in with the password that was right a moment ago."""
        return bool(
            await tx.fetch_one(
                "SELECT 1 FROM staff_accounts WHERE id = ? AND state = 'active' AND verifier = ?",
                (opened.keys.account, opened.verifier),
            )
        )

    async def use_factor(self, tx: Transaction, account: str, code: str) -> bool:
        """Whether this is a good second factor now, a code of the app or a recovery code; it is used up by this."""
        row = await tx.fetch_one(
            "SELECT totp, totp_last_step, recovery_codes FROM staff_accounts WHERE id = ?", (account,)
        )
        if row is None or row["totp"] is None:
            return False
        secret = self._factor_key.open(account, row["totp"])
        step = step_for(secret, code, now(), row["totp_last_step"])
        if step is not None:
            await tx.execute(
                "UPDATE staff_accounts SET totp_last_step = ?, wrong_codes = 0 WHERE id = ?", (step, account)
            )
            return True
        left = self._factor_key.use_code(account, row["recovery_codes"] or b"", code)
        if left is None:
            return False
        await tx.execute("UPDATE staff_accounts SET recovery_codes = ?, wrong_codes = 0 WHERE id = ?", (left, account))
        return True

    async def count_wrong_code(self, tx: Transaction, account: str) -> int:
        """One more wrong second factor with a link for a new password; how many there were since a right one."""
        await tx.execute("UPDATE staff_accounts SET wrong_codes = wrong_codes + 1 WHERE id = ?", (account,))
        row = await tx.fetch_one("SELECT wrong_codes FROM staff_accounts WHERE id = ?", (account,))
        return row["wrong_codes"] if row is not None else 0

    async def codes_left(self, account: str) -> int:
        """How many recovery codes were not used."""
        row = await self._row(account)
        return len(row["recovery_codes"] or b"") // 32 if row is not None else 0

    async def open_by_recovery(self, account: str, recovery_key: str) -> Keys:
        """The account's opened keys by the printed recovery key; raises ``Refused`` if it is not that one."""
        try:
            key = key_from_recovery(read_recovery_key(recovery_key))
        except ValueError as error:
            raise Refused("The recovery key is not right.", str(error)) from None
        row = await self._row(account)
        if row is None or row["key_by_recovery"] is None:
            raise Refused("This account has no recovery key.")
        try:
            return _keys(account, unwrap(row["key_by_recovery"], key, _BY_RECOVERY + account.encode()))
        except SealError:
            raise Refused(
                "This is not the newest recovery key of this account.",
                "Look for the sheet that was printed last. An older one does not work any more.",
            ) from None

    async def has_recovery_key(self, account: str) -> bool:
        """Whether a recovery key was printed that still opens what this account had."""
        row = await self._row(account)
        return row is not None and row["key_by_recovery"] is not None

    async def _row(self, account: str | None) -> Row | None:
        return await self._records.fetch_one("SELECT * FROM staff_accounts WHERE id = ?", (account or "",))

    # Making anew

    async def check_new_password(self, password: str, *about: str) -> None:
        """Raise ``Refused`` with the reason if it does not serve. ``about``: names that make it easy to guess."""
        wrong = await self._stretcher.fault(password, about)
        if wrong:
            raise Refused(wrong)

    async def set_password(self, account: str, password: str, keys: Keys) -> PasswordChange:
        """A new password for opened keys. The slow half happens here; write the result in a transaction."""
        salt = secrets.token_bytes(SALT_BYTES)
        stretched = await self._stretcher.stretch(password, salt, known=True)
        wrapped = wrap(keys.private, stretched.key, _BY_PASSWORD + account.encode())
        return PasswordChange(account, salt, stretched.verifier, wrapped)

    async def new_keys(self, account: str, password: str) -> tuple[Keys, PasswordChange]:
        """A new key pair under a new password. What was sealed to the old pair stays shut."""
        private, public = new_pair()
        keys = _keys(account, private)
        change = await self.set_password(account, password, keys)
        return keys, PasswordChange(change.account, change.salt, change.verifier, change.wrapped, public)

    async def write(self, tx: Transaction, change: PasswordChange) -> None:
        """Keep a new password, and the new pair if there is one."""
        await tx.execute(
            "UPDATE staff_accounts SET salt = ?, verifier = ?, key_by_password = ? WHERE id = ?",
            (change.salt, change.verifier, change.wrapped, change.account),
        )
        if change.public is not None:
            await tx.execute(
                "UPDATE staff_accounts SET public_key = ?, key_by_recovery = NULL WHERE id = ?",
                (change.public, change.account),
            )
            await self._vaults.forget_member(tx, change.account)

    async def set_factor(self, tx: Transaction, account: str, secret: bytes, code: str) -> bool:
        """Keep a new second factor if ``code`` shows that the app has it; its earlier codes are over."""
        step = step_for(secret, code, now(), last_step=0)
        if step is None:
            return False
        sealed = self._factor_key.seal(account, secret)
        await tx.execute(
            "UPDATE staff_accounts SET totp = ?, totp_last_step = ?, wrong_codes = 0 WHERE id = ?",
            (sealed, step, account),
        )
        return True

    async def new_printed(self, tx: Transaction, account: str, keys: Keys) -> NewSecrets:
        """New recovery codes and a new recovery key; those printed before are void."""
        codes, recovery_key = new_codes(), new_recovery_key()
        key = key_from_recovery(read_recovery_key(recovery_key))
        wrapped = wrap(keys.private, key, _BY_RECOVERY + account.encode())
        await tx.execute(
            "UPDATE staff_accounts SET recovery_codes = ?, key_by_recovery = ? WHERE id = ?",
            (self._factor_key.hash_codes(account, codes), wrapped, account),
        )
        return NewSecrets(tuple(codes), recovery_key, _mark(wrapped))

    async def newest_mark(self, account: str) -> bytes:
        """The mark of the sheet that was printed last; empty if there is none that works."""
        row = await self._row(account)
        return _mark(row["key_by_recovery"]) if row is not None and row["key_by_recovery"] is not None else b""

    # Between two pages

    def pack(self, account: str, kind: str, secret: bytes) -> str:
        """Something that a form carries from one page to the next, for this account and this ``kind`` of form alone.

        Nobody but us can read it.
        """
        return self._factor_key.seal(f"form {kind} {account}", secret).hex()

    def unpack(self, account: str, kind: str, text: str) -> bytes:
        """What ``pack`` packed; raises ``Refused`` if it is not that."""
        try:
            return self._factor_key.open_or_refuse(f"form {kind} {account}", bytes.fromhex(text))
        except ValueError:
            raise Refused("This form is not whole any more.", "Go back and begin this step again.") from None

    @staticmethod
    def first_group(recovery_key: str) -> str:
        """What is asked back to see that a recovery key was noted."""
        return plain_code(recovery_key)[:4]


@dataclass(frozen=True, slots=True, repr=False)
class PasswordChange:
    """The outcome of a new password, ready to be written."""

    account: str
    salt: bytes
    verifier: bytes
    wrapped: bytes
    public: bytes | None = None


def _mark(wrapped: bytes) -> bytes:
    return sha256(wrapped).digest()[:_MARK_BYTES]


def _keys(account: str, private: bytearray) -> Keys:
    """Keys with a copy of their own; what they were copied from is overwritten."""
    keys = Keys(account, private)
    wipe(private)
    return keys
