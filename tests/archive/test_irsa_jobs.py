import numpy as np
import pytest
from archived import client_of
from loopback import Answer
from loopback_jobs import JOBS, JobService, answer, description, spectra

from glue_spherex import read_spectra
from glue_spherex.cli import main
from glue_spherex.images.archive import ArchiveError, ArchiveSettings
from glue_spherex.images.archive.errors import AnswerTooLarge, ArchiveBusy, ArchiveStopped, NothingThere, NotPermitted
from glue_spherex.images.archive.irsa_job import JobAddress, file_name, job_address
from glue_spherex.jobs import fetch_irsa_job, irsa_jobs_folder

IRSA = "https://irsa.ipac.caltech.edu/api/spherex/spectrophotometry/async"
ID = "1763600000-ab12"


@pytest.fixture
def archive(loopback, monkeypatch):
    archive = loopback()
    archive.jobs = JobService(archive)
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    return archive


@pytest.fixture
def fetch(archive, tmp_path):
    def fetch(text=ID, **options):
        return fetch_irsa_job(text, tmp_path / "jobs", client=client_of(archive), **options)

    return fetch


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "result"),
    [
        (ID, ID, ""),
        (f" {IRSA}/{ID}\n", ID, ""),
        (f"{IRSA}/{ID}/", ID, ""),
        (f"<{IRSA}/{ID}/results>", ID, ""),
        (f"{IRSA}/{ID}/phase", ID, ""),
        (f"{IRSA}/{ID}/results/result", ID, "result"),
        (f"{IRSA}/{ID}/results/table-2", f"{ID}+table-2", "table-2"),
        (f"http://irsa.ipac.caltech.edu/api/spherex/spectrophotometry/async/{ID}", ID, ""),
        (f"{IRSA.replace('.edu', '.edu:443')}/{ID}#results", ID, ""),
    ],
)
def test_addresses(text, name, result):
    assert job_address(text, ArchiveSettings()) == JobAddress(f"{IRSA}/{ID}", name, result)


def test_another_address_of_the_archive():
    base = "https://irsa.ipac.caltech.edu/workspace"
    one, other = (job_address(f"{base}/{name}/spectra.xml?a=b", ArchiveSettings()) for name in "xy")
    assert not one.is_job
    assert one.url == "https://irsa.ipac.caltech.edu/workspace/x/spectra.xml?a=b"
    assert one.name.startswith("spectra_xml++")
    assert one.name != other.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the id of a job"),
        ("../../etc/passwd", "nor the id"),
        (".hidden", "nor the id"),
        ("a b", "nor the id"),
        ("x" * 121, "nor the id"),
        (f"{IRSA}/..%2F..%2Fetc", "is not the id"),
        (f"{IRSA}/%2e%2e/results/result", "is not the id"),
        (f"{IRSA}/{ID}/results/..%2fx", "is not the id"),
        (f"{IRSA}/{'x' * 5000}", "is not the id"),
        ("https://example.org/api/spherex/spectrophotometry/async/1", "no address of the archive"),
        ("http://127.0.0.1:8080/api/spherex/spectrophotometry/async/1", "no address of the archive"),
        (
            "https://user:secret@irsa.ipac.caltech.edu/api/spherex/spectrophotometry/async/1",
            "no address of the archive",
        ),
        ("file:///etc/passwd", "no address of the archive"),
        ("ftp://irsa.ipac.caltech.edu/x", "no address of the archive"),
        ("https://[::1/x", "is not an address"),
        ("https://irsa.ipac.caltech.edu:99999/x", "is not an address"),
    ],
)
def test_what_is_no_address_of_a_job(text, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        job_address(text, ArchiveSettings())
    assert len(str(caught.value)) < 700


# --- fetching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{id}", "{url}", "{url}/results/result"])
def test_spectra_of_a_job(archive, fetch, form):
    content = spectra(n_sources=3)
    url = archive.jobs.add(ID, content)
    path = fetch(form.format(id=ID, url=url))
    assert path.name.startswith(f"irsa-job-{ID}++")
    assert path.read_bytes() == content
    table = read_spectra(path)
    assert len(table) == 15
    assert list(dict.fromkeys(table["label"])) == ["star 1", "star 2", "star 3"]
    np.testing.assert_array_equal(table["flux"].to_value("uJy")[5:10], [200, 201, 202, 203, 204])
    assert [seen.path for seen in archive.requests] == [f"{JOBS}/{ID}", f"{JOBS}/{ID}/results/result"]


def test_files_of_the_usual_server_are_called_by_the_job():
    settings = ArchiveSettings()
    assert file_name(job_address(f"{IRSA}/{ID}", settings), settings) == f"irsa-job-{ID}.vot"
    assert file_name(job_address(f"{IRSA}/{ID}/results/table-2", settings), settings) == f"irsa-job-{ID}+table-2.vot"


def test_each_result_has_a_file_of_its_own(archive, loopback, fetch, tmp_path):
    """A job may be called as another one with its result, and the same on two servers."""
    base = f"{archive.url}{JOBS}"
    archive.jobs.add("abc", spectra(n_sources=1), result="2")
    archive.jobs.add("abc-2", spectra(n_sources=2))
    archive.jobs.add("2", spectra(n_sources=3))
    with pytest.raises(ArchiveError, match="nor the id of a job"):
        fetch("abc+2")
    other = loopback()
    JobService(other).add("2", spectra(n_sources=4))
    elsewhere = fetch_irsa_job("2", tmp_path / "jobs", client=client_of(other))
    found = [fetch(f"{base}/abc/results/2"), fetch("abc-2"), fetch("2"), elsewhere]
    assert len(set(found)) == 4
    assert [len(read_spectra(path)) for path in found] == [5, 10, 15, 20]


def test_what_is_here_is_not_fetched_again(archive, fetch):
    archive.jobs.add(ID, spectra())
    path = fetch()
    archive.stop()
    archive.stop = lambda: None
    assert fetch() == path  # offline
    with pytest.raises(ArchiveError, match="connected"):
        fetch(refresh=True)
    assert path.is_file()


def test_it_is_kept_with_the_users_data(archive):
    archive.jobs.add(ID, spectra())
    path = fetch_irsa_job(ID)
    assert path.parent == irsa_jobs_folder()
    assert path.parent.name == "irsa-jobs"


def test_results_may_be_elsewhere_in_the_archive_and_have_other_names(archive, fetch):
    archive.services["/workspace/x.xml"] = lambda question: answer(spectra())
    archive.jobs.add("relative", href="results/1")
    archive.services[f"{JOBS}/relative/results/1"] = lambda question: answer(spectra())
    archive.jobs.add("absolute", href="/workspace/x.xml", result="1")
    links = {"log": "results/log", "table": "/workspace/x.xml"}
    text = description("several", "COMPLETED", links).replace('mime-type="application/x-votable+xml"', "", 1)
    archive.jobs.add("several", description=text)
    for job in ("relative", "absolute", "several", f"{archive.url}/workspace/x.xml"):
        assert len(read_spectra(fetch(job))) == 10
    assert fetch(f"{archive.url}{JOBS}/several/results/table").name.startswith("irsa-job-several+table++")
    with pytest.raises(ArchiveError, match="has no result 'spectra'; it has log, table"):
        fetch(f"{archive.url}{JOBS}/several/results/spectra")


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("PENDING", "was never started"),
        ("QUEUED", "waits in the queue; try again"),
        ("EXECUTING", r"still runs; try again when it is completed \(phase EXECUTING since 2026-11-20T10:00:05"),
        ("HELD", "is held back"),
        ("SUSPENDED", "is suspended"),
        ("ABORTED", "was aborted, so it has no result; run it again"),
        ("ARCHIVED", ".*its result was deleted"),
        ("ERROR", r"has failed: no image holds this place \(phase ERROR\)"),
        ("UNKNOWN", ".*look at it"),
        ("", ".*look at it"),
        ("<b/>", ".*look at it"),
    ],
)
def test_jobs_without_result(archive, fetch, phase, message):
    archive.jobs.add(ID, phase=phase, message="no image\nholds this <i>place</i>" if phase == "ERROR" else "")
    with pytest.raises(ArchiveError, match=f"IRSA job {ID}: {message}"):
        fetch()


def test_completed_without_a_result(archive, fetch):
    archive.jobs.add(ID)
    with pytest.raises(ArchiveError, match=r"is completed, but has no result\. IRSA keeps jobs for about 14 days"):
        fetch()


def test_expired(archive, fetch):
    with pytest.raises(NothingThere, match=r"no such job .* about 14 days; run it again"):
        fetch()
    archive.jobs.add(ID, href="results/gone")
    with pytest.raises(NothingThere, match="results/gone: the archive has no such job"):
        fetch()


BOMB = '<!DOCTYPE job [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB + description(ID, "COMPLETED", {}, "&b;"), "a document type; refused"),
        ('<!DOCTYPE job SYSTEM "file:///etc/passwd">' + description(ID, "COMPLETED", {}), "a document type; refused"),
        ("<!DOCTYPE html><html><body>Maintenance</body></html>", "is a web page, and neither a job nor a VOTable"),
        ("<!DOCTYPE html [" + BOMB[15:-1] + "><job>&b;</job>", "is a web page"),
        ("<jobs/>", "XML of the kind 'jobs'"),
        ("{}", "is no XML"),
        ("\0\0\0", "is no XML"),
        (description(ID, "COMPLETED", {})[:-20], "description of the job is damaged"),
        (description(ID, "ERROR", {}, "x" * 100_000), "has failed: x{400}…"),
        (description(ID, "COMPLETED", {}) + " " * 3_000_000, "at most 2000000 are accepted"),
    ],
    ids=range(10),
)
def test_hostile_descriptions(archive, fetch, tmp_path, text, message):
    text = text.replace('<?xml version="1.0" encoding="UTF-8"?>\n', "")
    archive.jobs.add(ID, description=text)
    with pytest.raises(ArchiveError, match=message) as caught:
        fetch()
    assert len(str(caught.value)) < 1000
    assert not list(tmp_path.rglob("*.vot"))


@pytest.mark.parametrize(
    "href", ["http://127.0.0.1:1/x", "https://example.org/x", "file:///etc/passwd", "//example.org/x", "http://[::1/x"]
)
def test_a_result_elsewhere_is_refused(archive, fetch, href):
    archive.jobs.add(ID, href=href)
    with pytest.raises(ArchiveError, match=r"no address of the archive|is not an address"):
        fetch()
    assert len(archive.requests) == 1


def test_a_redirect_elsewhere_is_refused(archive, loopback, fetch):
    other = loopback()
    archive.jobs.add(ID, spectra())
    archive.fault("results/result", "redirect", location=f"{other.url}/x")
    with pytest.raises(ArchiveError, match=r"sends on to .*does not belong to the archive"):
        fetch()
    assert other.requests == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Log in</html>", "is a web page"),
        (spectra().replace(b"<VOTABLE", b"<!DOCTYPE VOTABLE [<!ENTITY a 'b'>]><VOTABLE"), "a document type"),
        (spectra().replace(b'name="flux"', b'name="other"'), "IRSA job .*its result: cannot be read as a spectrum"),
        (spectra()[:-300], "its result: cannot be read as a spectrum"),
        (spectra(n_sources=0), "has no measurements|cannot be read as a spectrum"),
        (b"1,2,3\n", "is no XML"),
        (b"", "is no XML|XML of the kind"),
    ],
    ids=range(7),
)
def test_results_that_are_no_spectra_are_not_kept(archive, fetch, tmp_path, content, message):
    archive.jobs.add(ID, content)
    with pytest.raises(ArchiveError, match=message):
        fetch()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_too_large_a_result(archive, tmp_path):
    archive.jobs.add(ID, spectra())
    with pytest.raises(AnswerTooLarge):
        fetch_irsa_job(ID, tmp_path, client=client_of(archive, max_bytes=1000))


def test_faults_of_the_network(archive, fetch):
    archive.jobs.add(ID, spectra())
    archive.fault("results", "cut", times=1, after=500)
    archive.fault("async", "status", times=1)
    assert len(read_spectra(fetch())) == 10
    archive.fault("async", "status")
    with pytest.raises(ArchiveBusy):
        fetch(refresh=True)
    archive.faults[-1][1].status = 403
    with pytest.raises(NotPermitted, match="save its table in your browser"):
        fetch(refresh=True)


def test_cancelled(archive, fetch, tmp_path):
    archive.jobs.add(ID, spectra())
    with pytest.raises(ArchiveStopped):
        fetch(cancelled=lambda: True)
    asked = []

    def service(question):
        asked.append(question)
        return Answer(spectra())

    archive.services[f"{JOBS}/{ID}/results/result"] = service
    with pytest.raises(ArchiveStopped):
        fetch(cancelled=lambda: bool(asked))
    assert not list(tmp_path.rglob("*.vot"))


def test_a_folder_that_cannot_be_written(archive, tmp_path):
    archive.jobs.add(ID, spectra())
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be kept there"):
        fetch_irsa_job(ID, tmp_path / "file", client=client_of(archive))


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_mistyped_name_without_a_network(tmp_path, monkeypatch, capsys):
    home = tmp_path / "glue-spherex-home"
    home.mkdir()
    (home / "archive.toml").write_text("patience_s = 0.0\n")
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    for command in (["convert", "spectra", str(tmp_path / "c.fits")], ["flags", "spectra"]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(
            "glue-spherex: there is no file 'spectra' here, so that it was taken for the id of a job"
        )
        assert "127.0.0.1 cannot be reached" in line


def test_convert_and_flags(archive, tmp_path, capsys):
    url = archive.jobs.add(ID, spectra())
    assert main(["convert", url, str(tmp_path / "a.fits")]) == 0
    assert main(["convert", ID, str(tmp_path / "b.csv")]) == 0
    assert len(read_spectra(tmp_path / "a.fits")) == len(read_spectra(tmp_path / "b.csv")) == 10
    assert main(["flags", f"{url}/results/result"]) == 0
    assert "10 measurements, 10 of them clean" in capsys.readouterr().out
    archive.jobs.add("running", phase="EXECUTING")
    assert main(["convert", "running", str(tmp_path / "c.fits")]) == 2
    assert "still runs; try again when it is completed" in capsys.readouterr().err
    for name in ("spectra", "missing-file"):  # a name without extension may be an id
        assert main(["convert", name, str(tmp_path / "c.fits")]) == 2
        err = capsys.readouterr().err
        assert f"there is no file {name!r} here, so that it was taken for the id of a job of IRSA's tool: " in err
        assert "the archive has no such job" in err
    assert main(["convert", "spectrum.vot", str(tmp_path / "c.fits")]) == 2
    assert "spectrum.vot" in capsys.readouterr().err
    assert not any("spectrum.vot" in seen.path for seen in archive.requests)
