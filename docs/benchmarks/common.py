"""What the benchmark scripts share: the machine, and simulated fields that are made once."""

import os
import platform
import tempfile
from pathlib import Path

import numpy as np


def describe_machine():
    """One line about the machine and the versions."""
    import astropy
    import scipy

    import glue_spherex

    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    print(
        f"# {model}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, numpy "
        f"{np.__version__}, scipy {scipy.__version__}, astropy {astropy.__version__}, "
        f"glue-spherex {glue_spherex.__version__}"
    )


def one_thread():
    """Keep numpy's libraries on one thread; call it before numpy is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def field(name, **options):
    """A simulated field in the folder for temporary files, made when it is not there yet."""
    from glue_spherex import simulate

    folder = Path(os.environ.get("SPHEREX_BENCHMARKS", Path(tempfile.gettempdir()) / "glue-spherex-benchmarks")) / name
    done = folder / "done"
    if not done.exists():
        simulate(folder, **options)
        done.touch()
    return folder


def with_truth(spectra, folder):
    """Columns of the truth in the order of the rows of a spectrum table."""
    from astropy.table import Table

    truth = Table.read(folder / "truth.ecsv")
    place = {(str(row["label"]), int(row["exposure_id"])): number for number, row in enumerate(truth)}
    return truth[[place[str(a), int(b)] for a, b in zip(spectra["label"], spectra["lvf_id"])]]


def nmad(values):
    """1.4826 × the median absolute deviation."""
    return 1.4826 * np.median(np.abs(values - np.median(values)))
