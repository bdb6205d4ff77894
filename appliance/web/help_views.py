"""The pages of the help: all topics, one topic, the glossary. What they say is in ``help_texts``.

Topics about getting in are also served to whoever is not signed in, at addresses of their own (``/help/open/...``), so
that no page decides by itself who may read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from appliance.hookspecs import Page, Permission
from appliance.web.help_texts import Help, Topic
from appliance.web.pages import context_of, render


def pages() -> tuple[Page, ...]:
    """The routes."""
    use = Permission.USE
    return (
        Page("staff", "GET", "/help", index, use),
        Page("staff", "GET", "/help/{topic}", topic, use),
        Page("staff", "GET", "/help/open/{topic}", open_topic, Permission.PUBLIC),
        Page("staff", "GET", "/glossary", glossary, use),
    )


@dataclass(frozen=True, slots=True)
class Link:
    """A topic as other pages name it."""

    path: str
    topic: Topic


async def index(request: web.Request) -> web.StreamResponse:
    """Every topic with everything that can be asked, by who reads it first: a browser's own search finds the rest."""
    found = context_of(request).help
    links = links_to(found, public=False)
    shelves = [(shelf, [links[name] for name in shelf.topics]) for shelf in found.shelves]
    return render(request, "help.html", shelves=shelves)


async def topic(request: web.Request) -> web.StreamResponse:
    """One topic, for those who are signed in."""
    return _topic(request, public=False)


async def open_topic(request: web.Request) -> web.StreamResponse:
    """One topic about getting in, for anybody."""
    return _topic(request, public=True)


async def glossary(request: web.Request) -> web.StreamResponse:
    """Every term from A to Z."""
    found = context_of(request).help.glossary
    return render(request, "glossary.html", letters=found.letters(), marked=partial(found.marked, linked=found.terms))


def _topic(request: web.Request, public: bool) -> web.Response:
    found = context_of(request).help
    links = links_to(found, public)
    link = links.get(request.match_info["topic"])
    if link is None:
        raise web.HTTPNotFound
    return render(request, "help_topic.html", public=public, links=links, **shown(found, link.topic))


def links_to(found: Help, public: bool) -> Mapping[str, Link]:
    """The topics that a page may name: all of them, or (``public``) those that can be read without signing in."""
    start = "/help/open/" if public else "/help/"
    topics = found.topics.items()
    return {name: Link(start + name, topic) for name, topic in topics if topic.public or not public}


def shown(found: Help, topic: Topic) -> Mapping[str, Any]:
    """What the page of a topic shows: the topic, the terms that it names, and how its texts become markup.

    Terms are links to the list of words at the end of the page, so that nobody is led away in the middle of an answer.
    """
    words = found.glossary
    terms = words.named_in(topic.texts())
    return {
        "topic": topic,
        "terms": terms,
        "marked": partial(words.marked, linked=terms),
        "plain": partial(words.marked, linked=()),
    }
