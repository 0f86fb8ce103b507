import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from snnhw.compress.data import Dataset, load_dataset
from snnhw.compress.recordings import GSC_WORDS
from snnhw.errors import FileError, UsageError

NMNIST = "NMNIST-small/NMNIST.tar.xz"
BRAILLE = "Braille7/braille7_trainval.npz"
GSC = "GSC-kws01/kws01_delta_events.npz"


def load(name, **options):
    return load_dataset(name, 0, Path("nowhere"), **options)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The folder that SNNHW_DATA names."""
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    for name in (NMNIST, BRAILLE, GSC, "FashionMNIST/raw/x"):
        (tmp_path / name).parent.mkdir(parents=True)
    return tmp_path


def recording(*events):
    """Pack (x, y, polarity, microseconds) as N-MNIST does."""
    return b"".join((x << 32 | y << 24 | polarity << 23 | time).to_bytes(5, "big") for x, y, polarity, time in events)


ONE = recording((3, 5, 1, 1999), (3, 5, 1, 1000), (33, 0, 0, 0), (0, 33, 0, 8_000_000))


def plain(name, content=ONE, **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def write_tar(path, members, format_=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=0))
    return path


BOTH = [plain("NMNIST/Train/7/00002.bin"), plain("NMNIST/Test/4/00001.bin")]


def test_bins_events_of_nmnist(data):
    write_tar(data / NMNIST, BOTH)
    found = load("nmnist", timesteps=3)
    frames = np.zeros((3, 2, 34, 34), np.uint8)
    frames[1, 1, 5, 3] = 1  # twice, clipped
    frames[0, 0, 0, 33] = 1
    assert np.array_equal(found.train_values, frames.reshape(1, 3, 2312))
    assert (found.shape, found.levels, found.classes, found.timesteps) == ((2, 34, 34), 1, 10, 3)
    assert (found.train_labels.tolist(), found.test_labels.tolist()) == ([7], [4])
    assert np.argwhere(load("nmnist", timesteps=2, bin_us=2000).train_values[0]).tolist() == [[0, 33], [0, (34 + 5) * 34 + 3]]
    assert load("nmnist").train_values.shape == (1, 300, 2312)


def test_nmnist_stands_in_the_order_of_its_numbers(data):
    write_tar(data / NMNIST, [plain("NMNIST", b"", type=tarfile.DIRTYPE)]
              + [plain(f"NMNIST/{split}/{number % 7}/{number:05d}.bin") for split in ("Test", "Train") for number in (9, 2, 11)])
    assert load("nmnist", timesteps=1).train_labels.tolist() == [2, 2, 4]
    assert load("nmnist", timesteps=1, most=2).test_labels.tolist() == [2, 2]


def sparse():
    """A file of 50 bytes that claims to be longer, with holes."""
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1000000000000"}
    return plain("NMNIST/Test/4/00001.bin", b"0\n".ljust(512, b"\0") + bytes(50), pax_headers=headers)


DAMAGED = "must be an xz-compressed tar, and is damaged or something else"
HOSTILE = {
    "link": ([plain("NMNIST/Train/1/00001.bin", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
             " must hold plain files and folders only, not 'NMNIST/Train/1/00001.bin'"),
    "hard link": ([plain("NMNIST/Train/1/00001.bin", b"", type=tarfile.LNKTYPE, linkname="x")],
                  " must hold plain files and folders only, not 'NMNIST/Train/1/00001.bin'"),
    "device": ([plain("NMNIST/Train/1/00001.bin", b"", type=tarfile.CHRTYPE)],
               " must hold plain files and folders only, not 'NMNIST/Train/1/00001.bin'"),
    "sparse": ([sparse()], " must hold plain files and folders only, not 'NMNIST/Test/4/00001.bin'"),
    "outside": ([plain("NMNIST/Train/1/../../../00001.bin")],
                " must hold files NMNIST/Train|Test/<digit>/<number>.bin, not 'NMNIST/Train/1/../../../00001.bin'"),
    "absolute": ([plain("/NMNIST/Train/1/00001.bin")],
                 " must hold files NMNIST/Train|Test/<digit>/<number>.bin, not '/NMNIST/Train/1/00001.bin'"),
    "no digit": ([plain("NMNIST/Train/10/00001.bin")],
                 " must hold files NMNIST/Train|Test/<digit>/<number>.bin, not 'NMNIST/Train/10/00001.bin'"),
    "twice": ([BOTH[0], plain("NMNIST/Train/1/2.bin")], " must hold each recording once, not 'NMNIST/Train/1/2.bin' again"),
    "odd size": ([plain("NMNIST/Train/1/00001.bin", b"1234")],
                 ": 'NMNIST/Train/1/00001.bin' must have at most 1048576 bytes, 5 for each event, not 4"),
    "long": ([plain("NMNIST/Train/1/00001.bin", bytes(1048580))],
             ": 'NMNIST/Train/1/00001.bin' must have at most 1048576 bytes, 5 for each event, not 1048580"),
    "bomb": ([plain("NMNIST/Train/1/00001.bin", bytes(1 << 26))], " must be at most 67108864 bytes when decompressed"),
    "many": ([plain("NMNIST", b"", type=tarfile.DIRTYPE)] * 20_001, " must have at most 20000 members"),
    "no test": (BOTH[:1], " must hold recordings NMNIST/Test/<digit>/<number>.bin, and holds none"),
    "outside the sensor": ([*BOTH[1:], plain("NMNIST/Train/1/1.bin", recording((34, 0, 0, 0)))],
                           ": events of 'NMNIST/Train/1/1.bin' must lie within 34x34 pixels"),
}


@pytest.mark.parametrize(("members", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives_are_refused(data, members, message):
    path = write_tar(data / NMNIST, members)
    before = sorted(data.rglob("*"))
    with pytest.raises(FileError, match=f"^N-MNIST archive {re.escape(repr(str(path)) + message)}$"):
        load("nmnist", timesteps=2)
    assert sorted(data.rglob("*")) == before


def pax_chain():
    """Many extended headers before one file: the reader of the standard library may recurse."""
    extended = tarfile.TarInfo("x")
    extended.type = tarfile.XHDTYPE
    return extended.tobuf() * 5000 + tarfile.TarInfo("y").tobuf() + bytes(1024)


@pytest.mark.parametrize("content", [
    b"", b"text", lzma.compress(b"no tar" * 200), lzma.compress(b"", lzma.FORMAT_ALONE), lzma.compress(pax_chain()),
    lzma.compress(bytes(10240)) + b"more", lzma.compress(bytes(10240))[:-20],
], ids=["empty", "text", "no tar", "lzma", "recursion", "trailing", "cut"])
def test_damaged_archives_are_refused(data, content):
    (data / NMNIST).write_bytes(content)
    with pytest.raises(FileError, match=f"^N-MNIST archive {re.escape(repr(str(data / NMNIST)))} {DAMAGED}$"):
        load("nmnist")


def test_a_cut_recording_is_refused(data):
    member, content = plain("NMNIST/Test/4/00001.bin", ONE * 100)
    (data / NMNIST).write_bytes(lzma.compress(member.tobuf() + content[:-50]))
    with pytest.raises(FileError, match=f"{DAMAGED}$"):
        load("nmnist")


def test_nmnist_must_fit_in_memory(data):
    write_tar(data / NMNIST, BOTH)
    with pytest.raises(UsageError, match=r"^N-MNIST of 1 samples with 1000000 timesteps and 2312 inputs must be at most "
                                         r"2147483648 values; choose fewer timesteps or samples$"):
        load("nmnist", timesteps=1_000_000)


def write_braille(data, **changes):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.integers(0, 2, (10, 256, 12), dtype=np.uint8), "y": np.arange(10, dtype=np.uint8) % 7,
              "is_test": np.arange(10) % 3 == 0} | changes
    np.savez(data / BRAILLE, **{name: array for name, array in arrays.items() if array is not None})
    return arrays


def test_reads_braille(data):
    arrays = write_braille(data)
    found = load("braille")
    assert np.array_equal(found.train_values, arrays["x"][~arrays["is_test"]])
    assert np.array_equal(found.test_values, arrays["x"][arrays["is_test"]])
    assert found.test_labels.tolist() == [0, 3, 6, 2]
    assert (found.shape, found.levels, found.classes, found.names[1]) == ((12,), 1, 7, "A")


def test_braille_combines_timesteps(data):
    rows = np.zeros((10, 256, 12), np.uint8)
    rows[0, 4:7, 2] = 1
    rows[0, 255, 3] = 1
    write_braille(data, x=rows)
    wanted = {"or": 1, "sum": 3}
    for combine, value in wanted.items():
        values = load("braille", timesteps=64, combine=combine).test_values[0]
        assert {tuple(place): values[tuple(place)] for place in np.argwhere(values)} == {(1, 2): value, (63, 3): 1}
    assert load("braille", timesteps=64, combine="sum").levels == 3
    with pytest.raises(UsageError, match=r"^timesteps of the data set 'braille' must divide 256, not 100$"):
        load("braille", timesteps=100)


@pytest.mark.parametrize(("changes", "message"), [
    ({"y": None}, " must be an npz file with x, y, is_test, and is damaged or something else"),
    ({"y": np.array([{}] * 10)}, " must be an npz file with x, y, is_test, and is damaged or something else"),
    ({"y": np.zeros(10, np.int64)}, ": array 'y' must be uint8, not int64"),
    ({"y": np.zeros(9, np.uint8)}, " must hold x (samples, timesteps, inputs) of 0 and 1, and one y and is_test for each sample, "
                                   "not (10, 256, 12), (9,) and (10,)"),
    ({"x": np.full((10, 256, 12), 2, np.uint8)}, " must hold x (samples, timesteps, inputs) of 0 and 1, and one y and is_test "
                                                 "for each sample, not (10, 256, 12), (10,) and (10,)"),
], ids=["missing", "pickle", "type", "samples", "values"])
def test_damaged_braille_is_refused(data, changes, message):
    write_braille(data, **changes)
    with pytest.raises(FileError, match=f"^Braille file {re.escape(repr(str(data / BRAILLE)))}{re.escape(message)}$"):
        load("braille")


def test_letters_that_are_not_known_are_refused(data):
    write_braille(data, y=np.full(10, 7, np.uint8))
    with pytest.raises(FileError, match=r"^data set 'braille' must have labels from 0 to 6, not 7$"):
        load("braille")


@pytest.mark.parametrize("case", ["text", "bomb", "lying header"])
def test_hostile_npz_are_refused(data, case):
    path = data / BRAILLE
    if case == "text":
        path.write_bytes(b"text")
    else:
        write_braille(data)
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({1 << 60},), }}".ljust(117)
        header = struct.pack("<H", 118) + text.encode()
        content = bytes((1 << 27) + 1) if case == "bomb" else b"\x93NUMPY\x01\x00" + header + b"\n"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", content)
    message = (": array 'x' must have at most 134217728 bytes" if case == "bomb" else
               " must be an npz file with x, y, is_test, and is damaged or something else")
    with pytest.raises(FileError, match=f"^Braille file {re.escape(repr(str(path)))}{re.escape(message)}$"):
        load("braille")


def write_gsc(data, **changes):
    rng = np.random.default_rng(1)
    arrays = {"ev": rng.integers(-1, 2, (8, 200, 20)).astype(np.int8), "y": np.array([0, 3, 1, 2, 0, 1, 3, 2], np.uint8),
              "classes": np.array(["down", "yes", "silence", "unknown"])} | changes
    np.savez(data / GSC, **arrays)
    return arrays


def test_keywords_are_the_test_split_of_gsc(data):
    arrays = write_gsc(data)
    found = load("gsc-kws01")
    assert np.array_equal(found.test_values, arrays["ev"][[0, 2, 4, 5]])
    assert found.test_values.dtype == np.int8
    assert [found.names[label] for label in found.test_labels] == ["down", "yes", "down", "yes"]
    assert np.array_equal(found.train_values, arrays["ev"][[1, 3, 6, 7]])
    assert (found.train_labels == -1).all()
    assert (found.classes, found.levels, found.shape) == (35, 1, (20,))
    assert list(GSC_WORDS) == sorted(set(GSC_WORDS))
    with pytest.raises(UsageError, match=r"^timesteps of the data set 'gsc-kws01' must be 200, not 100$"):
        load("gsc-kws01", timesteps=100)


@pytest.mark.parametrize("changes", [
    {"ev": np.full((8, 200, 20), 2, np.int8)}, {"ev": np.zeros((8, 200), np.int8)}, {"y": np.full(8, 4, np.uint8)},
    {"classes": np.array(["down", "yes", "silence", "hum"], "U7")},
], ids=["values", "axes", "label", "class"])
def test_damaged_gsc_is_refused(data, changes):
    write_gsc(data, **changes)
    with pytest.raises(FileError, match=rf"^GSC file {re.escape(repr(str(data / GSC)))} must hold ev \(samples, timesteps, "
                                        r"inputs\) of -1, 0 and 1, and for each sample a y below 4, not \([0-9, ]+\) and "
                                        r"\(8,\)$"):
        load("gsc-kws01")


def test_pixels_are_scaled_to_levels(data):
    values = np.arange(256, dtype=np.uint8).reshape(16, 4, 4)
    labels = np.arange(16, dtype=np.uint8) % 10
    for prefix in ("train", "t10k"):
        for kind, array in (("images-idx3", values), ("labels-idx1", labels)):
            header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (data / f"FashionMNIST/raw/{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    whole = load("fashion")
    assert np.array_equal(whole.train_values, values.reshape(16, 16))
    assert (whole.levels, whole.shape, whole.classes, whole.names[9], whole.timesteps) == (255, (1, 4, 4), 10, "Ankle boot", None)
    few = load("fashion", levels=15)
    assert few.levels == 15
    assert few.test_values.ravel().tolist() == [round(value / 17) for value in range(256)]
    assert load("fashion", most=3).train_labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("name", "place", "files"), [
    ("fashion", "FashionMNIST/raw", "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
                                    "t10k-labels-idx1-ubyte.gz"),
    ("nmnist", "NMNIST-small", "NMNIST.tar.xz"),
    ("braille", "Braille7", "braille7_trainval.npz"),
    ("gsc-kws01", "GSC-kws01", "kws01_delta_events.npz"),
])
def test_missing_files_are_named(data, name, place, files):
    message = (f"the data set '{name}' needs {files} in {str(data / place)!r}; "
               f"set SNNHW_DATA to the folder that contains {place}")
    with pytest.raises(FileError, match=f"^{re.escape(message)}$"):
        load(name)


@pytest.mark.parametrize(("options", "message"), [
    ({"timesteps": 0}, "timesteps of a data set must be at least 1, not 0"),
    ({"levels": -1}, "levels of a data set must be at least 1, not -1"),
    ({"bin_us": 0}, "bin_us of a data set must be at least 1, not 0"),
    ({"most": 0}, "most of a data set must be at least 1, not 0"),
    ({"combine": "and"}, "combine of a data set must be 'or' or 'sum', not 'and'"),
])
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        load("digits", **options)


def test_a_data_set_has_a_shape():
    values, labels = np.zeros((2, 6), np.uint8), np.zeros(2, np.int64)
    assert Dataset("some", 1, values, labels, values, labels).shape == (6,)
    with pytest.raises(ValueError, match=r"^Dataset shape must have 6 elements, not \(2, 4\)$"):
        Dataset("some", 1, values, labels, values, labels, (2, 4))


def real(name, **options):
    """Load from the folder of the data, or skip with the message that names the files."""
    try:
        return load(name, **options)
    except FileError as error:
        pytest.skip(str(error))


def test_the_real_nmnist():
    found = real("nmnist", timesteps=20, most=100)
    assert found.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # the first of MNIST's test images
    assert found.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert found.train_values.shape == (100, 20, 2312)


def test_the_real_letters_and_words():
    letters, words = real("braille"), real("gsc-kws01")
    assert np.bincount(letters.test_labels).tolist() == [40] * 7
    assert (len(letters.train_labels), len(words.test_labels), len(words.train_labels)) == (878, 834, 166)
    assert len(np.unique(words.test_labels)) == 10
