"""Fixtures of the tests of novel class discovery."""

from typing import Any

import pytest
import torch
from discovery_stages import Handed, result

from benchmarks.novel_class_discovery.protocols import SMOKE


@pytest.fixture(autouse=True)
def one_thread():
    """Bit for bit is promised on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def artefacts() -> dict[str, Any]:
    """What stages 1 and 2 keep at smoke scale."""
    first, second = Handed(), Handed()
    result("pretrain", SMOKE.pretrain, first)
    second.needs = {"pretrain": first.kept}
    result("supervise", SMOKE.supervise, second)
    return {"pretrain": first.kept, "supervise": second.kept}
