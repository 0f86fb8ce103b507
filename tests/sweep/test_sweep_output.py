"""The page and the table of a sweep."""

import csv
import io
import json
import re
import shutil
import subprocess

import pytest
from sweep_studies import MadeUpEngine, write_study

from snnhw.sweep import run_sweep
from snnhw.sweep.output import format_csv, format_page, write_outputs


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return run_sweep(write_study(folder), folder / "out", engine=MadeUpEngine())


def embedded(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_page_holds_the_results(results):
    assert embedded(format_page(results)) == results


def test_page_loads_nothing(results):
    page = format_page(results)
    assert "Content-Security-Policy\" content=\"default-src 'none';" in page
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:link|img|iframe|object|script[^>]*\bsrc)", page)


def test_hostile_text_stays_text(results):
    hostile = "</script><script>alert(1)</script><!--"
    page = format_page(results | {"model": hostile})
    assert hostile not in page
    assert page.count("<script") == format_page(results).count("<script")
    assert embedded(page)["model"] == hostile


def test_csv_is_the_front(results):
    rows = list(csv.DictReader(io.StringIO(format_csv(results))))
    assert [int(row["number"]) for row in rows] == results["front"]
    for row in rows:
        candidate = results["candidates"][int(row["number"])]
        assert float(row["logic"]) == float(row["logic_measured"]) == float(row["logic_estimate"]) - 7
        assert float(row["accuracy"]) == candidate["metrics"]["accuracy"]
        assert int(row["plan.lanes"]) == candidate["values"]["plan.lanes"]


def test_csv_starts_no_formula(results):
    rows = [row | {"values": row["values"] | {"plan.lanes": "=1+1"}} for row in results["candidates"]]
    assert ",'=1+1," in format_csv(results | {"candidates": rows})


def test_page_draws_in_a_browser(results, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("drawing the page needs chromium")
    page = write_outputs(tmp_path, results)["page"]
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
               page.as_uri()]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    body = drawn.partition('<table id="all">')[2].partition("</table>")[0]
    assert body.count("<tr") == 1 + len(results["candidates"])
    ended = [row for row in results["candidates"] if row["metrics"]]
    assert drawn.count('class="point') == len(ended)
    assert f"{results['counts']['front']} on the Pareto front" in drawn
    assert "Estimated and measured" in drawn
