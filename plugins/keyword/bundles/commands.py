"""``appliance policy check``, ``import-list`` and ``remove-list``: for IT, in the appliance that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.api import Argument, Command, Refused, now

from .desk import Desk
from .imported import LARGEST, body_name, kind_of, read_list, taken_words

COMMAND_LINE = "the command line"


class Commands:
    """What the command line may ask. It can apply nothing: that is for whoever looks at what changes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def all(self) -> Sequence[Command]:
        """Every command."""
        kind = Argument("kind", "What the list is about: child-abuse or terrorism.", option=True)
        return [
            Command(("policy", "check"), "look for new policies now", (), self._check),
            Command(
                ("policy", "import-list"),
                "look for the terms of a list that was handed over; its whole path, a file that the appliance may read",
                (
                    Argument("file", "A text with a term a line, or CSV."),
                    kind,
                    Argument("from", "By whom.", option=True),
                ),
                self._import,
            ),
            Command(
                ("policy", "remove-list"),
                "look for the terms of such a list no more",
                (kind, Argument("reason", "Why it goes; it stands in the record.", option=True)),
                self._remove,
            ),
        ]

    async def _check(self, given: Mapping[str, str]) -> str:
        del given
        looked = await self._desk.look(COMMAND_LINE)
        if not looked.good:
            raise Refused(looked.words)
        return looked.words

    async def _import(self, given: Mapping[str, str]) -> str:
        kind, body = kind_of(given["kind"]), body_name(given["from"])
        content = await asyncio.to_thread(_read, Path(given["file"]))
        found = await asyncio.to_thread(read_list, content, kind, body, now().date())
        await self._desk.import_list(COMMAND_LINE, found)
        return "\n".join([*taken_words(found), f"Delete {given['file']}."])

    async def _remove(self, given: Mapping[str, str]) -> str:
        kind = kind_of(given["kind"])
        await self._desk.remove_list(COMMAND_LINE, kind, given["reason"])
        return f"The list ({kind.words}) is gone."


def _read(path: Path) -> bytes:
    if not path.is_absolute():
        raise Refused(f"The appliance does not know where {path} lies.", "Give the whole path, beginning with /.")
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise Refused(
            f"The appliance cannot read {path}: {error.strerror}.",
            "Put the file where its account may read it, such as /etc/appliance, or use the page.",
        ) from None
