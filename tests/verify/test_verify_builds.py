"""The cache of compiled simulators."""

import os

import pytest
from verify_networks import small_plan, spikes_for

from snnhw.verify import builds, simulate
from snnhw.verify.builds import cache_folder, cached_build


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNHW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def writing(text):
    def make(folder, final):
        (folder / "file").write_text(text)
        assert folder != final
        assert not final.exists()
    return make


def fails(folder, final):
    raise AssertionError("built again")


def test_the_cache_may_have_spaces_in_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNHW_CACHE", str(tmp_path / "a cache"))
    plan = small_plan(inputs=2, hidden=2, outputs=1)
    assert simulate(plan, spikes_for(plan), activity=True, optimize="-O0").violation is None


def test_the_same_content_is_built_once(cache):
    folder, seconds = cached_build(["a", "b"], writing("one"))
    assert seconds > 0
    assert cached_build(["a", "b"], fails) == (folder, 0.0)
    assert folder.parent == cache == cache_folder()
    assert (folder / "file").read_text() == "one"


@pytest.mark.parametrize("parts", [["ab"], ["a", "c"], ["a", "b", ""], ["b", "a"]])
def test_other_content_is_built_anew(parts):
    first, _ = cached_build(["a", "b"], writing("one"))
    second, _ = cached_build(parts, writing("two"))
    assert first != second


def test_a_failed_build_leaves_nothing(cache):
    def half(folder, final):
        (folder / "file").write_text("half")
        raise OSError("no space")
    with pytest.raises(OSError, match=r"^no space$"):
        cached_build(["a"], half)
    assert list(cache.iterdir()) == []
    assert cached_build(["a"], writing("whole"))[1] > 0


def test_a_build_that_another_process_finished_is_taken():
    def beaten(folder, final):
        (folder / "file").write_text("mine")
        final.mkdir()
        (final / "file").write_text("theirs")
    folder, _ = cached_build(["a"], beaten)
    assert (folder / "file").read_text() == "theirs"


def test_the_oldest_builds_go_when_the_budget_is_spent(cache, monkeypatch):
    monkeypatch.setattr(builds, "MAX_CACHE_BYTES", 250)
    folders = []
    for index, name in enumerate("abc"):
        folder, _ = cached_build([name], writing("x" * 100))
        os.utime(folder, (1000 + index, 1000 + index))
        folders.append(folder)
    assert [folder.exists() for folder in folders] == [False, True, True]
    cached_build(["b"], fails)  # used again, so younger than c now
    cached_build(["d"], writing("x" * 100))
    assert [folder.exists() for folder in folders] == [False, True, False]


def test_leftovers_of_interrupted_builds_go_after_a_day(cache):
    cached_build(["a"], writing("one"))
    old, young = cache / "0.old.tmp", cache / "0.young.tmp"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (1000, 1000))
    cached_build(["b"], writing("two"))
    assert (old.exists(), young.exists()) == (False, True)


def test_without_a_name_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("SNNHW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "snnhw"
