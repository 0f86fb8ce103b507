"""Event data: frames against their definitions, made-up files in the formats of the real ones, hostile ones, the real data."""

import importlib.util
import os
import re
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.compress import event_data, shd_unpack
from snnhw.compress.catalogue import CATALOGUE
from snnhw.compress.config import load_recipe
from snnhw.compress.data import EVENT_SETS, SETS, load_dataset
from snnhw.compress.event_data import GESTURES, SHD_WORDS, fetch
from snnhw.compress.framing import EventConfig, Events, Framer
from snnhw.errors import FileError, ToolMissing, UsageError

COUNTS = {"levels": 255}


def load(name, *, most=None, timesteps=None, **events):
    return load_dataset(name, 0, Path("nowhere"), timesteps=timesteps, most=most,
                        events=EventConfig(**events) if events else None)


def frames_of(time, place, shape, timesteps, **events):
    framer = Framer("data", shape, timesteps, EventConfig(**events))
    return framer.split(1, [Events(np.array(time, np.int64), np.array(place, np.int64))])[0].reshape(timesteps, *framer.shape)


# --- framing, against few-line statements of each definition

def equal_counts(x, y, p, timesteps, height, width):
    """SpikingJelly's ``split_by="number"``: slices of N // T events, the last one to the end; a pixel counts its events."""
    frames = np.zeros((timesteps, 2, height, width), int)
    size = len(x) // timesteps
    for frame in range(timesteps):
        until = (frame + 1) * size if frame < timesteps - 1 else len(x)
        for event in range(frame * size, until):
            frames[frame, p[event], y[event], x[event]] += 1
    return frames


@st.composite
def recordings(draw):
    """A sensor, and x, y, polarity and time of its events."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    events = draw(st.lists(st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.integers(0, 1),
                                     st.integers(0, 5000)), max_size=80))
    return height, width, *(np.array(column, int) for column in (zip(*events, strict=True) if events else [[]] * 4))


def flat(height, width, x, y, p):
    return (p * height + y) * width + x


@given(recordings(), st.integers(1, 25))
def test_equal_counts_are_those_of_spikingjelly(recording, timesteps):
    height, width, x, y, p, time = recording
    wanted = equal_counts(x, y, p, timesteps, height, width)
    place, shape = flat(height, width, x, y, p), (2, height, width)
    assert np.array_equal(frames_of(time, place, shape, timesteps, framing="count", **COUNTS), wanted)
    assert np.array_equal(frames_of(time, place, shape, timesteps, framing="count"), np.minimum(wanted, 1))


@given(recordings(), st.integers(1, 25), st.integers(1, 3000))
def test_bins_of_time_count_their_events(recording, timesteps, bin_us):
    height, width, x, y, p, time = recording
    wanted = np.zeros((timesteps, 2, height, width), int)
    for event, moment in enumerate(time):
        if moment // bin_us < timesteps:
            wanted[moment // bin_us, p[event], y[event], x[event]] += 1
    place = flat(height, width, x, y, p)
    found = frames_of(time, place, (2, height, width), timesteps, framing="time", bin_us=bin_us, **COUNTS)
    assert np.array_equal(found, wanted)


@given(recordings(), st.integers(1, 25))
def test_spans_are_those_of_spikingjelly(recording, timesteps):
    """``split_by="time"``: bins of (last - first) // T, the last one to the end."""
    height, width, x, y, p, time = recording
    time.sort()
    wanted = np.zeros((timesteps, 2, height, width), int)
    size = max(1, (time[-1] - time[0]) // timesteps) if len(time) else 1
    for event, moment in enumerate(time):
        frame = next((frame for frame in range(timesteps - 1) if moment < time[0] + (frame + 1) * size), timesteps - 1)
        wanted[frame, p[event], y[event], x[event]] += 1
    place = flat(height, width, x, y, p)
    assert np.array_equal(frames_of(time, place, (2, height, width), timesteps, framing="span", **COUNTS), wanted)


@given(st.lists(st.integers(0, 2 * 4 * 6 - 1), max_size=200), st.integers(1, 4), st.sampled_from([1, 2]), st.integers(1, 9))
def test_pixels_and_polarities_are_summed_before_they_are_clipped(places, timesteps, factor, levels):
    whole = frames_of(range(len(places)), places, (2, 4, 6), timesteps, framing="count", **COUNTS).astype(int)
    blocks = whole.reshape(timesteps, 2, 4 // factor, factor, 6 // factor, factor).sum(axis=(3, 5))
    arguments = range(len(places)), places, (2, 4, 6), timesteps
    options = {"framing": "count", "downsample": factor, "levels": levels}
    assert np.array_equal(frames_of(*arguments, **options), np.minimum(blocks, levels))
    merged = blocks.sum(axis=1, keepdims=True)
    assert np.array_equal(frames_of(*arguments, **options, polarity="merged"), np.minimum(merged, levels))


def test_channels_are_grouped_with_their_neighbours():
    assert frames_of([0] * 4, [0, 4, 5, 9], (10,), 1, framing="time", bin_us=1, downsample=5, levels=3).tolist() == [[2, 2]]


def test_counts_stop_at_their_level():
    place = np.zeros(70_000, int)  # more than two bytes hold
    assert frames_of(place, place, (1,), 1, framing="count", levels=255).tolist() == [[255]]
    assert frames_of(place, place, (1,), 1, framing="count", levels=3).tolist() == [[3]]


def test_the_last_frame_takes_what_is_left():
    assert frames_of(range(8), [0] * 8, (1,), 3, framing="count", **COUNTS).ravel().tolist() == [2, 2, 4]
    assert frames_of(range(2), [0] * 2, (1,), 3, framing="count", **COUNTS).ravel().tolist() == [0, 0, 2]
    assert frames_of([10, 13, 14, 20], [0] * 4, (1,), 3, framing="span", **COUNTS).ravel().tolist() == [1, 2, 1]
    assert frames_of([], [], (1,), 3, framing="span").ravel().tolist() == [0, 0, 0]


@pytest.mark.parametrize(("shape", "options", "message"), [
    ((2, 34, 34), {"downsample": 4}, "events.downsample of data must divide 34, not be 4"),
    ((2, 30, 40), {"downsample": 4}, "events.downsample of data must divide 30 and 40, not be 4"),
    ((700,), {"downsample": 3}, "events.downsample of data must divide 700, not be 3"),
    ((700,), {"polarity": "merged"}, "events.polarity of data must be 'separate', because its events have none"),
])
def test_impossible_framings_are_refused(shape, options, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Framer("data", shape, 1, EventConfig(framing="count", **options))


# --- made-up files

@pytest.fixture
def data(tmp_path, monkeypatch):
    """The folder that SNNHW_DATA names. tonic cannot be imported while it lasts: nothing may be downloaded."""
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tonic", None)
    return tmp_path


def gesture(seed, events=500):
    """Columns x, y, polarity, milliseconds of a made-up recording, as tonic's files have them."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 128, (events, 2))
    return np.column_stack([pixels, rng.integers(0, 2, events), np.sort(rng.integers(0, 6000, events)) + 1000 * seed])


TRIALS = {"ibmGestureTrain": ["user02_lab", "user01_fluorescent_led"], "ibmGestureTest": ["user24_natural"]}


def write_gestures(data, labels=(10, 0, 2), dtype=np.int64):
    """Write recordings as tonic unpacks them; return (trial, label) -> columns."""
    written = {}
    for split, trials in TRIALS.items():
        for trial in trials:
            folder = data / "DVSGesture" / split / trial
            folder.mkdir(parents=True, exist_ok=True)
            for label in labels:
                written[trial, label] = gesture(len(written)).astype(dtype)
                np.save(folder / f"{label}.npy", written[trial, label])
    return written


ORDER = [("user01_fluorescent_led", 0), ("user01_fluorescent_led", 2), ("user01_fluorescent_led", 10),
         ("user02_lab", 0), ("user02_lab", 2), ("user02_lab", 10)]


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint16, np.float32])
def test_reads_gestures_in_the_setting_of_the_papers(data, dtype):
    written = write_gestures(data, dtype=dtype)
    found = load("dvs-gesture")
    assert (found.train_values.shape, found.test_values.shape) == ((6, 20, 32768), (3, 20, 32768))
    assert (found.shape, found.timesteps, found.levels, found.names, found.classes) == ((2, 128, 128), 20, 1, GESTURES, 11)
    assert found.train_labels.tolist() == [label for _, label in ORDER]
    assert found.test_labels.tolist() == [0, 2, 10]
    for sample, key in zip(found.train_values, ORDER, strict=True):
        x, y, p, _ = written[key].astype(int).T
        assert np.array_equal(sample.reshape(20, 2, 128, 128), np.minimum(equal_counts(x, y, p, 20, 128, 128), 1))


def test_gestures_can_be_small_and_counted(data):
    written = write_gestures(data, labels=[3])
    found = load("dvs-gesture", timesteps=5, downsample=4, levels=7, most=1)
    x, y, p, _ = written["user01_fluorescent_led", 3].T
    assert np.array_equal(found.train_values[0].reshape(5, 2, 32, 32), np.minimum(equal_counts(x // 4, y // 4, p, 5, 32, 32), 7))
    assert (found.shape, found.levels, len(found.test_labels)) == ((2, 32, 32), 7, 1)
    assert load("dvs-gesture", polarity="merged", downsample=8, most=1).shape == (1, 16, 16)


def test_a_gesture_begins_with_its_first_event(data):
    write_gestures(data)
    path = data / "DVSGesture/ibmGestureTest/user24_natural/0.npy"
    np.save(path, np.array([[1, 2, 0, 5000], [3, 4, 1, 5001], [5, 6, 1, 5003]]))
    values = load("dvs-gesture", framing="time", bin_us=1000, timesteps=3, most=1).test_values[0].reshape(3, 2, 128, 128)
    assert np.argwhere(values).tolist() == [[0, 0, 2, 1], [1, 1, 4, 3]]
    np.save(path, np.array([[1, 2, 0, 0.2501]]))
    assert load("dvs-gesture", framing="span", most=1).test_values[0].sum() == 1
    with pytest.raises(UsageError, match=r"^events\.bin_us must be given for framing 'time' of data 'dvs-gesture'$"):
        load("dvs-gesture", framing="time")


def test_both_layouts_of_gestures_give_the_same(data):
    """The same recordings as SpikingJelly cuts them are the same samples."""
    for (trial, label), columns in write_gestures(data).items():
        split = "test" if trial in TRIALS["ibmGestureTest"] else "train"
        folder = data / "DVS128Gesture/events_np" / split / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        x, y, p, milliseconds = columns.T
        np.savez(folder / f"{trial}_0.npz", x=x, y=y, p=p, t=1000 * milliseconds)
    for options in ({}, {"framing": "time", "bin_us": 100_000}, {"framing": "span", "levels": 3}):
        one, other = (load(name, **options) for name in ("dvs-gesture", "dvs128-gesture"))
        for split in ("train_values", "train_labels", "test_values", "test_labels"):
            assert np.array_equal(getattr(one, split), getattr(other, split))


def test_gestures_leave_other_files_alone(data):
    write_gestures(data)
    folder = data / "DVSGesture/ibmGestureTrain/user02_lab"
    for name in ("._0.npy", "notes.txt"):
        (folder / name).write_bytes(b"text")
    (data / "DVSGesture/ibmGestureTrain/.cache").mkdir()
    assert len(load("dvs-gesture").train_labels) == 6


def saved(array, **options):
    return lambda path: np.save(path, array, **options)


def lying(path):
    """A header that claims 2**60 events."""
    np.save(path, gesture(0))
    content = path.read_bytes()
    path.write_bytes(content[:10] + content[10:].replace(b"(500, 4)", b"(%d, 4)" % (1 << 60), 1))


def changed(column, value):
    array = gesture(0).astype(float)
    array[3, column] = value
    return saved(array)


HOSTILE = {
    "text": (lambda path: path.write_bytes(b"text"), "must be an npy file, and is damaged or something else"),
    "empty": (lambda path: path.write_bytes(b""), "must be an npy file, and is damaged or something else"),
    "lying": (lying, "must be an npy file, and is damaged or something else"),
    "cut": (lambda path: (np.save(path, gesture(0)), path.write_bytes(path.read_bytes()[:-9])),
            "must be an npy file, and is damaged or something else"),
    "objects": (saved(np.array([[{}] * 4]), allow_pickle=True), "must hold numbers, not object"),
    "complex": (saved(np.zeros((3, 4), complex)), "must hold numbers, not complex128"),
    "axes": (saved(np.zeros((3, 5), int)), "must hold an array (events, 4), not (3, 5)"),
    "x": (changed(0, 128), "must have x between 0 and 127, not 0 to 128"),
    "y": (changed(1, -1), "must have y between 0 and 127, not -1 to 127"),
    "polarity": (changed(2, 2), "must have polarity between 0 and 1, not 0 to 2"),
    "fraction": (changed(0, 0.5), "must hold whole numbers for x, y and polarity, and finite times"),
    "not a number": (changed(3, np.nan), "must hold whole numbers for x, y and polarity, and finite times"),
    "endless": (changed(3, np.inf), "must hold whole numbers for x, y and polarity, and finite times"),
    "late": (changed(3, 1e30), "must have times of at most 70368744177664 microseconds"),
}


@pytest.mark.parametrize(("write", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_gestures_are_refused(data, write, message):
    write_gestures(data)
    path = data / "DVSGesture/ibmGestureTrain/user02_lab/2.npy"
    write(path)
    with pytest.raises(FileError, match=f"^gesture file {re.escape(repr(str(path)))} {re.escape(message)}$"):
        load("dvs-gesture")


@pytest.mark.parametrize(("name", "message"), [
    ("user02_lab/11.npy", "must hold user<NN>_<light>/<label>.npy, not 'user02_lab/11.npy'"),
    ("user2_lab/1.npy", "must hold user<NN>_<light>/<label>.npy, not 'user2_lab/1.npy'"),
    (None, "must hold recordings user<NN>_<light>/<label>.npy, and holds none"),
])
def test_folders_of_other_things_are_refused(data, name, message):
    write_gestures(data)
    folder = data / "DVSGesture/ibmGestureTrain"
    if name is None:
        folder.rename(data / "elsewhere")
        folder.mkdir()
    else:
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / name, gesture(0))
    with pytest.raises(FileError, match=f"^gesture folder {re.escape(repr(str(folder)))} {re.escape(message)}$"):
        load("dvs-gesture")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_no_gesture(data):
    write_gestures(data)
    path = data / "DVSGesture/ibmGestureTrain/user02_lab/2.npy"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileError, match=f"^gesture file {re.escape(repr(str(path)))} must be a regular file$"):
        load("dvs-gesture")


@pytest.mark.parametrize(("changes", "message"), [
    ({"p": None}, "must be an npz file with x, y, p, t, and is damaged or something else"),
    ({"t": np.zeros(4, int)}, "must hold x, y, p and t as integers, one of each for every event"),
    ({"x": np.zeros(5)}, "must hold x, y, p and t as integers, one of each for every event"),
    ({"x": np.full(5, 300, np.uint16)}, "must have x between 0 and 127, not 300 to 300"),
    ({"t": np.full(5, 1 << 62)}, "must have times of at most 70368744177664 microseconds"),
])
def test_damaged_recordings_of_spikingjelly_are_refused(data, changes, message):
    arrays = {name: np.zeros(5, int) for name in "xypt"} | changes
    for split in ("train", "test"):
        path = data / f"DVS128Gesture/events_np/{split}/3/user01_lab_0.npz"
        path.parent.mkdir(parents=True)
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(FileError, match=f"^gesture file '.*user01_lab_0.npz' {re.escape(message)}$"):
        load("dvs128-gesture")


def test_frames_must_fit_in_memory(data):
    write_gestures(data)
    with pytest.raises(UsageError, match=r"^DVS-Gesture of 6 samples with 20000 timesteps and 32768 inputs must be at most "
                                         r"2147483648 values; choose fewer timesteps or samples$"):
        load("dvs-gesture", timesteps=20_000)


def spoken(seed, events=300):
    rng = np.random.default_rng(seed)
    return np.sort(rng.random(events) * 1.2).astype(np.float16), rng.integers(0, 700, events, dtype=np.uint16)


def write_shd(path, labels=(3, 19, 0), spikes=None):
    """Write a file as the Heidelberg digits are: lists of half-precision seconds and of channels."""
    path.parent.mkdir(exist_ok=True)
    spikes = [spoken(index) for index in range(len(labels))] if spikes is None else spikes
    with h5py.File(path, "w") as file:
        for column, (name, kind) in enumerate((("times", np.float16), ("units", np.uint16))):
            lists = file.create_dataset(f"spikes/{name}", (len(spikes),), h5py.vlen_dtype(kind), maxshape=(None,), chunks=(64,))
            for index, recording in enumerate(spikes):
                lists[index] = recording[column]
        file["labels"] = np.array(labels, np.uint16)
        file["extra/speaker"] = np.zeros(len(labels), np.uint16)
        file["extra/keys"] = np.array([word.encode() for word in SHD_WORDS])
    return spikes


@pytest.fixture
def shd(data):
    for split, labels in (("train", (3, 19, 0)), ("test", (7, 8))):
        write_shd(data / f"SHD/shd_{split}.h5", labels)
    return data / "SHD"


def test_reads_spoken_digits(shd):
    found = load("shd")
    assert (found.train_values.shape, found.test_values.shape, found.shape) == ((3, 100, 700), (2, 100, 700), (700,))
    assert (found.train_labels.tolist(), found.test_labels.tolist()) == ([3, 19, 0], [7, 8])
    assert [found.names[label] for label in found.train_labels] == ["three", "neun", "zero"]
    for sample, (times, units) in zip(found.train_values, map(spoken, range(3)), strict=True):
        wanted = np.zeros((100, 700), int)
        wanted[(times.astype(float) * 1e6).astype(int) // 14_000, units] = 1
        assert np.array_equal(sample, wanted)


def test_spoken_digits_can_be_grouped_and_counted(shd):
    found = load("shd", timesteps=20, downsample=5, levels=3, framing="count")
    assert (found.shape, found.levels, found.timesteps) == ((140,), 3, 20)
    _, units = spoken(1)
    zeros = np.zeros(len(units), int)
    assert np.array_equal(found.train_values[1].reshape(20, 140),
                          np.minimum(equal_counts(units // 5, zeros, zeros, 20, 1, 140)[:, 0, 0], 3))
    assert load("shd", most=2).train_labels.tolist() == [3, 19]
    early = load("shd", timesteps=3, bin_us=1000).train_values[0]
    assert early.sum() == len({(time // 1000, unit) for time, unit in zip((spoken(0)[0].astype(float) * 1e6).astype(int),
                                                                         spoken(0)[1], strict=True) if time < 3000})


def test_a_recording_may_be_silent(shd):
    write_shd(shd / "shd_test.h5", (1, 2), [(np.zeros(0), np.zeros(0, int)), spoken(0)])
    assert load("shd", framing="span").test_values.reshape(2, -1).any(axis=1).tolist() == [False, True]


def edited(change):
    def write(path):
        write_shd(path)
        with h5py.File(path, "r+") as file:
            change(file)
    return write


def replaced(name, *arguments, **options):
    def change(file):
        del file[name]
        file.create_dataset(name, *arguments, **options)
    return edited(change)


def linked(link):
    def change(file):
        del file["labels"]
        file["labels"] = link
    return edited(change)


def spiking(times, units):
    return lambda path: write_shd(path, (0, 1), [spoken(0), (np.array(times, np.float16), np.array(units, int))])


VLEN = h5py.vlen_dtype(np.float64)
HOSTILE_SHD = {
    "no labels": (edited(lambda file: file.__delitem__("labels")), "it must hold labels"),
    "no spikes": (edited(lambda file: file.__delitem__("spikes")), "it must hold spikes/times"),
    "group": (edited(lambda file: (file.__delitem__("labels"), file.create_group("labels"))), "its labels must be a dataset"),
    "soft link": (linked(h5py.SoftLink("/spikes/units")), "its labels must lie in the file, and is a link"),
    "external link": (linked(h5py.ExternalLink("/etc/passwd", "x")), "its labels must lie in the file, and is a link"),
    "outside": (replaced("labels", (3,), "u2", external="/etc/passwd"), "its labels must lie in the file, and is kept outside"),
    "filter": (replaced("labels", (3,), "u2", chunks=(3,), scaleoffset=4),
               "its labels must be packed with gzip, shuffle, fletcher32, lzf or not at all, not with filter 6"),
    "chunks": (replaced("spikes/times", (3,), VLEN, maxshape=(None,), chunks=(1 << 27,)),
               "its spikes/times must have chunks of at most 67108864 bytes"),
    "no lists": (replaced("spikes/units", data=np.zeros(3, np.uint16)),
                 "its spikes/units must hold lists of integers, not uint16"),
    "float units": (replaced("spikes/units", (3,), VLEN), "its spikes/units must hold lists of integers, not float64"),
    "whole times": (replaced("spikes/times", (3,), h5py.vlen_dtype(int)),
                    "its spikes/times must hold lists of floats, not int64"),
    "text labels": (replaced("labels", data=np.array([b"one"] * 3)), "its labels must be integers, not |S3"),
    "few labels": (replaced("labels", data=np.zeros(2, np.uint16)),
                   "it must hold one label and one list of times and units for each of at most 65536 recordings, not shapes "
                   "(2,), (3,) and (3,)"),
    "claim": (edited(lambda file: [(file.__delitem__(name), file.create_dataset(name, (1 << 40,), kind, chunks=(64,)))
                                   for name, kind in (("labels", "u2"), ("spikes/times", VLEN),
                                                      ("spikes/units", h5py.vlen_dtype(int)))]),
              "it must hold one label and one list of times and units for each of at most 65536 recordings, not shapes "
              "(1099511627776,), (1099511627776,) and (1099511627776,)"),
    "label": (replaced("labels", data=np.array([1, 20, 3], np.uint16)), "its labels must lie between 0 and 19"),
    "unit": (spiking([0.1], [700]), "units of its recording 1 must lie between 0 and 699"),
    "before": (spiking([-0.1], [3]), "times of its recording 1 must lie between 0 and 60 seconds"),
    "after": (spiking([61], [3]), "times of its recording 1 must lie between 0 and 60 seconds"),
    "never": (spiking([np.nan], [3]), "times of its recording 1 must lie between 0 and 60 seconds"),
    "unequal": (spiking([0.1, 0.2], [3]), "its recording 1 must have one time for each of at most 262144 units, not 2 and 1"),
    "many": (spiking(np.zeros((1 << 18) + 1), np.zeros((1 << 18) + 1)),
             "its recording 1 must have one time for each of at most 262144 units, not 262145 and 262145"),
}


@pytest.mark.parametrize(("write", "message"), HOSTILE_SHD.values(), ids=HOSTILE_SHD.keys())
def test_hostile_spoken_digits_are_refused(shd, write, message):
    path = shd / "shd_test.h5"
    write(path)
    with pytest.raises(FileError, match=f"^SHD file {re.escape(repr(str(path)))} is not usable: {re.escape(message)}$"):
        load("shd", timesteps=2)


@pytest.mark.parametrize("case", ["text", "empty", "head", "half", "most", "overwritten"])
def test_damaged_spoken_digits_are_refused(shd, case):
    path = shd / "shd_train.h5"
    content = path.read_bytes()
    zeroed = content[:4000] + bytes(len(content) - 4000)
    path.write_bytes({"text": b"text", "empty": b"", "head": content[:600], "half": content[:len(content) // 2],
                      "most": content[:-100], "overwritten": zeroed}[case])
    with pytest.raises(FileError, match=f"^SHD file {re.escape(repr(str(path)))} (must be an HDF5 file, and is damaged or "
                                        r"something else|is not usable: .*)$"):
        load("shd", timesteps=2)


def test_a_file_that_takes_for_ever_is_refused(shd, monkeypatch):
    monkeypatch.setattr(event_data, "SHD_SECONDS", 0.0)
    with pytest.raises(FileError, match=r"^SHD file '.*shd_train.h5' must be an HDF5 file, and is damaged or something else$"):
        load("shd", timesteps=2)


def test_spoken_digits_must_fit_in_memory(shd):
    with pytest.raises(UsageError, match=r"^SHD of 3 samples with 2000000 timesteps and 700 inputs must be at most 2147483648 "):
        load("shd", timesteps=2_000_000)


def test_both_sides_of_the_unpacking_agree():
    assert (event_data.SHD_REFUSED, event_data.SHD_SAMPLES, event_data.SHD_EVENTS) == (
        shd_unpack.REFUSED, shd_unpack.MAX_SAMPLES, shd_unpack.MAX_EVENTS)
    assert (event_data.SHD_SHAPE, len(SHD_WORDS)) == ((shd_unpack.CHANNELS,), shd_unpack.CLASSES)
    assert event_data.SHD_SECONDS > shd_unpack.MAX_SECONDS


# --- what is there, and what is not

@pytest.mark.parametrize(("name", "message"), [
    ("dvs-gesture",
     "the data set 'dvs-gesture' needs ibmGestureTrain, ibmGestureTest in '{}/DVSGesture'; unpack ibmGestureTrain from "
     "ibmGestureTrain.tar.gz (md5 3a8f0d4120a166bac7591f77409cb105), ibmGestureTest from ibmGestureTest.tar.gz (md5 "
     "56070e45dadaa85fff82e0fbfbc06de5), which figshare (https://figshare.com/ndownloader/files/38022171 and .../38020584) has, "
     "or let `snnhw data fetch dvs-gesture` do so; set SNNHW_DATA to the folder that contains DVSGesture"),
    ("shd",
     "the data set 'shd' needs shd_train.h5, shd_test.h5 in '{}/SHD'; unpack shd_train.h5 from shd_train.h5.zip (md5 "
     "f3252aeb598ac776c1b526422d90eecb), shd_test.h5 from shd_test.h5.zip (md5 1503a5064faa34311c398fb0a1ed0a6f), which "
     "https://zenkelab.org/datasets/ has, or let `snnhw data fetch shd` do so; set SNNHW_DATA to the folder that contains SHD"),
])
def test_missing_files_are_named(data, name, message):
    with pytest.raises(FileError, match=f"^{re.escape(message.format(data))}$"):
        load(name)
    assert list(data.iterdir()) == []


def test_only_what_is_missing_is_named(shd):
    (shd / "shd_test.h5").unlink()
    with pytest.raises(FileError, match=r"^the data set 'shd' needs shd_test\.h5 in '.*'; unpack shd_test\.h5 from "
                                        r"shd_test\.h5\.zip \(md5 1503a5064faa34311c398fb0a1ed0a6f\), which "):
        load("shd")


@pytest.mark.parametrize("name", ["digits", "mnist", "gsc-kws01"])
def test_other_data_have_no_events(name):
    with pytest.raises(UsageError, match=f"^recipe events must be left out for data '{name}'; they are for 'nmnist', 'braille', "
                                         "'dvs-gesture', 'dvs128-gesture', 'shd'$"):
        load(name, framing="count")


def test_recipes_say_how_events_are_framed(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('data = "dvs-gesture"\n[events]\nframing = "count"\ndownsample = 4\nlevels = 3\n')
    assert load_recipe(path).events == EventConfig(framing="count", downsample=4, levels=3)
    for line, message in (("levels = 256", "events.levels is wrong: Input should be less than or equal to 255"),
                          ("frames = 3", "events.frames is wrong: Extra inputs are not permitted"),
                          ("downsample = 0", "events.downsample is wrong: Input should be greater than or equal to 1")):
        path.write_text(f'data = "shd"\n[events]\n{line}\n')
        with pytest.raises(UsageError, match=f"^recipe {re.escape(repr(str(path)))}: {re.escape(message)}$"):
            load_recipe(path)


def test_counts_of_events_reach_the_graph(data):
    """Without [input] the forward takes a vector; its values go up to the levels of [events]."""
    from snnhw.compress.flow import input_node, load_data
    write_gestures(data)
    path = data / "recipe.toml"
    path.write_text('data = "dvs-gesture"\ntimesteps = 5\n[encoding]\nkind = "events"\n[events]\ndownsample = 8\nlevels = 7\n')
    recipe = load_recipe(path)
    found = load_data(recipe, data)
    entry = input_node(recipe, found)
    assert (found.shape, entry.shape, entry.lowest, entry.highest, entry.encoding.levels) == ((2, 16, 16), (512,), 0, 7, 1)
    assert 1 < found.train_values.max() <= 7


def test_the_catalogue_has_every_set():
    assert set(CATALOGUE) == set(SETS) >= set(EVENT_SETS)
    for source in CATALOGUE.values():
        assert {item.target for item in source.archives} <= set(source.files)
        assert source.content
        assert source.licence


def test_the_documentation_has_every_set():
    text = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()
    for source in CATALOGUE.values():
        row = re.search(rf'^\| `"{source.name}"` \|.*$', text, re.MULTILINE)[0]
        assert row.endswith(f"| {source.licence} |")
        assert source.place in row
    for field in EventConfig.model_fields:
        assert f"`{field}" in text


class Tonic:
    """What stands in for tonic's data sets: it leaves files as they do."""

    asked: list

    def __init__(self, save_to, train):
        self.asked.append(train)
        print("Downloading")
        write_shd(Path(save_to) / "SHD" / f"shd_{'train' if train else 'test'}.h5")


@pytest.fixture
def tonic(monkeypatch):
    """A package of that name."""
    module = types.ModuleType("tonic.datasets")
    module.SHD = type("SHD", (Tonic,), {"asked": []})
    monkeypatch.setitem(sys.modules, "tonic", types.ModuleType("tonic"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", module)
    monkeypatch.setattr(event_data, "require_package", lambda *_: None)
    return module


def test_fetching_is_left_to_tonic(data, tonic, capsys):
    assert fetch("shd") == data / "SHD"
    assert (tonic.SHD.asked, len(load("shd").train_labels)) == ([True, False], 3)
    assert capsys.readouterr().out == ""
    fetch("shd")
    assert tonic.SHD.asked == [True, False]  # it was there


def test_what_tonic_cannot_fetch_is_said(data, tonic):
    def refuse(save_to, train):
        raise OSError("no network")
    tonic.SHD = refuse
    with pytest.raises(FileError, match=r"^the data set 'shd' cannot be fetched from https://zenkelab\.org/datasets/: "
                                        r"no network$"):
        fetch("shd")
    with pytest.raises(UsageError, match=r"^data set to fetch must be 'dvs-gesture' or 'shd', not 'mnist'$"):
        fetch("mnist")


@pytest.mark.skipif(importlib.util.find_spec("tonic") is not None, reason="tonic is installed")
def test_fetching_needs_tonic(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"^fetching the data set 'shd' needs the package 'tonic', install it with: "
                                          r"pip install 'snnhw\[events\]'$"):
        fetch("shd")


def test_tonic_reads_the_same_events(tmp_path, monkeypatch):
    """tonic's own classes read the same events from the same files."""
    datasets = pytest.importorskip("tonic.datasets", reason="tonic is not installed: pip install 'snnhw[events]'")
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    for split, trials in (("Train", range(1, 11)), ("Test", range(11, 21))):
        (tmp_path / "DVSGesture").mkdir(exist_ok=True)
        (tmp_path / f"DVSGesture/ibmGesture{split}.tar.gz").touch()
        for trial in trials:
            folder = tmp_path / f"DVSGesture/ibmGesture{split}/user{trial:02d}_lab"
            folder.mkdir(parents=True)
            for label in range(11):
                np.save(folder / f"{label}.npy", gesture(20 * label + trial, 60).astype(float))
    for split in ("train", "test"):
        write_shd(tmp_path / f"SHD/shd_{split}.h5")
        (tmp_path / f"SHD/shd_{split}.h5.zip").touch()
    for name, make in (("dvs-gesture", datasets.DVSGesture), ("shd", datasets.SHD)):
        ours = load(name, framing="count", timesteps=4, **COUNTS)
        theirs = make(str(tmp_path), train=True)
        assert len(theirs) == len(ours.train_labels)
        samples = [(target, equal_counts(events["x"], events["y"] if "y" in events.dtype.names else 0 * events["x"],
                                         events["p"].astype(int) * (len(ours.shape) > 1), 4, *((128, 128) if len(ours.shape) > 1
                                                                                               else (1, 700))))
                   for events, target in theirs]
        wanted = sorted((int(target), (frames if len(ours.shape) > 1 else frames[:, :1]).astype(np.uint8).tobytes())
                        for target, frames in samples)
        assert wanted == sorted((int(label), sample.tobytes()) for label, sample
                                in zip(ours.train_labels, ours.train_values, strict=True))


# --- the real data

def real(name, **options):
    """Load from the folder of the data, or skip with the message that names the files."""
    try:
        return load(name, **options)
    except FileError as error:
        pytest.skip(str(error))


def test_the_real_digits_in_every_framing():
    counted = real("nmnist", timesteps=20, framing="count", most=50, levels=255)
    spanned = real("nmnist", timesteps=20, framing="span", most=50, levels=255)
    binned = real("nmnist", timesteps=20, framing="time", bin_us=20_000, most=50, levels=255)
    assert counted.train_values.shape == (50, 20, 2312)
    events = counted.train_values.sum(axis=(1, 2), dtype=int)
    assert np.array_equal(events, spanned.train_values.sum(axis=(1, 2), dtype=int))
    assert np.array_equal(events, binned.train_values.sum(axis=(1, 2), dtype=int))  # 0.4 s hold the whole recording
    each = counted.train_values.sum(axis=2, dtype=int)
    assert np.array_equal(each[:, :-1], np.repeat(events[:, None] // 20, 19, axis=1))
    small = real("nmnist", timesteps=20, framing="count", most=50, downsample=2, polarity="merged", levels=255)
    assert small.shape == (1, 17, 17)
    assert np.array_equal(small.train_values.sum(axis=2, dtype=int), each)


def test_the_real_letters_in_every_framing():
    usual = real("braille", timesteps=64)
    for options in ({"framing": "time"}, {"framing": "time", "bin_us": 20_000}):
        assert np.array_equal(real("braille", timesteps=64, **options).test_values, usual.test_values)
    counted = real("braille", timesteps=64, framing="count", levels=255)
    whole = real("braille").test_values.sum(axis=(1, 2), dtype=int)
    assert np.array_equal(counted.test_values.sum(axis=(1, 2), dtype=int), whole)
    each = counted.test_values.sum(axis=2, dtype=int)
    assert np.array_equal(each[:, :-1], np.repeat(whole[:, None] // 64, 63, axis=1))
