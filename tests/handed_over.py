"""Checkpoints for tests of chains that run in one process, without folders: one keeps an artefact, one reads it."""

from typing import Any

from contrastbench.runner import Checkpoint


class Keeps(Checkpoint):
    """Holds the artefact that a run publishes, as its state."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.kept: dict[str, Any] = {}

    def keep(self, **parts: Any) -> None:
        self.kept = {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()}


class Needed(Checkpoint):
    """Hands over artefacts by the names that runs need them by."""

    def __init__(self, artefacts: dict[str, dict[str, Any]], *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.artefacts = artefacts

    def needed(self, name: str) -> dict[str, Any]:
        return self.artefacts[name]
