import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the benchmarks and the demo load the server in the same way


@pytest.fixture
def loopback():
    """``loopback(**options)``: an archive on this machine, stopped after the test."""
    from loopback import LoopbackArchive

    running = []

    def start(**options):
        running.append(LoopbackArchive(**options).start())
        return running[-1]

    yield start
    for archive in running:
        archive.stop()
