"""Looks for new bundles where the settings say, and takes what is signed, right and newer than all that ever came."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.api import Refused, Row, new_id

from .archive import BundleRefused
from .forces import Forces
from .keeping import Shelf
from .opening import Bundle, open_bundle
from .signatures import TrustedKey
from .sources import Offer, Place, Unreachable
from .store import Store


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look. ``good``: the place could be read and nothing was refused. ``words``: everything that is to
    be told; ``brief``: for pages, which have a list of their own for what was refused.
    """

    good: bool
    words: str
    brief: str


class Looking:
    """``place``: where bundles come from, ``None`` if the settings do not say; ``source``: what they say."""

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        forces: Forces,
        place: Place | None,
        source: str,
        trusted: Sequence[TrustedKey],
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._forces = forces
        self._place = place
        self._source = source
        self._trusted = tuple(trusted)

    @property
    def has_source(self) -> bool:
        """Whether the settings say where bundles come from."""
        return self._place is not None

    async def look(self, author: str) -> Looked:
        """Look now. What came of it also stands in the store, good or bad."""
        if self._place is None:
            raise Refused("The settings do not say where policies come from.", "IT sets plugins.keyword.bundle.source.")
        last = await self._store.look(self._source)
        etag = ""
        try:
            found = await self._place.look(str(last["etag"]) if last is not None else "")
        except Unreachable as error:
            looked = Looked(False, str(error), str(error))
        else:
            looked = await self._take_all(author, found.offers) if found.offers else _nothing_new(last)
            # What was refused is fetched again: a key that is added to the settings makes it right.
            etag = found.etag if looked.good else ""
        await self._store.looked(self._source, looked.good, looked.brief, etag)
        return looked

    async def _take_all(self, author: str, offers: Sequence[Offer]) -> Looked:
        """Take the newest bundle of each name."""
        newest: dict[str, tuple[Bundle, Offer]] = {}
        told: list[str] = []
        refused: list[str] = []
        for offer in offers:
            try:
                bundle = await self._opened(offer)
            except BundleRefused as error:
                refused.append(await self._refuse(offer, error))
                continue
            if bundle.name not in newest or bundle.version > newest[bundle.name][0].version:
                newest[bundle.name] = bundle, offer
        for bundle, offer in newest.values():
            try:
                told.append(await self._take(author, bundle, offer))
            except BundleRefused as error:
                refused.append(await self._refuse(offer, error))
        number = len(refused)
        files = "1 file was" if number == 1 else f"{number} files were"
        brief = " ".join([*told, *([f"{files} not taken: see “Not taken” for why."] if refused else [])])
        return Looked(not refused, "\n".join([*told, *refused]), brief)

    async def _opened(self, offer: Offer) -> Bundle:
        if offer.trouble:
            raise BundleRefused(offer.trouble)
        bundle = await asyncio.to_thread(open_bundle, offer.packed, self._trusted)
        self._forces.check_names(bundle)
        return bundle

    async def _take(self, author: str, bundle: Bundle, offer: Offer) -> str:
        known = await self._store.known(bundle)
        if known is not None:
            self._shelf.put(known.id, offer.packed)  # mends a copy that was damaged
            return f"{_called(bundle)} is here already."
        id_ = new_id()
        self._shelf.put(id_, offer.packed)
        await self._store.keep(author, bundle, id_, offer.name)
        return f"{_called(bundle)} has come. Look at what it changes before you apply it."

    async def _refuse(self, offer: Offer, error: BundleRefused) -> str:
        await self._store.refuse(offer.name, str(error))
        return f"{offer.name} was not taken. {error}"


def _nothing_new(last: Row | None) -> Looked:
    words = "Nothing has changed there." if last is not None else "There is no bundle."
    return Looked(True, words, words)


def _called(bundle: Bundle) -> str:
    return f"Version {bundle.version} of {bundle.name}"
