"""A box that is killed while it applies a bundle: after the next start the policies run that stand in the record."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bundle_bench import Publisher, supplied
from test_keyword_bundles_pages import PATH, School

from appliance.testing import Home
from appliance_plugins.keyword.bundles.desk import Desk
from appliance_plugins.keyword.bundles.store import Store

MOMENTS = {"before the record": ("cod", "eel"), "within the record": ("cod", "eel"), "after the record": ("cod", "ray")}
"""When it is killed, and which terms run after the next start."""
APPLIED = "applied a bundle of policies"


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_bundle_is_applied_wholly_or_not_at_all(moment: str, appliance_home: Home, tmp_path: Path) -> None:
    (tmp_path / "offered").mkdir()
    publisher = Publisher()
    appliance_home.write(publisher.settings(tmp_path / "offered"))
    (tmp_path / "offered" / "1.tar").write_bytes(publisher.bundle(1))
    ports = [str(appliance_home.web_port), str(appliance_home.dns_port)]
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, __file__, moment, str(appliance_home.folder), str(tmp_path / "in-process"), *ports],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with supplied(tmp_path / "supplied"):
        school = School(appliance_home, tmp_path / "offered", publisher)
        await school.start()
        try:
            assert school.terms() == list(MOMENTS[moment])
            has_applied = MOMENTS[moment] == ("cod", "ray")
            records = school.box.appliance.records
            uses = await records.fetch("SELECT bundle FROM keyword_bundle_uses")
            audited = await records.fetch("SELECT detail FROM audit WHERE action = ?", (APPLIED,))
            assert (len(uses), len(audited)) == (has_applied, has_applied)
            assert [json.loads(row["detail"])["version"] for row in audited] == [1] * has_applied
            (kept,) = await school.room.desk.store.bundles()
            assert kept.state == ("used" if has_applied else "waiting")
            if not has_applied:
                assert "Version 1 of acme-words is in force." in await school.apply(f"{PATH}/{kept.id}")
            assert school.terms() == ["cod", "ray"]
        finally:
            await school.box.stop()


# The process that is killed


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _apply(moment: str, home: Home, folder: Path) -> None:
    """Apply the bundle that is offered; this process ends on the way."""
    school = School(home, folder, Publisher())
    await school.start()
    await school.post(f"{PATH}/look")
    (kept,) = await school.room.desk.store.bundles()
    desk, store = school.room.desk, school.room.desk.store
    if moment == "before the record":
        store.apply = _die  # type: ignore[method-assign,assignment]
    elif moment == "within the record":
        Store._end_trials = staticmethod(_die)  # type: ignore[method-assign,assignment]
    else:
        Desk._no_trial = _die  # type: ignore[method-assign,assignment]
    await school.apply(f"{PATH}/{kept.id}")
    raise SystemExit(f"{desk} was not killed")


if __name__ == "__main__":
    with supplied(Path(sys.argv[3])):
        asyncio.run(_apply(sys.argv[1], Home(Path(sys.argv[2]), *map(int, sys.argv[4:])), Path(sys.argv[3])))
