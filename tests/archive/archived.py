"""What tests of the archive have in common."""

from glue_spherex.images import SpectralImage, read_record
from glue_spherex.images.archive.answers import ArchiveImage
from glue_spherex.images.archive.client import ArchiveClient
from glue_spherex.images.archive.settings import ArchiveSettings
from glue_spherex.photometry.one_image import measure_image
from glue_spherex.photometry.settings import Settings


def client_of(archive, **settings):
    """A client of a loopback archive that does not wait long."""
    quick = {"backoff_s": 0.01, "attempts": 3, "patience_s": 0.1}
    return ArchiveClient(ArchiveSettings.at(archive.url, **(quick | settings)))


def archive_image(path, archive, key):
    """What a search would say about a file."""
    record = read_record(path)
    return ArchiveImage(
        record.obs_publisher_did, record.obsid, record.detector, record.release, record.deep, record.mjd_begin,
        record.mjd_end, f"{archive.ibe}/{key}", key, record.size, record.corners, record.file_version,
    )  # fmt: skip


def fluxes(path, source, **settings):
    """The numbers that a file gives for a source, in boxes as on a full frame."""
    with SpectralImage(read_record(path)) as image:
        rows = measure_image(image, [source], Settings(**settings))
    return {name: values for name, values in rows.items() if values.dtype.kind in "fib"}
