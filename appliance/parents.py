"""A child process that must not outlive whoever has started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_supervisor() -> None:
    """If the trial's supervisor is killed, its children must not live on and hold the ports."""
    supervisor = os.environ.get("APPLIANCE_SUPERVISOR")
    if supervisor is not None:
        end_with(int(supervisor), signal.SIGTERM)


def end_with(parent: int, number: signal.Signals) -> None:
    """Get a signal when the process that has started this one ends; if it is gone already, end now."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit(0)
