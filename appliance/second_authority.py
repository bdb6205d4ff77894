"""A second certificate authority, off unless IT switches it on: with it, browsers see why a site is blocked over TLS.

A browser that opens ``https://blocked.example`` and is led to this box gets a warning about the certificate: the box
pretends to be nobody. Only where devices were made to trust this second authority does it get the page instead. The
price is the key: **whoever holds it can pretend to be almost any website to the devices that trust it.** So it is
made when IT asks for it, deleted when IT says so, and does as little as it can:

- it makes a certificate only for a name that the filter blocks at that moment for the very address that asks;
- never for a place on the exempt list, nor for our own names, and it could not: its own certificate excludes them, with
  public services and all addresses (RFC 5280 section 4.2.1.10), for every browser that looks at such constraints;
- its certificates last a day, their one key is in memory alone, and only so many are made in a second.

::

    trust/second/certificate.pem, key.pem         0600; there while it is on, at no other time
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance import clock
from appliance.access import Actor, Role, require
from appliance.audit import Audit
from appliance.db import Database
from appliance.errors import Refused
from appliance.exempt import Exempt, canonical_host, host_problem
from appliance.hookspecs import Check, Permission, State
from appliance.keys_on_disk import TrustError, check_folder, in_words, sync_folder
from appliance.notices import Notices
from appliance.trust import (
    BACKDATED,
    Pair,
    authority_name,
    fingerprint_of,
    issuer_key,
    keep_pair,
    key_bytes,
    key_usage,
    read_pair,
    server_context,
)

LIFE = timedelta(days=730)
"""Two years: who still wants it then has to say so again."""
LEAF_LIFE = timedelta(days=1)
KEPT = 256
"""Certificates that are kept for the next browser that asks."""
A_SECOND, AT_ONCE = 20, 60
"""New certificates: each costs about a millisecond, and whoever asks for new names all day must not slow the rest."""
NEVER = ("gov.uk", "nhs.uk", "police.uk")
"""Public services: the key cannot speak for them, whatever list a school uses."""

Blocked = Callable[[str, str], bool]
"""``blocked(host, address)``: whether this name is blocked at this moment for whoever asks from this address."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    context: ssl.SSLContext
    until: datetime


class SecondAuthority:
    """Whether there is one, and what it does for whom. ``on`` and ``off`` are changes with a reason, in the record."""

    def __init__(
        self,
        folder: Path,
        records: Database,
        audit: Audit,
        notices: Notices,
        exempt: Exempt,
        domain: str,
        school: str,
        *,
        now: Callable[[], datetime] = clock.now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """``folder``: the one of all keys."""
        self._home = folder / "second"
        self._records = records
        self._audit = audit
        self._notices = notices
        self._exempt = exempt
        self._domain = domain
        self._school = school
        self._now = now
        self._ticks = ticks
        self._pair: Pair | None = None
        self._trouble: TrustError | None = None
        self._blocked: Blocked | None = None
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaves: OrderedDict[str, _Leaf] = OrderedDict()
        self._left, self._left_at = float(AT_ONCE), ticks()

    async def start(self) -> None:
        """Read the key if there is one. A damaged one stays unused and is said on the status page."""
        if not self._home.exists():
            return
        try:
            with in_words(self._home):
                self._pair = read_pair(self._home / "certificate.pem", self._home / "key.pem", self._home)
        except TrustError as error:
            self._trouble = error

    # What it is

    @property
    def is_on(self) -> bool:
        """Whether there is a key."""
        return self._pair is not None

    @property
    def certificate_pem(self) -> bytes:
        """For devices that are to trust it; never the key. Raises ``Refused`` while it is off."""
        return self._certificate().public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 as ``AB:CD:...``. Raises ``Refused`` while it is off."""
        return fingerprint_of(self._certificate())

    @property
    def not_after(self) -> datetime:
        """When it ends. Raises ``Refused`` while it is off."""
        return self._certificate().not_valid_after_utc

    @property
    def excluded(self) -> tuple[str, ...]:
        """The names, each with everything below it, that the certificate itself excludes."""
        constraints = self._certificate().extensions.get_extension_for_class(x509.NameConstraints).value
        return tuple(str(one.value) for one in constraints.excluded_subtrees or () if isinstance(one, x509.DNSName))

    def _certificate(self) -> x509.Certificate:
        if self._pair is None:
            raise Refused("The second authority is off, so it has no certificate.", "Switch it on first.")
        return self._pair.certificate

    async def checks(self) -> list[Check]:
        """A line of the status page while it is on or damaged: a key with this power is never out of sight."""
        if self._trouble is not None:
            todo = "Switch it off; then, if it is still wanted, on again, and let devices trust the new one."
            return [Check("Second authority", State.WARNING, f"It is not used. {self._trouble.what}", todo)]
        if self._pair is None:
            return []
        if self._now() > self.not_after:
            todo = "Switch it off; then, if it is still wanted, on again."
            return [Check("Second authority", State.WARNING, "It has ended and is not used.", todo)]
        words = "It is on: this box can show devices that trust it why a site is blocked, also over HTTPS."
        return [Check("Second authority", State.GOOD, words)]

    # Switching

    async def on(self, actor: Actor, reason: str, page: str) -> None:
        """Make the key and tell the safeguarding lead, with a link to ``page``.

        Raises ``Refused`` without a reason, without the right, and if it is on already.
        """
        require(actor, Permission.OPERATE)
        reason = _given(reason)
        if self._home.exists():
            raise Refused("The second authority is on already, or its key is damaged.", "Switch it off first.")
        pair = self._new()
        with in_words(self._home):
            check_folder(self._home.parent)
            keep_pair(self._home, pair)
        try:
            await self._tell(actor, "switched the second authority on", reason, fingerprint_of(pair.certificate), page)
        except BaseException:
            self._forget()
            raise
        self._pair = pair

    async def off(self, actor: Actor, reason: str, page: str) -> None:
        """Delete the key, then say so: if one of both fails, it is the telling."""
        require(actor, Permission.OPERATE)
        reason = _given(reason)
        if not self._home.exists():
            raise Refused("The second authority is off already.", "Load the page again.")
        known = fingerprint_of(self._pair.certificate) if self._pair is not None else "damaged"
        with in_words(self._home):
            self._forget()
        await self._tell(actor, "switched the second authority off", reason, known, page)

    def _forget(self) -> None:
        self._pair = self._trouble = None
        self._leaves.clear()
        if (key := self._home / "key.pem").exists():
            key.unlink()  # first, and by itself: whatever happens next, the power is gone
        shutil.rmtree(self._home)
        sync_folder(self._home.parent)

    async def _tell(self, actor: Actor, action: str, reason: str, fingerprint: str, page: str) -> None:
        async with self._records.transaction() as tx:
            detail = {"reason": reason, "fingerprint": fingerprint}
            await self._audit.record(tx, actor.name, action, "pages about blocked sites over HTTPS", detail)
            await self._notices.tell(
                tx,
                words=f"{actor.name} {action}. It shows over HTTPS why a site is blocked. The reason: {reason}",
                kind="second authority",
                link=page,
                roles=(Role.LEAD, Role.DEPUTY, Role.IT),
                without=(actor.account,),
            )

    def _new(self) -> Pair:
        """A new key that may vouch for every name but the excluded ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        begin = self._now().replace(microsecond=0)
        name = authority_name(self._school, "Pages about blocked sites")
        never = dict.fromkeys((self._domain, "localhost", *NEVER, *self._exempt.hosts()))
        names = [x509.DNSName(host) for host in never]
        everywhere = [x509.IPAddress(ipaddress.ip_network(network)) for network in ("0.0.0.0/0", "::/0")]
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - BACKDATED)
            .not_valid_after(begin + LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(key_cert_sign=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.NameConstraints(None, excluded_subtrees=[*names, *everywhere]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer_key(key.public_key()), critical=False)
        )
        return Pair(builder.sign(key, hashes.SHA256()), key)

    # Using

    def ask(self, blocked: Blocked | None) -> None:
        """Let ``blocked`` say what may be vouched for; ``None``: nothing at all."""
        self._blocked = blocked

    def serve_on(self, context: ssl.SSLContext, client: Callable[[], str]) -> None:
        """From now on, a browser that names a blocked site in its greeting gets a certificate for it.

        ``client`` says whose greeting it is. Everybody else gets what ``context`` has.
        """

        def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            made = self.context_for(name, client()) if name else None
            if made is not None:
                connection.context = made

        context.sni_callback = choose

    def context_for(self, name: str, address: str) -> ssl.SSLContext | None:
        """The certificate for a site that is blocked for ``address``; ``None`` if there may be none."""
        if self._pair is None or self._blocked is None:
            return None
        host = canonical_host(name)
        if host_problem(host) or self._may_never(host) or not self._blocked(host, address):
            return None
        now = self._now()
        if now > self._pair.certificate.not_valid_after_utc:
            return None
        leaf = self._leaves.get(host)
        if leaf is None or leaf.until - now < LEAF_LIFE / 2:
            if not self._may_make():
                return None
            leaf = self._make(host, now)
            self._leaves[host] = leaf
            while len(self._leaves) > KEPT:
                self._leaves.popitem(last=False)
        self._leaves.move_to_end(host)
        return leaf.context

    def _may_never(self, host: str) -> bool:
        if self._exempt.matches(host) is not None:
            return True
        return any(host == name or host.endswith(f".{name}") for name in (self._domain, "localhost", *NEVER))

    def _may_make(self) -> bool:
        ticks = self._ticks()
        self._left = min(AT_ONCE, self._left + (ticks - self._left_at) * A_SECOND)
        self._left_at = ticks
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _make(self, host: str, now: datetime) -> _Leaf:
        assert self._pair is not None
        begin = now.replace(microsecond=0)
        until = min(begin + LEAF_LIFE, self._pair.certificate.not_valid_after_utc)
        key = self._leaf_key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Blocked by the school")]))
            .issuer_name(self._pair.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - BACKDATED)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer_key(self._pair.key.public_key()), critical=False)
        )
        certificate = builder.sign(self._pair.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return _Leaf(_from_memory(certificate + key_bytes(self._leaf_key)), until)


def _from_memory(chain: bytes) -> ssl.SSLContext:
    """``ssl`` reads keys from files only: this one is in memory alone, and gone when it was read."""
    descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, chain)
        return server_context(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _given(reason: str) -> str:
    if not reason.strip():
        raise Refused("Say why, so that the next person understands.", "Write a reason.")
    return reason.strip()
