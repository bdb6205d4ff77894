"""The filter's own test against the real filter: the worker as a process of its own, and real queries."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from worker_process import policy, running

from appliance.clock import now
from appliance_plugins.dns_filter.answerer.rules import CANARY_NAMES
from appliance_plugins.dns_filter.queries.checks.addresses import addresses, is_test_client, probe_name
from appliance_plugins.dns_filter.queries.checks.asking import Answer, ask
from appliance_plugins.dns_filter.queries.checks.selftest import plans, run
from appliance_plugins.dns_filter.queries.checks.store import Result

SAFE, OTHER = "192.0.2.120", "192.0.2.80"
TITLES = {"adult": "Adult content"}
HELPLINE = "help.example"


@pytest.mark.parametrize("mode", ["block", "watch"])
async def test_the_real_filter_is_tested_as_each_profile_has_it(tmp_path: Path, start_upstream: Any, mode: str) -> None:
    """The worker as a process of its own, asked by the very code of the job; its records say that only we asked."""

    def answer(query: DNSRecord, over_tcp: bool) -> bytes:
        del over_tcp
        reply = query.reply(aa=0)
        name = str(query.q.qname).rstrip(".").lower()
        if name.endswith(".invalid") or name in CANARY_NAMES:
            reply.header.rcode = RCODE.NXDOMAIN
        else:
            safe = SAFE if "safesearch" in name else OTHER
            reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(safe), ttl=60))
        return bytes(reply.pack())

    upstream = await start_upstream(answer)
    rewrites = {"www.google.com": "forcesafesearch.google.com"}
    changes = {
        "upstreams": [(upstream.host, upstream.port)],
        "policies": {"pupil": policy(mode=mode, rewrites=rewrites), "staff": policy(profile="staff", lists=[])},
        "clients": {address: [[name, None]] for address, name in addresses(["pupil", "staff"]).items()},
        "exempt": [HELPLINE],
    }
    async with running(tmp_path, names=[probe_name("adult")], **changes) as worker:
        written = json.loads((worker.state / "snapshot.json").read_text())
        found, profiles = {}, {name: (name, {"adult"}) for name in ("pupil", "staff")}
        for plan in plans(written, TITLES, profiles, HELPLINE, now().timestamp()):

            async def ask_it(source: str, name: str) -> Answer | None:
                return await ask("127.0.0.1", worker.port, source, name, seconds=10.0)

            found[plan.profile] = await run(plan, ask_it, date(2026, 11, 26), "Example School")
        record = await worker.record(probe_name("adult"))
    assert is_test_client(record["client"])
    blocks = mode == "block"
    assert record["verdict"] == ("blocked" if blocks else "would block")
    assert found["pupil"].result is (Result.PASSED if blocks else Result.WATCHING), found["pupil"].words
    assert found["staff"].result is Result.OPEN, found["staff"].words
    assert "because no list says what belongs to it: Adult content" in found["staff"].words
    assert HELPLINE not in {one.get("name") for one in worker.records}
