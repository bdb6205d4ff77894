"""The live stream: one response that stays open and carries what happens now (server-sent events, WHATWG HTML 9.2).

Every message is JSON with ``topic``, ``data`` and its ``place`` in the stream; ``late`` marks what came before the
stream was opened and after the place that the browser names (``?since=``, or ``Last-Event-ID`` when it comes again by
itself); ``from`` is the place before which something is missing. The stream ends by itself when the appliance stops and
when the session is no longer good; the browser's script connects again after a pause.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from appliance.access import LOCKED
from appliance.hookspecs import Permission
from appliance.live import Live, Message, Subscriber
from appliance.web.pages import SESSION, actor, context_of

HEARTBEAT_SECONDS = 15.0
STANDING = "appliance.standing"
"""Topic of the first message: how many alerts wait. A page that lost its stream may have missed one."""
DROPPED = "appliance.dropped"
"""Topic of the message that says how many messages did not fit; the page tells its reader to load it again."""


async def stream(request: web.Request) -> web.StreamResponse:
    """``GET /live``: everything that this session may see, until it ends."""
    context = context_of(request)
    live, session, sessions = context.appliance.live, request[SESSION], context.appliance.staff.sessions
    who = actor(request)

    def allowed() -> frozenset[Permission]:
        """A browser that is locked meanwhile gets what shows no content, and the rest again once it is opened."""
        return LOCKED if sessions.is_locked(session) else who.permissions

    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
    async with live.subscribe(allowed, who.account, since) as subscriber:
        await response.prepare(request)
        standing = context.appliance.alerts.standing(who.account)
        if standing is not None:
            await response.write(_said(STANDING, json.dumps(standing)))
        await _first_to_end(_write(response, live, subscriber), live.closing(), sessions.over(session))
    return response


async def _write(response: web.StreamResponse, live: Live, subscriber: Subscriber) -> None:
    # Browsers that lose the stream together must not all come back in the same moment.
    await response.write(f"retry: {random.randint(2000, 6000)}\n\n".encode())  # noqa: S311 - nothing to guess here
    while True:
        await response.write(await _next(live, subscriber))


async def _next(live: Live, subscriber: Subscriber) -> bytes:
    """The next piece of the stream: a message, the news that some were dropped, or a sign of life."""
    if subscriber.missed:
        return _message(live, subscriber.missed.popleft(), late=True)
    if subscriber.dropped:
        count, subscriber.dropped = subscriber.dropped, 0
        return _said(DROPPED, json.dumps({"count": count}), f',"from":"{live.place()}"')
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            message = await subscriber.messages.get()
    except TimeoutError:
        return _heartbeat(live if subscriber.messages.empty() else None)
    return _message(live, message)


def _heartbeat(live: Live | None) -> bytes:
    """A sign of life. With the stream given, what was for others is not looked at again when the browser returns."""
    return f"id: {live.place()}\n\n".encode() if live else b": still here\n\n"


def _message(live: Live, message: Message, late: bool = False) -> bytes:
    place = live.place(message.number)
    more = f',"place":"{place}"' + (',"late":true' if late else "")
    return f"id: {place}\n".encode() + _said(message.topic, message.data, more)


def _said(topic: str, data: str, more: str = "") -> bytes:
    """``data`` is JSON already, and has no line breaks."""
    return f'data: {{"topic":{json.dumps(topic)},"data":{data}{more}}}\n\n'.encode()


async def _first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, then end the others. A client that has gone away is an end like any other."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for failed in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(failed, Exception) and not isinstance(failed, ConnectionError):
                raise failed
