"""Deciding about terms: who may, that it stands in the record, and that it comes into force.

A term's words never stand in the record of who did what, which more people read than see policies; nor do the ids of
hidden terms.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from appliance.api import Actor, Appliance, Permission, Refused, Role, Row, Surface, Transaction

from ..library.model import Policy, folded
from .forms import SAY_WHY
from .hidden import readable
from .model import REASONS, Change
from .store import Store, Wish, surfaces_of

ASK, EDIT, DECIDE = Permission.SEE_CAPTURES, Permission.SWITCH_MONITORING, Permission.GRANT_CONTENT
"""Who may ask to switch a supplied term off, who makes terms and sets levels, and who decides what was asked."""
LONGEST_REASON = 500
LONGEST_TITLE = 100
MOST_OWN_POLICIES = 100
MOST_OWN_TERMS = 2000


class TermDecisions:
    """``policies()`` are those in force before the school's changes; ``changed`` is called after each commit."""

    def __init__(
        self,
        appliance: Appliance,
        store: Store,
        policies: Callable[[], Mapping[str, Policy]],
        changed: Callable[[], None],
    ) -> None:
        self._appliance = appliance
        self._store = store
        self._policies = policies
        self._changed = changed

    async def ask(self, actor: Actor, wish: Wish) -> str:
        """Ask the safeguarding lead to switch a supplied term off, or to change where it counts; returns the id of the
        request."""
        require(actor, ASK)
        if wish.change not in _ASKED:
            raise Refused("Your sign-in does not allow this.", "Ask for another change.")
        await self._check(actor, wish)
        async with self._appliance.records.transaction() as tx:
            request = await self._store.ask(tx, actor.name, actor.account, wish)
            await self._record(tx, actor, "asked to change a supplied term", request, wish, because=wish.because)
            await self._appliance.notices.tell(
                tx,
                words=f"{actor.name} asks to {_ASKED[wish.change]} “{self._title(wish.policy)}”.",
                kind="policies",
                link=_link(request),
                roles=(Role.LEAD,),
                without=(actor.account,),
            )
        return request

    async def tweak(self, actor: Actor, wish: Wish) -> None:
        """Put a copy of the school's in the place of a supplied term, at once."""
        require(actor, EDIT)
        await self._check(actor, wish)
        if self.is_for_the_lead(wish):
            raise Refused("What makes a term count less is what the safeguarding lead decides.", "Ask for it.")
        async with self._appliance.records.transaction() as tx:
            request = await self._store.ask(tx, actor.name, actor.account, wish)
            await self._store.decide(tx, actor.name, request, "granted", "")
            action = _ELSEWHERE if wish.change is Change.WHERE else "made a supplied term stricter"
            await self._record(tx, actor, action, request, wish, **_told(wish))
            await self._in_force(tx)

    def is_for_the_lead(self, wish: Wish) -> bool:
        """Whether the safeguarding lead decides: the term would be off, or would not count any more where it was
        supplied for. Pages are what others have written."""
        if wish.change is not Change.WHERE:
            return wish.change is Change.OFF
        policy = self._policies().get(wish.policy)
        supplied = next((one.surfaces for one in policy.terms if one.id == wish.term), None) if policy else None
        return supplied is None or not supplied - {Surface.PAGE, Surface.NAME} <= set(wish.surfaces)

    async def decide(self, actor: Actor, request: str, *, grant: bool, answer: str) -> None:
        """The safeguarding lead's word on a request."""
        require(actor, DECIDE)
        must_say_why(answer)
        async with self._appliance.records.transaction() as tx:
            row = await self._store.decide(tx, actor.name, request, "granted" if grant else "refused", answer)
            wish = _wish(row)
            await self._appliance.notices.settle(tx, _link(request))
            is_off = wish.change is Change.OFF
            words = "switched a supplied term off" if is_off else _ELSEWHERE
            words = words if grant else "kept a supplied term on"
            await self._record(tx, actor, words, request, wish, asked_by=row["author"], **_told(wish))
            done = "the term is off." if is_off else "the term counts where you asked for."
            await self._appliance.notices.tell(
                tx,
                words=f"{actor.name} has decided what you asked about the policy “{self._title(wish.policy)}”: "
                + (done if grant else "the term stays as it is."),
                kind="policies",
                link="/keyword/requests",
                accounts=(row["account"],),
                without=(actor.account,),
            )
            await self._in_force(tx)

    async def switch_on(self, actor: Actor, request: str, reason: str) -> None:
        """Let a supplied term count again as it was supplied."""
        require(actor, EDIT)
        must_say_why(reason)
        async with self._appliance.records.transaction() as tx:
            row = await self._store.end(tx, actor.name, request, reason)
            await self._record(tx, actor, "switched a supplied term on again", request, _wish(row))
            await self._in_force(tx)

    async def make_policy(self, actor: Actor, title: str, category: str, summary: str, reason: str) -> str:
        """A policy of the school's own, without terms yet; returns its name."""
        require(actor, EDIT)
        must_say_why(reason)
        known = self._policies()
        if wrong := title_trouble(title, known.values()):
            raise Refused(wrong)
        if len(self._store.kept.policies) >= MOST_OWN_POLICIES:
            raise Refused(f"There are {MOST_OWN_POLICIES} policies of your own already.", "End one first.")
        name = _free_name(title, known)
        policy = {"name": name, "title": title, "category": category, "summary": summary}
        async with self._appliance.records.transaction() as tx:
            await self._store.make_policy(tx, actor.name, policy, reason)
            await self._appliance.audit.record(tx, actor.name, "made a policy", f"policy {name}", {"reason": reason})
            await self._in_force(tx)
        return name

    async def end_policy(self, actor: Actor, name: str, reason: str) -> None:
        """End a policy that was made on a page, with its terms."""
        require(actor, EDIT)
        must_say_why(reason)
        async with self._appliance.records.transaction() as tx:
            await self._store.end_policy(tx, actor.name, name, reason)
            await self._appliance.audit.record(tx, actor.name, "ended a policy", f"policy {name}", {"reason": reason})
            await self._in_force(tx)

    async def put_term(self, actor: Actor, policy: str, entry: Mapping[str, Any], reason: str) -> None:
        """Add a term that was checked, or change the one of its id."""
        async with self._appliance.records.transaction() as tx:
            await self.put_term_within(tx, actor, policy, entry, reason)

    async def put_term_within(
        self, tx: Transaction, actor: Actor, policy: str, entry: Mapping[str, Any], reason: str
    ) -> None:
        """``put_term`` as a part of a unit of work that keeps more."""
        require(actor, EDIT)
        must_say_why(reason)
        if policy not in self._policies():
            raise Refused("There is no such policy any more.", "Choose another one.")
        own = {f"{one.policy}/{one.entry['id']}" for one in self._store.kept.terms}
        if f"{policy}/{entry['id']}" not in own and len(own) >= MOST_OWN_TERMS:
            raise Refused(f"There are {MOST_OWN_TERMS} terms of your own already.", "End one first.")
        await self._store.put_term(tx, actor.name, policy, entry, reason)
        await self._appliance.audit.record(
            tx, actor.name, "wrote a term of the school’s own", f"term {policy}/{entry['id']}"
        )
        await self._in_force(tx)

    async def end_term(self, actor: Actor, policy: str, term: str, reason: str) -> None:
        """Stop looking for a term that was made on a page."""
        require(actor, EDIT)
        must_say_why(reason)
        async with self._appliance.records.transaction() as tx:
            await self._store.end_term(tx, actor.name, policy, term, reason)
            await self._appliance.audit.record(
                tx, actor.name, "ended a term of the school’s own", f"term {policy}/{term}"
            )
            await self._in_force(tx)

    async def _check(self, actor: Actor, wish: Wish) -> None:
        must_say_why(wish.reason)
        if wish.because not in REASONS:
            raise Refused("Choose what is wrong with it.")
        if (wish.change is Change.WHERE) != bool(wish.surfaces):
            raise Refused("Choose where it is to count.")
        policy = self._policies().get(wish.policy)
        found = policy is not None and wish.term in {term.id for term in policy.terms}
        if policy is None or not found or not await self._may_read(actor, policy, wish.term):
            raise Refused("There is no such term any more.", "Load the page again.")

    async def _may_read(self, actor: Actor, policy: Policy, term: str) -> bool:
        return not policy.hidden or (await readable(self._appliance, actor)).may_read(policy, term)

    def _subject(self, wish: Wish) -> str:
        """What the record says: ids of hidden terms tell their words to whoever reads it."""
        policy = self._policies().get(wish.policy)
        hidden = policy is None or policy.hidden
        return f"policy {wish.policy}" if hidden else f"term {wish.policy}/{wish.term}"

    def _title(self, name: str) -> str:
        policy = self._policies().get(name)
        return policy.title if policy is not None else name

    async def _record(
        self, tx: Transaction, actor: Actor, action: str, request: str, wish: Wish, **detail: str
    ) -> None:
        shown = {**detail, "version": wish.version, "request": request}
        await self._appliance.audit.record(tx, actor.name, action, self._subject(wish), shown)

    async def _in_force(self, tx: Transaction) -> None:
        await self._store.take_after_commit(tx)
        tx.after_commit.append(self._changed)


_ELSEWHERE = "made a supplied term count in other places"
_ASKED: Mapping[Change, str] = {
    Change.OFF: "switch off a term of the policy",
    Change.WHERE: "change where a term counts of the policy",
}


def _told(wish: Wish) -> dict[str, str]:
    """What a change is, for the record; to switch off needs no more words."""
    if wish.change is Change.OFF:
        return {}
    where = {"surfaces": " ".join(wish.surfaces)} if wish.surfaces else {}
    return {"change": wish.change.value, **where}


def title_trouble(title: str, known: Iterable[Policy]) -> str:
    """What is wrong with the name of a new policy, in words: lists show it, and nobody can tell two apart."""
    words = folded(title)
    if not title:
        return "Give it a name, such as “Words of our school”."
    if len(title) > LONGEST_TITLE:
        return f"The name is too long: {LONGEST_TITLE} letters at most."
    if not words:
        return "Give it a name with letters in it."
    same = next((policy.title for policy in known if folded(policy.title) == words), None)
    return f"There is a policy called “{same}” already. Add a term to that one, or choose another name." if same else ""


def new_term_id() -> str:
    """An id that says nothing of the words: it stands in lists and records that more people read."""
    return f"own-{secrets.token_hex(4)}"


def must_say_why(reason: str) -> None:
    """Raise ``Refused`` without a reason."""
    if not reason.strip():
        raise Refused(SAY_WHY)


def require(actor: Actor, permission: Permission) -> None:
    """Raise ``Refused`` unless ``actor`` may: what pages declare is kept here too."""
    if not actor.may(permission):
        raise Refused("Your sign-in does not allow this.", "Ask whoever looks after the accounts.")


def _link(request: str) -> str:
    """Where the page shows a request: an address of its own, so that its notice goes when it is decided."""
    return f"/keyword/requests#request-{request}"


def _wish(row: Row) -> Wish:
    return Wish(
        *(row["policy"], row["term"], row["version"], Change(row["change"]), row["because"], row["reason"]),
        surfaces=surfaces_of(row),
    )


def _free_name(title: str, taken: Mapping[str, object]) -> str:
    """A name for addresses. ``own_``: no supplied policy ever begins with it."""
    plain = "_".join(re.findall(r"[a-z0-9]+", title.lower()))[:24].strip("_")
    name = f"own_{plain or 'policy'}"
    number = 2
    while name in taken:
        name = f"own_{plain or 'policy'}_{number}"
        number += 1
    return name
