"""The surfaces that a browser tells apart, as bits."""

from __future__ import annotations

from collections.abc import Collection

from appliance.api import Surface

from ..engine.engine import SHORT_ON as _SHORT_ON

SURFACES = (Surface.TYPED, Surface.PAGE, Surface.TITLE, Surface.ADDRESS, Surface.SEARCH)
"""The first is bit 0. An email is typed; names of sites and applications are no browser's."""


def bits(surfaces: Collection[Surface]) -> int:
    """Where a browser looks for a term, one bit for each surface."""
    typed = {Surface.TYPED} if Surface.EMAIL in surfaces else set()
    return sum(1 << place for place, surface in enumerate(SURFACES) if surface in typed.union(surfaces))


SHORT_ON = bits(_SHORT_ON)
"""Where phrases of three letters count."""
