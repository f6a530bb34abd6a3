"""Asks a run of this process to stop: it saves its checkpoint first, and goes on later."""

from __future__ import annotations

import threading


class Interrupted(BaseException):
    """The run was asked to stop and has saved its checkpoint. Not an error: it leaves no row and goes on later."""


_stop_requested = threading.Event()


def request_stop() -> None:
    """Asks the run of this process to save at its next epoch boundary and stop there (``Interrupted``)."""
    _stop_requested.set()


def stop_requested() -> bool:
    return _stop_requested.is_set()


def forget_stop() -> None:
    """Takes the request back: later runs of this process go on."""
    _stop_requested.clear()
