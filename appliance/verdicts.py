"""The child of the DNS worker that asks plugins about names: make the plugins, start nothing, answer name by name.

A plugin's ``dns_verdict`` is a stranger's code beside the answers of a whole school: it may raise or never come to an
end. So it runs here and not in the worker. It opens no store and no network, and gets its settings from a file that the
main process leaves beside the worker's snapshot, so that it can start while the main process does not run. Lines of
JSON go through two pipes::

    child -> worker   {"plugins": ["casino"], "failed": {"other": "raised ImportError ..."}}        first line
    worker -> child   {"id": 7, "name": "www.example.org", "type": "A", "profile": "pupil"}
    child -> worker   {"id": 7, "verdict": "block", "why": "A gambling site", "plugin": "casino", "failed": {}}
                      {"id": 8, "verdict": null, "why": "", "plugin": "", "failed": {"casino": "raised KeyError ..."}}

Whose code runs stands in a mapped file (``containment.Note``: plugin, blank, what). The worker kills a child that does
not answer in time, and starts another one without that plugin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from appliance.app import build
from appliance.child_pipes import bound_this_process, lines_of, own_pipes, say
from appliance.config import Place, Source, check
from appliance.containment import Containment, Note, PluginFailure
from appliance.errors import ApplianceError
from appliance.hookspecs import Verdict
from appliance.plugin_finder import Found, find_plugins, import_plugin, settings_model

LONGEST_WHY = 200

Asked = Callable[..., object]


def serve(place: Place, file: Path, note: Path, without: Collection[str]) -> None:
    """Answer until the pipe is closed. ``file``: plugins and settings; ``without``: plugins that are left out."""
    bound_this_process()
    questions, answers = own_pipes()
    containment = Containment(Note(note), seconds=1.0)
    try:
        plugins, failed = _plugins(place, json.loads(file.read_bytes()), containment, without)
    except (ApplianceError, OSError, ValueError, LookupError) as error:
        say(answers, {"plugins": [], "failed": {"": str(error)}})
        return
    say(answers, {"plugins": list(plugins), "failed": failed})
    for line in lines_of(questions):
        say(answers, _answer(json.loads(line), plugins, containment))


def _plugins(
    place: Place, written: Mapping[str, Any], containment: Containment, without: Collection[str]
) -> tuple[dict[str, Asked], dict[str, str]]:
    """The ``dns_verdict`` of each plugin by its name, and the plugins that failed, with the reason."""
    found, failed = find_plugins(place.drop_in_dir), {}
    wanted = [name for name in written["plugins"] if name not in without]
    models = {}
    for name in wanted:
        try:
            models[name] = containment.call(name, "being loaded", partial(_model, found[name], place.drop_in_dir))
        except (PluginFailure, ApplianceError, LookupError) as failure:
            failed[name] = str(failure)
    config = check(Source(place, written["settings"]), models)
    appliance = build(config, found, containment)
    plugins: dict[str, Asked] = {}
    for name in models:
        try:
            load = partial(appliance.plugins.load_verdicts, name, appliance)
            plugins[name] = containment.call(name, "being loaded", load)
        except (PluginFailure, ApplianceError) as failure:
            failed[name] = str(failure)
    return plugins, failed


def _model(found: Found, drop_in_dir: Path) -> type[BaseModel]:
    return settings_model(import_plugin(found, drop_in_dir))


def _answer(question: Mapping[str, Any], plugins: Mapping[str, Asked], containment: Containment) -> dict[str, Any]:
    """The first verdict that blocks decides: there is nothing stricter."""
    given = {key: str(question[key]) for key in ("name", "type", "profile")}
    failed: dict[str, str] = {}
    for plugin, ask in plugins.items():
        try:
            verdict = containment.call(plugin, "dns_verdict", partial(_verdict, ask, given))
        except (PluginFailure, ApplianceError) as failure:
            failed[plugin] = f"raised {type(failure.__cause__ or failure).__name__}"
            continue
        if verdict is not None:
            why = str(verdict.why)[:LONGEST_WHY]
            return {"id": question["id"], "verdict": "block", "why": why, "plugin": plugin, "failed": failed}
    return {"id": question["id"], "verdict": None, "why": "", "plugin": "", "failed": failed}


def _verdict(ask: Asked, given: Mapping[str, str]) -> Verdict | None:
    answer = ask(**given)
    if answer is not None and not isinstance(answer, Verdict):
        raise TypeError(f"{type(answer).__name__} is no Verdict")
    return answer
