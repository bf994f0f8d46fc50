import json
import os

import numpy as np
import pytest

pytest.importorskip("glue")

from glue.core import Data, DataCollection
from glue.core.component import CategoricalComponent

from glue_spherex import Flag, __version__
from glue_spherex.model import CHANNELS
from glue_spherex.model.spectrum import COLUMNS, new_table
from glue_spherex.plugin.check_up import check_up, clean_points_per_channel, distance_from_neighbours
from glue_spherex.plugin.check_up_position import neighbours, position_line
from glue_spherex.plugin.check_up_report import ReportError, report_html, report_text, write_report
from glue_spherex.plugin.check_up_state import finding_subset
from glue_spherex.plugin.finding import LEVELS, TITLES, Finding
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.source_spectrum import SourceSpectrum

N = len(CHANNELS)
BAD, FAILED, SOURCE, HOT = (int(Flag[name]) for name in ("CONTAINS_BAD_PIXEL", "FIT_ERROR", "SOURCE", "HOT"))


def columns_of(n_sources=1):
    """A point in each channel, a flux that rises with wavelength, nothing wrong; further sources 20″ to the North."""
    n = N * n_sources
    rng = np.random.default_rng(2)
    source = np.repeat(np.arange(n_sources), N)
    wavelength = np.tile([channel.wavelength_um for channel in CHANNELS], n_sources)
    kinds = {"float": np.zeros(n), "int": np.zeros(n, dtype=int), "bool": np.zeros(n, dtype=bool)}
    columns = {spec.name: kinds.get(spec.dtype, np.full(n, "x")) for spec in COLUMNS}
    return columns | {
        "wavelength": wavelength,
        "det_id": np.tile([channel.detector for channel in CHANNELS], n_sources),
        "flux": 10_000 + 1000 * wavelength + rng.normal(0, 10, n),
        "flux_err": np.full(n, 10.0),
        "flux_bkg": rng.uniform(0.2, 0.3, n),
        "flux_bkg_err": np.full(n, 0.002),
        "flags": np.full(n, SOURCE),
        "fit_ql": rng.normal(0.8, 0.05, n),
        "n_bkg_pixels": np.full(n, 150),
        "mjd": 60800.0 + np.tile(np.arange(N), n_sources),
        "source_id": source,
        "label": np.array([f"star {k}" for k in range(n_sources)])[source],
        "ra": np.full(n, 109.0),
        "dec": -6.0 + source * 20 / 3600,
    }


def spectra(columns=None, label="spectra", n_sources=1, **changed):
    data = spectrum_data(new_table((columns or columns_of(n_sources)) | changed))
    data.label = label
    return data


def without(data, *names):
    """The same spectrum without some columns, as other programs write them."""
    bare = Data(label="bare")
    for cid in data.main_components:
        if cid.label not in names:
            bare.add_component(data.get_component(cid), cid.label)
    bare.meta["spherex"] = {"kind": "spectrum", "columns": [cid.label for cid in bare.main_components]}
    return bare


def line(data, key, *args, **options):
    return next(finding for finding in check_up(data, *args, **options) if finding.key == key)


def targets(east=0.0, north=0.0, error=0.01, label="star 0"):
    data = Data(
        label="targets",
        source_id=[0],
        ra=[109.0],
        dec=[-6.0],
        offset_east=[east],
        offset_north=[north],
        offset_east_err=[error],
        offset_north_err=[error],
    )
    data.add_component(CategoricalComponent(np.array([label])), "label")
    data.meta["spherex"] = {"kind": "targets", "columns": [cid.label for cid in data.main_components]}
    return data


def test_nothing_wrong():
    findings = check_up(spectra(), others=[targets()])
    levels = {finding.key: finding.level for finding in findings}
    assert set(levels) == set(TITLES)
    assert levels.pop("neighbours") == "note"  # one source alone tells nothing of others
    assert set(levels.values()) == {"good"}
    assert all(finding.text.endswith(".") and "\n" not in finding.text for finding in findings)
    assert all(finding.word in LEVELS.values() and finding.title for finding in findings)


# -- flags ------------------------------------------------------------------------------------------------------------


def test_flags_are_counted():
    flags = np.full(N, SOURCE)
    flags[[3, 50]] = FAILED
    flags[[3, 7, 8, 9]] |= BAD | HOT
    flags[20] |= 1 << 30
    data = spectra(flags=flags)
    failed = line(data, "fit_error")
    assert (failed.level, failed.rows.tolist(), failed.flag_mask) == ("note", [3, 50], FAILED)
    assert failed.text == "FIT_ERROR on 2 of 102 (2 %): the fit failed, do not use."
    bad = line(data, "bad_pixels")
    assert (bad.level, bad.rows.tolist(), bad.flag_mask) == ("note", [3, 7, 8, 9], BAD)
    every = line(data, "flags")
    assert every.rows.tolist() == [3, 7, 8, 9, 20]
    assert "HOT 4, BIT_30 1" in every.text
    assert every.flag_mask == HOT | 1 << 30
    assert line(data, "points").text.startswith("102 points; 96 of 102 (94 %) measured and without a flag")


@pytest.mark.parametrize(("n_failed", "level"), [(1, "note"), (20, "warn"), (60, "bad")])
def test_failed_fits(n_failed, level):
    assert line(spectra(flags=np.where(np.arange(N) < n_failed, FAILED, 0)), "fit_error").level == level


def test_many_bad_pixels():
    assert line(spectra(flags=np.where(np.arange(N) % 2, BAD, 0)), "bad_pixels").level == "warn"


def test_bits_without_their_summary():
    """Other programs do not set CONTAINS_BAD_PIXEL: the bits themselves are looked at."""
    found = line(spectra(flags=np.where(np.arange(N) < 5, HOT, SOURCE)), "bad_pixels")
    assert found.text.startswith("Bits ignored in the fit on 5 of 102")
    assert found.rows.tolist() == [0, 1, 2, 3, 4]


def test_the_worst_flagged_point_has_the_worst_fit():
    flags, quality = np.full(N, SOURCE), np.full(N, 0.8)
    flags[[10, 11, 12]], quality[11], quality[40] = BAD, 4.0, 9.0
    assert line(spectra(flags=flags, fit_ql=quality), "bad_pixels").worst_row == 11
    assert line(spectra(flags=flags, fit_ql=np.full(N, np.nan)), "bad_pixels").worst_row == 10


# -- the fit ----------------------------------------------------------------------------------------------------------


def test_one_poor_fit():
    quality = np.full(N, 0.8)
    quality[40] = 31.2
    found = line(spectra(fit_ql=quality), "fit_quality")
    assert (found.level, found.rows.tolist(), found.worst_row) == ("warn", [40], 40)
    quality[40] = 2.0
    assert line(spectra(fit_ql=quality), "fit_quality").level == "note"
    assert found.text == (
        "fit_ql: median 0.80 (0.80 is perfect), 1 of 102 (1.0 %) above 1.5 (detector 3); "
        "worst 31.2 at 1.905 µm, detector 3."
    )


@pytest.mark.parametrize(("n_poor", "level"), [(0, "good"), (3, "note"), (20, "warn"), (40, "bad"), (80, "bad")])
def test_many_poor_fits(n_poor, level):
    assert line(spectra(fit_ql=np.where(np.arange(N) < n_poor, 2.5, 0.8)), "fit_quality").level == level


def test_one_point_apart_from_its_neighbours():
    columns = columns_of()
    columns["flux"] = columns["flux"].copy()
    columns["flux"][30] += 400.0  # 40 errors
    data = spectra(columns)
    found = line(data, "apart")
    assert (found.level, found.rows.tolist(), found.worst_row) == ("warn", [30], 30)
    distance = distance_from_neighbours(SourceSpectrum.of(data))
    assert 400 / np.hypot(10, 25) < distance[30] < 45  # the scatter of the others counts as well
    assert np.delete(distance, 30).max() < 5


def test_a_steep_spectrum_is_not_apart():
    wavelength = columns_of()["wavelength"]
    assert line(spectra(flux=1e6 * wavelength, flux_err=np.full(N, 1.0)), "apart").level == "good"


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_not_apart(seed):
    noise = np.random.default_rng(seed).normal(0, 10, N)
    assert line(spectra(flux=1000 + noise), "apart").level == "good"


# -- background -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flux", "level"), [(1e5, "good"), (3000.0, "note"), (100.0, "warn")])
def test_background_against_flux(flux, level):
    """0.25 MJy/sr over a circle of 2.5 px: 0.25 × 23.504 µJy/arcsec² × (π 2.5² × 6.15² arcsec²) = 4364 µJy."""
    found = line(spectra(flux=np.full(N, flux), flux_bkg=np.full(N, 0.25)), "background")
    ratio = 4364 / flux
    assert found.level == level
    assert f"{ratio:.2g} × the flux" in found.text or f"{ratio:.0f} × the flux" in found.text


def test_background_jumps_are_found():
    background = columns_of()["flux_bkg"].copy()
    background[25] = 1.5
    found = line(spectra(flux_bkg=background), "background_jumps")
    assert (found.level, found.rows.tolist(), found.worst_row) == ("warn", [25], 25)
    assert "1.5 MJy/sr" in found.text


def test_full_background_boxes():
    pixels = np.full(N, 80)
    assert line(spectra(n_bkg_pixels=pixels), "background_pixels").level == "note"
    pixels[[4, 9]] = 20, 12
    found = line(spectra(n_bkg_pixels=pixels), "background_pixels")
    assert (found.level, found.rows.tolist(), found.worst_row) == ("warn", [4, 9], 9)
    assert "80 of 225 pixels" in found.text
    assert "2 points with fewer than 30" in found.text


def test_the_box_of_the_measurement_counts():
    data = spectra()
    data.meta["glue_spherex"] = {"settings": {"background_box": 21}}
    assert "21 × 21 px" in line(data, "background_pixels").text
    for odd in ("none", {"settings": None}, {"settings": {"background_box": "wide"}}):
        data.meta["glue_spherex"] = odd
        assert "15 × 15 px" in line(data, "background_pixels").text


# -- position and neighbours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("east", "north", "error", "level", "words"),
    [
        (0.01, 0.01, 0.01, "good", "where the position is"),
        (0.0, 0.0, 0.01, "good", "where the position is"),
        (0.3, 0.0, 0.01, "good", "0.30″ ± 0.01″ (0.05 px) from the position, to the East: too little"),
        (0.0, -1.2, 0.1, "warn", "to the South: check the coordinates"),
        (-3.0, 3.0, 0.1, "bad", "4.24″ ± 0.10″ (0.69 px) from the position, to the North-West"),
        (3.0, 0.0, 4.0, "note", "too uncertain to judge"),
    ],
)
def test_position(east, north, error, level, words):
    found = line(spectra(), "position", others=[targets(east, north, error)])
    assert found.level == level
    assert words in found.text


def test_position_is_not_known():
    stranger = targets(label="someone else")
    stranger.update_components({stranger.id["ra"]: np.array([10.0])})
    for others in ([], [stranger], [targets(east=np.nan)], [targets(error=0.0)], [spectra(label="other")]):
        found = line(spectra(), "position", others=others)
        assert found.level == "note"
        assert "was not checked" in found.text


def test_neighbours_in_the_table_were_fitted():
    found = line(spectra(n_sources=2), "neighbours")
    assert (found.level, found.text) == (
        "note",
        "1 source within 184″: star 1 at 20.0″ (3.3 px). The close ones were measured with it.",
    )


def test_neighbours_in_a_catalogue():
    north = np.array([0.3, 12.3, 100.0, 400.0]) / 3600
    catalogue = Data(label="Gaia", RA=np.full(4, 109.0), DEC=-6.0 + north)
    catalogue.add_component(CategoricalComponent(np.array(["itself", "close", "<b>far</b>", "too far"])), "designation")
    data = spectra()
    found = line(data, "neighbours", others=[data, catalogue, Data(label="no positions", x=[1.0])])
    assert found.level == "warn"
    assert found.text == (
        "2 sources within 184″: close (Gaia) at 12.3″ (2.0 px), <b>far</b> (Gaia) at 100.0″ (16.3 px). "
        "Not fitted with it, but close: close (Gaia)."
    )


def test_a_moving_source_is_not_its_own_neighbour():
    """A target list gives the place at its epoch; the row of the spectrum may be 20″ away."""
    listed = targets()
    listed.update_components({listed.id["dec"]: np.array([-6.0 + 20 / 3600])})
    assert "Neighbours are not known" in line(spectra(), "neighbours", others=[listed]).text


def test_neighbours_across_the_meridian():
    catalogue = Data(label="list", ra=[359.999], dec=[0.0])
    data = spectra(ra=np.full(N, 0.001), dec=np.zeros(N))
    assert "7.2″" in line(data, "neighbours", others=[catalogue]).text


# -- what is missing --------------------------------------------------------------------------------------------------


def test_missing_detectors_and_channels():
    columns = columns_of()
    flux, flags = columns["flux"].copy(), columns["flags"].copy()
    flux[columns["det_id"] == 3] = np.nan
    flags[0] |= HOT
    data = spectra(columns, flux=flux, flags=flags)
    found = line(data, "detectors")
    assert (found.level, "No point of detector 3 (1.63-2.43 µm)" in found.text) == ("warn", True)
    found = line(data, "channels")
    assert (found.level, found.text) == (
        "note",
        "18 of 102 (18 %) channels have no clean point (at 0.75, 1.66, 1.70, 1.74, 1.77, 1.82, … µm).",
    )
    counts = clean_points_per_channel(SourceSpectrum.of(data))
    assert counts.sum() == N - 18
    assert counts[0] == 0
    assert (line(data, "points").level, line(data, "points").rows.size) == ("note", 17)


def test_dates():
    mjd = np.full(N, 60797.25)
    assert line(spectra(mjd=mjd), "dates").text == "Observed on 1 day, 2025-05-02 to 2025-05-02."
    mjd[50:] = 60997.25  # 200 days later
    assert line(spectra(mjd=mjd), "dates").text == (
        "Observed on 2 days, 2025-05-02 to 2025-11-18; longest gap 200 d, from 2025-05-02 to 2025-11-18."
    )


# -- which rows -------------------------------------------------------------------------------------------------------


def test_one_source_of_several():
    flags = np.full(2 * N, SOURCE)
    flags[N + 5] = FAILED
    data = spectra(n_sources=2, flags=flags)
    assert line(data, "fit_error").rows is None
    for source in (1, "star 1"):
        assert line(data, "fit_error", source).rows.tolist() == [N + 5]
    with pytest.raises(ValueError, match=r"'spectra' has no source 7; its sources are 0 \(star 0\), 1 \(star 1\)"):
        check_up(data, 7)


def test_row_filter():
    data = spectra()
    assert line(data, "points", row_filter=data["det_id"] == 2).text.startswith("17 points")
    assert check_up(data, row_filter=np.zeros(N, dtype=bool))[0].text == "There are no points to judge."
    with pytest.raises(ValueError, match=r"row_filter has the shape \(3,\); 'spectra' has 102 rows"):
        check_up(data, row_filter=[True, False, True])


@pytest.mark.parametrize("n", [1, 2, 6, 8])
def test_few_rows(n):
    columns = {name: values[:n] for name, values in columns_of().items()}
    assert {finding.key for finding in check_up(spectra(columns))} == set(TITLES)


def test_no_rows_and_images():
    with pytest.raises(ValueError, match="'spectra' has no rows"):
        check_up(spectra({name: values[:0] for name, values in columns_of().items()}))
    with pytest.raises(ValueError, match="'image' is no table of measurements"):
        check_up(Data(label="image", flux=np.ones((3, 3))))


def test_nothing_was_measured():
    nothing = np.full(N, np.nan)
    data = spectra(
        **dict.fromkeys(("flux", "wavelength", "flux_err", "flux_bkg", "fit_ql", "mjd", "ra", "dec"), nothing)
    )
    levels = {finding.key: finding.level for finding in check_up(data)}
    assert levels["points"] == "bad"
    assert levels["detectors"] == "warn"


def test_infinite_errors():
    error = np.full(N, np.inf)
    assert line(spectra(flux_err=error, flux_bkg_err=error), "points").level == "bad"


@pytest.mark.parametrize("name", [spec.name for spec in COLUMNS])
def test_a_column_is_missing(name):
    findings = check_up(without(spectra(), name))
    assert {finding.key for finding in findings} <= set(TITLES)


def test_a_table_with_wavelength_and_flux_alone():
    data = without(spectra(), *(spec.name for spec in COLUMNS if spec.name not in ("wavelength", "flux")))
    findings = {finding.key: finding for finding in check_up(data)}
    assert {finding.level for finding in findings.values()} == {"good", "note"}
    for key, words in {
        "flags": "no column flags",
        "fit_quality": "no values of fit_ql",
        "background": "cannot be judged",
        "background_jumps": "flux_bkg is missing",
        "background_pixels": "no n_bkg_pixels",
        "detectors": "no det_id",
        "dates": "no mjd",
        "apart": "no flux_err",
        "neighbours": "no ra and dec",
    }.items():
        assert words in findings[key].text, key


def test_other_units_and_renamed_columns():
    data = spectra()
    whole = [finding.text for finding in check_up(data)]
    cid = data.id["flux"]
    data.get_component(cid).units = "mJy"
    data.update_components({cid: data["flux"] / 1000})
    error = data.id["flux_err"]
    data.get_component(error).units = "Jy"
    data.update_components({error: data["flux_err"] / 1e6})
    cid.label = "brightness"
    data.id["flags"].label = "quality"
    assert [finding.text for finding in check_up(data)] == whole
    data.get_component(cid).units = "mag"
    assert "unit that is not understood" in line(data, "background").text


def test_missing_flags_of_other_readers():
    """-1, which some readers write for a missing value, is no flag."""
    assert line(spectra(flags=np.full(N, -1)), "fit_error").level == "good"


# -- subsets and reports ----------------------------------------------------------------------------------------------


def test_subsets_of_lines():
    flags, quality = np.full(2 * N, SOURCE), np.full(2 * N, 0.8)
    flags[[3, N + 5]] = BAD
    quality[7] = 5.0
    data = spectra(n_sources=2, flags=flags, fit_ql=quality)
    collection = DataCollection([data])
    group = finding_subset(collection, data, line(data, "bad_pixels", 1), 1)
    assert (group.label, np.flatnonzero(group.subsets[0].to_mask()).tolist()) == ("Bad pixels", [N + 5])
    group = finding_subset(collection, data, line(data, "fit_quality", 0), 0, "poor")
    assert (group.label, np.flatnonzero(group.subsets[0].to_mask()).tolist()) == ("poor", [7])
    with pytest.raises(ValueError, match="line on dates concerns no rows"):
        finding_subset(collection, data, line(data, "dates"))


@pytest.mark.parametrize("ids", [["b", "a"], [2.5, 1.5], np.array([2**63 + 1, 1], np.uint64)])
def test_subset_of_a_source_without_a_number(ids):
    """The numbers that such sources are given are not in the column."""
    n = 6
    data = Data(label="others", source_id=np.repeat(ids, n), flags=np.full(2 * n, HOT), wavelength=np.arange(12.0) + 1)
    data.add_component(np.ones(12), "flux")
    collection = DataCollection([data])
    group = finding_subset(collection, data, line(data, "bad_pixels", 1), 1)
    assert np.flatnonzero(group.subsets[0].to_mask()).tolist() == list(range(n, 2 * n))


def test_images_and_positions_in_other_units_are_no_neighbours():
    """The centre of an image may lie anywhere near the source."""
    data = spectra()
    place = {"ra": data["ra"][:1] + 1e-3, "dec": data["dec"][:1]}
    images = Data(label="images", **place)
    images.meta["spherex"] = {"kind": "images"}
    hours = Data(label="hours", **place)
    hours.get_component("ra").units = "hourangle"
    assert neighbours(SourceSpectrum.of(data), [images, hours], 60) == ([], 0)
    found, n_catalogues = neighbours(SourceSpectrum.of(data), [Data(label="degrees", **place)], 60)
    assert (len(found), n_catalogues) == (1, 1)


def test_chance_rarely_makes_an_offset():
    """1000 measured offsets of Gaussian errors in both coordinates: 2.7 are expected beyond the limit."""
    spectrum = SourceSpectrum.of(spectra())
    offsets = np.random.default_rng(3).normal(0, 1.0, (1000, 2))
    lines = [position_line(spectrum, [targets(*offset, error=1.0)]) for offset in offsets]
    assert sum(finding.level == "bad" for finding in lines) <= 6


def test_jumps_of_a_few_points_cannot_be_judged():
    data = spectra()
    finding = line(data, "background_jumps", row_filter=np.arange(N) % 17 < 5)
    assert (finding.level, finding.rows) == ("note", None)
    assert "no detector has 6 points" in finding.text
    assert line(data, "background_jumps", row_filter=np.arange(N) % 17 < 6).level == "good"


@pytest.mark.parametrize("n", [7, 10, 20, 100])
def test_points_of_a_flat_spectrum_rarely_stand_apart(n):
    """20,000 points at random wavelengths, errors that differ by a factor of 1.6; at the ends the line is uncertain."""
    rng = np.random.default_rng(4)
    size = 20000 // n * n
    error = np.exp(rng.normal(0, 0.5, size))
    data = Data(label="flat", wavelength=rng.uniform(1, 2, size), flux=100 + error * rng.normal(size=size))
    data.add_component(error, "flux_err")
    data.add_component(np.arange(size) // n, "det_id")
    distance = distance_from_neighbours(SourceSpectrum.of(data))
    assert np.isfinite(distance).all()
    assert (distance > 5).sum() <= 2


def test_report(tmp_path):
    findings = [Finding("position", "warn", "1.2″ off & <away>."), Finding("dates", "good", "Observed.")]
    path = write_report(findings, tmp_path / "report.txt", data_label="my <data>", source_label="star & co")
    text = path.read_text(encoding="utf-8")
    assert text == report_text(findings, data_label="my <data>", source_label="star & co")
    assert text.splitlines()[0] == "Check-up of star & co, my <data>"
    assert f"by glue-spherex {__version__}." in text
    assert "Check    Position  1.2″ off & <away>." in text
    path = write_report(findings, tmp_path / "report.HTML", data_label="my <data>", source_label="star & co")
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "1.2″ off &amp; &lt;away&gt;." in page
    assert "<h1>Check-up of star &amp; co, my &lt;data&gt;</h1>" in page
    assert "<away>" not in page
    assert report_html([]).count("<tr>") == 1


def test_a_report_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "report.txt"
    path.write_text("before")
    with pytest.raises(ReportError, match=r"The report cannot be written to '.*nowhere.*report.txt': No such file"):
        write_report([], tmp_path / "nowhere" / "report.txt")
    with pytest.raises(ReportError, match="something at this place that is not a file"):
        write_report([], tmp_path)

    def full(*args, **options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(ReportError, match=r"No space left on device\. Choose another place"):
        write_report([], path)
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.txt"]


def test_findings_are_plain():
    """A script can store them."""
    lines = [{"key": f.key, "level": f.level, "text": f.text, "worst": f.worst_row} for f in check_up(spectra())]
    assert json.loads(json.dumps(lines)) == lines
