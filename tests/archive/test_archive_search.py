import dataclasses
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from loopback import BUCKET, IBE, Answer
from loopback_services import SearchServices, csv_table, row

from glue_spherex import Source, read_targets
from glue_spherex.images.archive import IRSACollection
from glue_spherex.images.archive.answer_cache import AnswerCache
from glue_spherex.images.archive.client import ArchiveClient
from glue_spherex.images.archive.errors import (
    AnswerTooLarge,
    ArchiveBusy,
    ArchiveError,
    ArchiveStopped,
    ArchiveUnreachable,
)
from glue_spherex.images.archive.grouping import SkyCircle, circles_around
from glue_spherex.images.archive.search import search
from glue_spherex.images.archive.settings import ArchiveSettings
from glue_spherex.images.simulation.archive_services import votable

NAMES = ("spherex_qr2", "spherex_qr2_deep", "spherex_qr3", "spherex_qr3_deep")


def key_of(number, detector, release="qr2", version="l2b-v21-2025-354"):
    obsid = f"2025W51_1A_{number:04d}_1"
    return obsid, f"{release}/level2/2025W51_1A/{version}/{detector}/level2_{obsid}D{detector}_spx_{version}.fits"


@pytest.fixture
def archive(loopback):
    archive = loopback()
    archive.search = SearchServices().join(archive)
    archive.count = 0

    def add(ra, dec, detector=3, collection="spherex_qr2", half_deg=1.7, number=None, mjd=61027.0, **options):
        """An image around a place, aligned with the equator."""
        archive.count += 1
        options = {"release": collection.split("_")[1]} | options
        obsid, key = key_of(archive.count if number is None else number, detector, **options)
        dx = half_deg / np.cos(np.radians(dec))
        corners = np.array([[ra + i * dx, dec + j * half_deg] for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
        archive.search.rows.append(row(archive, key, corners, mjd, mjd + 0.001, collection, 70_000, obsid, detector))

    archive.add_row = add
    return archive


def client_of(archive, **options):
    quick = {"backoff_s": 0.01, "attempts": 2, "patience_s": 0.05}
    return ArchiveClient(ArchiveSettings.at(archive.url, **quick | options))


def ids(answer):
    return [(image.obsid[11:15], image.detector, image.collection) for image in answer.rows]


def test_images_of_a_target(archive):
    """Those that it lies on, of all collections, by time; not those that only touch the circle that was asked for."""
    archive.add_row(150.0, 2.0, mjd=61030.0)
    archive.add_row(151.0, 2.5, 4, "spherex_qr2_deep", mjd=61029.0)
    archive.add_row(150.0, 4.0, 5)
    archive.add_row(150.0, 6.0)
    answer = search([Source(150.1, 2.2)], client=client_of(archive))
    assert ids(answer) == [("0002", 4, "spherex_qr2_deep"), ("0001", 3, "spherex_qr2")]
    assert answer.megabytes == 140
    assert not answer.notes
    assert abs(answer.date - time.time()) < 600
    assert answer.requests == 6  # four collections, whether there are more, and what is newer


def test_choices(archive):
    for number, detector in enumerate((1, 2, 3, 4, 5, 6)):
        archive.add_row(150.0, 2.0, detector, NAMES[number % 4], mjd=61027.0 + number)
    client, target = client_of(archive), [Source(150.0, 2.0)]

    def found(*values, **options):
        return [image.detector for image in search(target, None, *values, client=client, **options).rows]

    assert found() == [1, 2, 3, 4, 5, 6]
    assert found(detectors=[2, 5]) == [2, 5]
    assert found(wavelength=(0.8, 0.9)) == [1]
    assert found(time=(61028.5, 61030.5)) == [3, 4]
    assert found(["qr2"]) == [1, 5]
    assert found("spherex_qr3_deep") == [4]
    assert found(release="qr3") == [3, 4]
    assert found(fields="deep") == [2, 4, 6]
    assert found(release="qr2", fields="wide") == [1, 5]
    for options, message in (
        ({"collections": ["allwise"]}, "'spherex_allwise' is no collection"),
        ({"collections": ["qr2'; DROP TABLE x"]}, "is no collection"),
        ({"release": "qr9"}, "no collection of the release 'qr9'.*allowed releases are qr2, qr3"),
        ({"fields": "south"}, "allowed are 'wide' and 'deep'"),
        ({"detectors": [7]}, "allowed are 1 to 6"),
    ):
        with pytest.raises(ValueError, match=message):
            search(target, client=client, **options)
    with pytest.raises(ArchiveError, match="no target"):
        search([], client=client)


def test_newer_collections_are_searched_too(archive):
    archive.search.collections += ("spherex_dr1", "spherex_dr1_cal")
    archive.add_row(150.0, 2.0, collection="spherex_dr1")
    assert ids(search([Source(150.0, 2.0)], client=client_of(archive))) == [("0001", 3, "spherex_dr1")]


def test_a_service_that_does_not_list_collections(archive):
    archive.add_row(150.0, 2.0)
    archive.fault("MAXREC=0", "page")
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert len(answer.rows) == 1
    assert "newer collections is not known" in answer.notes[0]


def test_the_newest_processing_is_taken(archive):
    """And the result says so; an exposure of another detector is another one."""
    archive.add_row(150.0, 2.0, number=7, collection="spherex_qr3", version="l2b-v30-2026-250")
    archive.add_row(150.0, 2.0, number=7)
    archive.add_row(150.0, 2.0, number=8, version="l2b-v22-2026-006")
    archive.add_row(150.0, 2.0, number=8, version="l2b-v21-2025-354")
    archive.add_row(150.0, 2.0, number=8, version="l2b_retry-v21-2025-365")
    archive.add_row(150.0, 2.0, number=8, detector=4)
    archive.add_row(150.0, 2.0, number=8, detector=4, version="l2b_retry-v21-2025-354")
    client = client_of(archive)
    answer = search([Source(150.0, 2.0)], client=client)
    assert sorted(ids(answer)) == [("0007", 3, "spherex_qr3"), ("0008", 3, "spherex_qr2"), ("0008", 4, "spherex_qr2")]
    versions = {"l2b-v30-2026-250", "l2b-v22-2026-006", "l2b_retry-v21-2025-354"}
    assert {image.file_version for image in answer.rows} == versions
    assert answer.notes == ["qr3 is taken instead of qr2 for images that are in both: 1."]
    older = search([Source(150.0, 2.0)], client=client, release="qr2")
    assert ("0007", 3, "spherex_qr2") in ids(older)


def test_an_answer_is_asked_for_once(archive):
    archive.add_row(150.0, 2.0)
    client = client_of(archive)
    first = search([Source(150.1, 2.2)], client=client)
    archive.add_row(150.0, 2.0, 4)
    again = search([Source(150.1, 2.2), Source(150.13, 2.2)], client=client_of(archive))
    assert (again.rows, again.date, again.requests) == (first.rows, first.date, 0)
    fresh = search([Source(150.1, 2.2)], client=client, refresh=True)
    assert (len(fresh.rows), fresh.requests) == (2, 6)
    assert fresh.date > first.date
    assert search([Source(150.1, 2.2)], client=client_of(archive, answer_days=0.0)).requests == 6


def test_a_wider_answer_serves_a_narrower_question(archive):
    archive.add_row(150.0, 2.0)
    client = client_of(archive)
    archive.add_row(152.5, 2.0)
    search([Source(149.6, 2.0), Source(150.4, 2.0)], client=client)
    assert search([Source(150.0, 2.1)], client=client).requests == 0
    assert search([Source(153.0, 2.1)], client=client).requests == 5  # elsewhere; the collections are known


def test_offline_with_an_older_answer(archive):
    archive.add_row(150.0, 2.0)
    rows = search([Source(150.0, 2.0)], client=client_of(archive)).rows
    archive.stop()
    archive.stop = lambda: None
    answer = search([Source(150.0, 2.0)], client=client_of(archive), refresh=True)
    assert answer.rows == rows
    today = time.strftime("%Y-%m-%d", time.gmtime(answer.date))
    (note,) = answer.notes
    assert note.startswith(f"the archive was last asked on {today}; asking again failed: ")
    with pytest.raises(ArchiveUnreachable, match=r"4 of 4 searches failed.* cannot be reached"):
        search([Source(50.0, 2.0)], client=client_of(archive))


@pytest.mark.parametrize("kind", ["page", "cut", "status"])
def test_table_access_when_simple_access_fails(archive, kind):
    archive.add_row(150.0, 2.0)
    archive.fault("COLLECTION=spherex_qr2&", kind, after=50)
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert len(answer.rows) == 1
    (note,) = answer.notes
    assert note.startswith("TAP was asked, because SIA2 failed: ")


def test_images_that_simple_access_does_not_know_yet(archive):
    """It lags behind by a day. The newest image of each collection counts, not that of all."""
    archive.add_row(150.0, 2.0, mjd=61027.0)
    archive.add_row(150.0, 2.0, mjd=61200.0)
    archive.add_row(150.0, 2.0, mjd=61100.0, collection="spherex_qr3")
    archive.add_row(150.0, 2.0, mjd=61150.0, collection="spherex_qr3")
    archive.add_row(150.0, 2.0, mjd=61300.0, collection="spherex_qr3_deep")
    archive.add_row(153.5, 2.0, mjd=61201.0)  # the target is not on it
    archive.search.knows_until = 61110.0
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert [image.mjd_begin for image in answer.rows] == [61027.0, 61100.0, 61150.0, 61200.0, 61300.0]
    assert answer.notes == ["images that SIA2 does not know, but TAP: 3."]
    assert answer.requests == 6
    kept = search([Source(150.0, 2.0)], client=client_of(archive))
    assert (kept.rows, kept.requests) == (answer.rows, 0)


def test_simple_access_that_knows_nothing(archive):
    archive.add_row(150.0, 2.0)
    archive.search.knows_until = 0.0
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert len(answer.rows) == 1
    assert answer.notes == ["images that SIA2 does not know, but TAP: 1."]
    assert search([Source(150.0, 2.0)], client=client_of(archive)).rows == answer.rows


def test_that_there_is_nothing_is_kept_only_if_both_services_say_so(archive):
    archive.add_row(150.0, 2.0)
    archive.search.knows_until = 0.0
    archive.fault("/TAP", "status", status=400, times=1)
    nothing = search([Source(150.0, 2.0)], client=client_of(archive))
    assert not nothing.rows
    (note,) = nothing.notes
    assert note.startswith("SIA2 may lag behind by a day, and TAP cannot be asked for newer images: ")
    archive.search.knows_until = 1e9
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert (len(answer.rows), answer.notes, answer.requests) == (1, [], 5)
    assert search([Source(150.0, 2.0)], client=client_of(archive)).requests == 0  # both know no deep image


def test_images_that_may_not_be_all_are_asked_for_again(archive):
    """As soon as both services can be asked; until then the kept ones serve."""
    archive.add_row(150.0, 2.0)
    archive.add_row(150.0, 2.0, mjd=61200.0)
    archive.search.knows_until = 61100.0
    archive.fault("/TAP", "status", status=400, times=1)
    answer = search([Source(150.0, 2.0)], client=client_of(archive), collections=["qr2"])
    assert (len(answer.rows), len(answer.notes), answer.requests) == (1, 1, 2)
    assert len(search([Source(150.0, 2.0)], client=client_of(archive), collections=["qr2"], ask=False).rows) == 1
    archive.fault("/SIA", "status", status=400, times=1)
    archive.fault("/TAP", "status", status=400, times=1)
    without = search([Source(150.0, 2.0)], client=client_of(archive), collections=["qr2"])
    assert without.rows == answer.rows
    assert "the archive was last asked on" in without.notes[0]
    assert len(search([Source(150.0, 2.0)], client=client_of(archive), collections=["qr2"]).rows) == 2
    assert search([Source(150.0, 2.0)], client=client_of(archive), collections=["qr2"]).requests == 0


def test_images_that_only_table_access_knows_with_unusable_ones(archive):
    """Answers from which something is left out are not kept, neither before nor after the other service was asked."""
    archive.add_row(150.0, 2.0)
    archive.add_row(150.0, 2.0)
    archive.search.rows[1]["access_url"] += "/../x"
    archive.add_row(150.0, 2.0, mjd=61200.0)
    archive.search.knows_until = 61100.0
    for requests in (6, 2):
        answer = search([Source(150.0, 2.0)], client=client_of(archive))
        assert (len(answer.rows), answer.requests) == (2, requests)
        assert [note.partition(":")[0] for note in answer.notes] == [
            "images of the answer that are left out", "images that SIA2 does not know, but TAP",
        ]  # fmt: skip


def test_an_image_in_the_folder_of_another_release_is_left_out(archive):
    archive.add_row(150.0, 2.0)
    archive.add_row(150.0, 2.0, collection="spherex_qr3", release="qr2")
    archive.add_row(150.0, 2.0, collection="spherex_qr3")
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert ids(answer) == [("0001", 3, "spherex_qr2"), ("0003", 3, "spherex_qr3")]
    assert answer.notes[0].startswith(
        "images of the answer that are left out: 1. The first: its collection is 'spherex_qr3', but its address"
    )


def test_kept_answers_name_the_server_of_today(archive, loopback):
    archive.add_row(150.0, 2.0)
    settings = ArchiveSettings.at(archive.url)
    (before,) = search([Source(150.0, 2.0)], settings).rows
    mirror = loopback()
    moved = dataclasses.replace(settings, ibe=mirror.ibe)
    answer = search([Source(150.0, 2.0)], moved)
    assert answer.requests == 0
    assert [image.access_url for image in answer.rows] == [f"{mirror.ibe}/{before.cloud}"]


def test_both_services_fail(archive):
    for path in ("/SIA", "/TAP"):
        archive.fault(path, "status", status=503)
    with pytest.raises(ArchiveBusy, match=r"^4 of 4 searches failed\. http"):
        search([Source(150.0, 2.0)], client=client_of(archive))


def test_what_came_is_kept_when_the_rest_fails(archive):
    archive.add_row(150.0, 2.0)
    archive.fault("COLLECTION=spherex_qr3_deep", "page", times=1)
    archive.fault("/TAP", "page", times=1)
    with pytest.raises(ArchiveError, match="1 of 4 searches failed; what came is kept, ask again"):
        search([Source(150.0, 2.0)], client=client_of(archive))
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert (len(answer.rows), answer.requests) == (1, 2)


def test_the_service_answers_with_csv(archive):
    archive.add_row(150.0, 2.0)
    archive.search.csv = True
    assert len(search([Source(150.0, 2.0)], client=client_of(archive)).rows) == 1
    with pytest.raises(AnswerTooLarge, match="was cut after 1 images"):
        search([Source(150.0, 2.0)], client=client_of(archive, max_rows=1), refresh=True, collections=["qr2"])


def test_rows_that_cannot_be_used_are_told(archive):
    archive.add_row(150.0, 2.0)
    archive.add_row(150.0, 2.0)
    archive.search.rows[1]["access_url"] += "/../x"
    answer = search([Source(150.0, 2.0)], client=client_of(archive))
    assert len(answer.rows) == 1
    assert answer.notes[0].startswith("images of the answer that are left out: 1. The first: its address")
    archive.search.rows[0]["access_url"] += "/../x"
    with pytest.raises(ArchiveError, match="none of the 2 images of the answer can be used"):
        search([Source(150.0, 2.0)], client=client_of(archive), refresh=True, collections=["qr2"], cache=no_cache())


def no_cache():
    class NoCache(AnswerCache):
        def answer(self, *values):
            return None

    return NoCache()


def test_a_thousand_targets_in_few_requests(archive):
    """At most ten per square degree that is covered, and every image that the targets need."""
    rng = np.random.default_rng(3)
    targets = [Source(150 + x / np.cos(np.radians(2.2)), 2.2 + y) for x, y in rng.uniform(-0.5, 0.5, (1000, 2))]
    for x, y in rng.uniform(-3, 3, (60, 2)):
        archive.add_row(150 + x, 2.2 + y)
    answer = search(targets, client=client_of(archive))
    assert answer.requests <= 10
    assert 20 < len(answer.rows) < 60
    single = [search([target], client=client_of(archive), cache=no_cache()) for target in targets[:5]]
    assert {image for one in single for image in one.rows} <= set(answer.rows)


def test_targets_all_over_the_sky(archive):
    """Each circle is one request to Table Access; targets that are near each other share one."""
    rng = np.random.default_rng(4)
    places = [(360 * u, np.degrees(np.arcsin(2 * v - 1))) for u, v in rng.uniform(0, 1, (30, 2))]
    targets = [Source(ra, dec + shift) for ra, dec in places for shift in (-0.01, 0, 0.01)]
    for ra, dec in places:
        archive.add_row(ra, dec, half_deg=0.5)
    answer = search(targets, client=client_of(archive))
    assert len(answer.rows) == 30
    assert answer.requests <= 31


def test_a_service_that_always_fails_is_not_asked_for_ever(archive):
    targets = [Source(12.0 * k, 0.0) for k in range(20)]
    for target in targets:
        archive.add_row(target.ra, 0.0)
    archive.fault("/TAP", "page")
    client = client_of(archive, at_once=1)
    assert len(search(targets, client=client, collections=["qr2"]).rows) == 20
    assert sum(seen.path == "/TAP/sync" for seen in archive.requests) == 5


def test_too_many_images_for_one_answer(archive):
    """The question is split; if that cannot be done, nothing is measured silently on a part of the images."""
    targets = [Source(149.5, 2.0), Source(150.5, 2.0)]
    for ra in (149.5, 150.5):
        for _ in range(4):
            archive.add_row(ra, 2.0, half_deg=0.3)
    client = client_of(archive, max_rows=5)
    assert len(search(targets, client=client).rows) == 8
    with pytest.raises(AnswerTooLarge, match="was cut after 3 images"):
        search(targets[:1], client=client_of(archive, max_rows=3), refresh=True, collections=["qr2"])


def test_cancelled(archive):
    archive.add_row(150.0, 2.0)
    stop = threading.Event()
    archive.fault("/SIA", "status", status=429, retry_after=100)
    with pytest.raises(ArchiveStopped, match="cancelled"):
        search([Source(150.0, 2.0)], client=client_of(archive), cancelled=lambda: bool(archive.requests) or stop.set())


def test_progress(archive):
    archive.add_row(150.0, 2.0)
    seen = []
    search([Source(150.0, 2.0)], client=client_of(archive), progress=lambda *step: seen.append(step))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_moving_targets_and_companions(archive):
    """A star is looked for where it is now; no image is looked for because of a companion."""
    archive.add_row(150.0, 2.0, half_deg=0.2)
    star = Source(150.0, 2.0 - 0.25, pmdec=10_000.0, ref_epoch=1926.0)
    assert len(search([star, Source(10.0, 2.0, companion=True)], client=client_of(archive)).rows) == 1
    assert len(archive.requests) == 6
    assert not search([Source(star.ra, star.dec)], client=client_of(archive), cache=no_cache()).rows


def million_rows():
    return votable([]).replace(b"<TABLEDATA>", b"<TABLEDATA>" + b"<TR><TD/></TR>" * 1_000_000)


def entity_bomb():
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi"))
    bomb = f'<!DOCTYPE x [<!ENTITY a "ha">{entities}]>'.encode()
    return votable([], text="INFO").replace(b"?>", b"?>" + bomb, 1).replace(b"INFO</INFO>", b"&i;</INFO>")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (million_rows, AnswerTooLarge, "the answer has 1000000 rows; at most 200000 are accepted"),
        (lambda: csv_table([]) + b"1,2\n" * 1_000_000, AnswerTooLarge, "1000000 rows; at most 200000"),
        (lambda: csv_table([]) + b",{" * 1_000_000, ArchiveError, "line 2 of the answer has 2000000 characters"),
        (entity_bomb, ArchiveError, "a document type"),
    ],
    ids=["votable", "csv", "line", "entities"],
)
def test_harmful_answers_are_refused(archive, body, kind, message):
    body = body()
    for path in ("/SIA", "/TAP/sync"):
        archive.services[path] = lambda question: Answer(body)
    with pytest.raises(kind, match=message):
        search([Source(150.0, 2.0)], client=client_of(archive), collections=["qr2"])
    assert any(seen.path == "/SIA" and seen.sent == len(body) for seen in archive.requests)


HARMFUL = [
    lambda key: key.replace("/level2/", "/../../level2/"),
    lambda key: key.replace("level2_", "..%2f..%2flevel2_"),
    lambda key: key.replace(".fits", "/../../../../escaped.fits"),
    lambda key: key.replace("level2_", "a" * 100_000),
    lambda key: "a" * 5000 + "/" + key,
    lambda key: key + "%00.fits",
    lambda key: "../" * 8 + key,
]


@pytest.mark.parametrize("number", range(len(HARMFUL)))
@pytest.mark.parametrize("column", ["access_url", "cloud_access"])
def test_names_that_lead_elsewhere(loopback, simulated, tmp_path, number, column):
    """From the answer to the file: nothing is asked for but the images that there are, or written but into the store.

    What stands before the path of an image is not followed, so that it does not matter.
    """
    field = simulated("field", images=2, size=40, detectors=(3,))
    archive = loopback()
    services = SearchServices().join(archive)
    archive.add_calibration(field.calibration)
    bad, good = (archive.add_image(path) for path in field.images)
    for key in (bad, good):
        services.add_image(archive, key)
    services.rows[0][column] = services.rows[0][column].replace(bad, HARMFUL[number](bad))
    images = IRSACollection(store=tmp_path / "store", client=client_of(archive))
    found = images.find(read_targets(field.targets).sources)
    expected = [good, bad] if number == 6 else [good]
    assert {match.record.obsid for match in found} == {Path(key).name[7:24] for key in expected}
    asked = {seen.path.removeprefix(IBE).removeprefix(BUCKET) for seen in archive.requests if "level2" in seen.path}
    assert asked == set(expected)
    written = [path for path in tmp_path.rglob("*.fits") if not {"calibration", "psf"} & {*path.parts}]
    assert len(written) == len(expected)
    assert all(path.is_relative_to(images.store.images) for path in written)
    if number != 6:
        (note,) = images.notes
        assert note.startswith("images of the answer that are left out: 1. The first: ")
        assert len(note) < 600


def test_a_damaged_cache_is_done_without(archive, tmp_path):
    archive.add_row(150.0, 2.0)
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"not a database" * 100)
    answer = search([Source(150.0, 2.0)], client=client_of(archive), cache=AnswerCache(path))
    assert len(answer.rows) == 1
    assert any("cannot be used" in note and str(path) in note for note in answer.notes)


def test_a_cache_of_another_version_is_forgotten(archive, tmp_path):
    archive.add_row(150.0, 2.0)
    path = tmp_path / "answers.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE answers (other TEXT)")
        database.execute("PRAGMA user_version = 99")
    database.close()
    for requests in (6, 0):
        assert search([Source(150.0, 2.0)], client=client_of(archive), cache=AnswerCache(path)).requests == requests


def test_circles_hold_their_targets():
    rng = np.random.default_rng(5)
    for ra, dec, spread in ((0, 0, 0.001), (359.9, -30, 2), (10, 89.5, 1), (200, 40, 60)):
        targets = [Source((ra + x) % 360, np.clip(dec + y, -90, 90)) for x, y in rng.normal(0, spread, (200, 2))]
        circles = circles_around(targets)
        for target in targets:
            point = SkyCircle(target.ra, target.dec, 0.04)
            assert any(circle.holds(point) for circle in circles)
        assert all(0.1 <= circle.radius <= 1.55 for circle in circles)
    assert len(circles_around([Source(359.9, 0.0), Source(0.1, 0.0)])) == 1
    assert len(circles_around([Source(0.0, 90.0), Source(180.0, 89.5)])) == 1
