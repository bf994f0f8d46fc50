"""Processes that are really killed while they measure."""

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from glue_spherex import FolderCollection, measure, read_targets
from glue_spherex.jobs import executor_of, processes

SCRIPT = """
import json, logging, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from glue_spherex import FolderCollection, read_targets
from glue_spherex.jobs import executor_of
from glue_spherex.photometry import run

class Deadly(FolderCollection):
    # notes which images are opened, and ends the process that opens some of them
    def open(self, record):
        with open(NOTES, "a") as file:
            file.write(f"{record.path} {os.getpid()}\\n")
        name = Path(record.path).name
        if name == DEADLY or name == ONCE and len(opened(record.path)) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(record)

    def opener(self):
        return self

def values(result, among):
    known = set(among.spectra["lvf_id"])
    return [str(row) for row in result.spectra["source_id", "lvf_id", "flux"] if row["lvf_id"] in known]

def opened(path):
    return [line for line in Path(NOTES).read_text().splitlines() if line.startswith(f"{path} ")]

targets, images, calibration, NOTES, DEADLY, ONCE, own = sys.argv[1:]
if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr)
    sources = read_targets(targets).sources
    with ProcessPoolExecutor(2) if own == "own" else executor_of(2) as executor:
        result = run(sources, Deadly(images, calibration), executor=executor)
    here = run(sources, FolderCollection(images, calibration))
    lines = [line.split() for line in Path(NOTES).read_text().splitlines()]
    print(json.dumps({
        "failed": {Path(row["path"]).name: row["reason"] for row in result.images if row["status"] != "measured"},
        "images": [Path(path).name for path in result.images["path"]],
        "opened": [[Path(path).name, int(pid)] for path, pid in lines],
        "here": os.getpid(),
        "same": values(result, result) == values(here, result),
        "rows": len(result.spectra),
    }))
"""


@pytest.mark.parametrize("pool", ["ours", "own"])
def test_a_process_that_ends_is_replaced(field, tmp_path, pool):
    """One image kills each process that reads it, another one only the first: one fails, all others are measured.

    A pool of the user's own is lost as a whole each time. The two are so far apart that they are never at work together
    (three portions of at most three): lost with the first one, the second would end a process the second time.
    """
    script = tmp_path / "deadly.py"
    script.write_text(SCRIPT)
    paths = sorted(path.name for path in (field.folder / "images").iterdir())
    images, notes = field.folder / "images", tmp_path / "notes"
    arguments = [field.targets, images, field.calibration, notes, paths[7], paths[20], pool]
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert list(answer["failed"]) == [paths[7]]
    assert "the processes that measured it ended unexpectedly: killed" in answer["failed"][paths[7]]
    assert sorted(answer["images"]) == paths  # each one once
    assert answer["rows"] == 2 * 23
    assert answer["same"]
    pids = {pid for _, pid in answer["opened"]}
    assert answer["here"] not in pids  # nothing is measured in the process that began it
    killed = {pid for name, pid in answer["opened"] if name == paths[7]}
    assert len(killed) == 2
    assert len(pids) > 2  # of two at a time
    if pool == "ours":
        assert done.stderr.count("a process ended unexpectedly; it measured") == 3
    else:
        assert done.stderr.count("a pool of processes is lost; another one like it goes on") == 3


def test_processes_that_cannot_begin(monkeypatch, field):
    """The images are measured by the process itself."""
    monkeypatch.setattr(processes, "_begin_process", os._exit)
    sources, images = read_targets(field.targets).sources, FolderCollection(field.folder / "images")
    with executor_of(2) as executor:
        assert len(measure(sources, images, executor=executor)) == 48
    with ProcessPoolExecutor(2, initializer=os._exit, initargs=[1]) as executor:
        spectra = measure(sources, images, executor=executor)
    assert len(spectra) == 48  # no image is to blame
