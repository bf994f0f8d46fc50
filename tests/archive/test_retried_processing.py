"""Images that the archive has processed once more, which has ``_retry`` in the name of their files."""

import numpy as np
from loopback_services import SearchServices

from glue_spherex import measure, read_targets
from glue_spherex.images.archive import ArchiveSettings, CutoutStore, IRSACollection


def test_they_are_measured_as_others(simulated, loopback, tmp_path):
    field = simulated("field", images=2, size=40, detectors=(3,))
    sources, spectra = read_targets(field.targets).sources[:1], []
    for version in ("l2b-", "l2b_retry-"):
        archive = loopback()
        services = SearchServices().join(archive)
        archive.add_calibration(field.calibration)
        for path in field.images:
            key = archive.add_image(path).replace("l2b-", version)
            services.add_image(archive, archive.add(key, path))
        store = CutoutStore(tmp_path / version)
        images = IRSACollection(ArchiveSettings.at(archive.url), store)
        spectra.append(measure(sources, images))
        names = [path.name for path in store.images.rglob("*.fits")]
        assert len(names) == len(spectra[-1]) > 0
        assert all(f"_spx_{version}v" in name for name in names)
        assert all(match.record.file_version.startswith(version) for match in images.find(sources))
    np.testing.assert_array_equal(*(table["flux"] for table in spectra))
