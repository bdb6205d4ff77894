"""What happens at the invented school: invented words on invented pages, and what a browser would say of them.

The words are those of the supplied policies, because what is judged here is judged by the real detectors: some plainly
written, some in text-speak or with digits for letters, so that a capture has something to explain. They are no stronger
than they have to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.observations import Surface


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that a browser notices. ``picture``: the name of a file in ``pictures``."""

    surface: Surface
    text: str
    host: str
    title: str
    path: str
    picture: str


SCENES: tuple[Scene, ...] = (
    Scene(
        Surface.TYPED,
        "honestly i dont want to be here anymore. nobody would notice",
        "chat.example",
        "Group chat",
        "/rooms/year-9",
        "chat.jpg",
    ),
    Scene(
        Surface.SEARCH,
        "i want to die",
        "search.example",
        "Search",
        "/?q=i+want+to+die",
        "search.jpg",
    ),
    Scene(
        Surface.TYPED,
        "everyone hates you, go and kill yourself",
        "chat.example",
        "Group chat",
        "/rooms/banter",
        "chat.jpg",
    ),
    Scene(
        Surface.TYPED,
        "why would anyone be friends with you. nobody likes you",
        "chat.example",
        "Group chat",
        "/rooms/year-8",
        "chat.jpg",
    ),
    Scene(
        Surface.TYPED,
        "Draft: in chapter 5 she says she feels that everybody hates me and I am all alone",
        "documents.example",
        "English essay - Documents",
        "/d/essay",
        "document.jpg",
    ),
    Scene(
        Surface.SEARCH,
        "what to do when nobody likes me",
        "search.example",
        "Search",
        "/?q=what+to+do+when+nobody+likes+me",
        "search.jpg",
    ),
    Scene(
        Surface.TYPED,
        "i jus wanna d1e tbh",
        "chat.example",
        "Group chat",
        "/rooms/year-9",
        "chat.jpg",
    ),
    Scene(
        Surface.TYPED,
        "why do u even exist, evry1 h8s u",
        "chat.example",
        "Group chat",
        "/rooms/banter",
        "chat.jpg",
    ),
    Scene(
        Surface.TYPED,
        "no dinner again 2day, i feel so fat and i hate my b0dy",
        "chat.example",
        "Group chat",
        "/rooms/year-9",
        "chat.jpg",
    ),
    Scene(
        Surface.SEARCH,
        "where to buy ketamine near me",
        "search.example",
        "Search",
        "/?q=where+to+buy+ketamine+near+me",
        "search.jpg",
    ),
)
