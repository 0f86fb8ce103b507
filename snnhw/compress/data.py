"""Labelled samples: integers per input, not yet spikes."""

import gzip
import importlib.util
import math
import operator
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from snnhw.compress.catalogue import CATALOGUE
from snnhw.compress.event_data import (
    DVS_SHAPE,
    GESTURES,
    SHD_SHAPE,
    SHD_WORDS,
    read_dvs128_gesture,
    read_dvs_gesture,
    read_shd,
)
from snnhw.compress.framing import EventConfig, Framer
from snnhw.compress.recordings import (
    BRAILLE_SHAPE,
    BRAILLE_STEP_US,
    GSC_WORDS,
    NMNIST_SHAPE,
    read_braille,
    read_braille_events,
    read_gsc,
    read_nmnist,
)
from snnhw.errors import FileError, SnnhwError, UsageError
from snnhw.files import read_bytes, read_tensors
from snnhw.tools import require_package

__all__ = ["Dataset", "load_dataset"]

DIGITS_TEST = 400
IDX_LIMIT = 1 << 26  # bytes of a decompressed file
BRAILLE_TIMESTEPS = 256
GSC_TIMESTEPS = 200
NMNIST_BIN_US = 1000
SHD_SPAN_US = 1_400_000
BRAILLE_NAMES = ("Space", "A", "E", "I", "O", "U", "Y")
FASHION_NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SETS = tuple(CATALOGUE)
USUAL_TIMESTEPS = {"nmnist": 300, "braille": BRAILLE_TIMESTEPS, "dvs-gesture": 20, "dvs128-gesture": 20, "shd": 100}
EVENT_SETS = tuple(USUAL_TIMESTEPS)
SPLITS = ("train_values", "train_labels", "test_values", "test_labels")
EXTRAS = ("names", "shape", "levels")  # what a loader of the user may return besides


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split.

    Parameters
    ----------
    name : str
        For reports.
    levels : int
        Largest magnitude of an input.
    train_values, test_values : integer array, (samples, inputs); for events (samples, timesteps, inputs)
        Inputs: uint8 or uint16, int8 if there are negative ones.
    train_labels, test_labels : int64 array, (samples,)
        Classes from 0; for training -1 marks a sample of none of them, good for calibration only.
    shape : tuple of int
        Shape of the inputs of one timestep, channels first; their product is the number of inputs. ``(inputs,)`` if empty.
    names : tuple of str
        Name of each class, where the set has them.
    """

    name: str
    levels: int
    train_values: np.ndarray
    train_labels: np.ndarray
    test_values: np.ndarray
    test_labels: np.ndarray
    shape: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.shape:
            object.__setattr__(self, "shape", (self.inputs,))
        if math.prod(self.shape) != self.inputs:
            raise ValueError(f"Dataset shape must have {self.inputs} elements, not {self.shape}")

    @property
    def inputs(self) -> int:
        return int(self.train_values.shape[-1])

    @property
    def classes(self) -> int:
        return len(self.names) or int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @property
    def timesteps(self) -> int | None:
        """Length of a recording; None for still samples."""
        return int(self.train_values.shape[1]) if self.train_values.ndim == 3 else None


def load_dataset(source: str, seed: int, folder: Path, *, timesteps: int | None = None, levels: int | None = None,
                 bin_us: int = NMNIST_BIN_US, combine: Literal["or", "sum"] = "or", most: int | None = None,
                 events: EventConfig | None = None) -> Dataset:
    """Load what a recipe names; see docs/data.md.

    ``"digits"`` comes with scikit-learn, all other names of ``SETS`` are read from the folder that the environment variable
    ``SNNHW_DATA`` names. Nothing is ever downloaded.

    Parameters
    ----------
    source : str
        One of these, or the name of a safetensors or Python file in `folder`; the latter is the user's own code and is executed.
    seed : int
        Splits the digits.
    folder : Path
        Folder of the recipe.
    timesteps : int or None
        Length of a recording: the number of frames of ``"nmnist"`` (300 if None), ``"shd"`` (100) and of the gestures (20), a
        divisor of the 256 of ``"braille"``. Still samples have no length and ignore it.
    levels : int or None
        Scale the pixels of ``"mnist"`` and ``"fashion"`` from 0..255 to 0..levels: ``(v*levels + 127) // 255``.
    bin_us : int
        Microseconds of a bin of ``"nmnist"``, where `events` does not say.
    combine : str
        Whether a longer timestep of ``"braille"`` takes the ``"or"`` or the ``"sum"`` of its parts, where `events` is None.
    most : int or None
        Keep only the first samples of each split.
    events : EventConfig or None
        How events become timesteps, for the sets of ``EVENT_SETS``. None: bins of `bin_us` for ``"nmnist"``, the file's own steps
        for ``"braille"``, equal counts for the gestures, T bins that cover 1.4 s for ``"shd"``; binary.
    """
    for name, value in (("timesteps", timesteps), ("levels", levels), ("bin_us", bin_us), ("most", most)):
        if value is not None and value < 1:
            raise UsageError(f"{name} of a data set must be at least 1, not {value}")
    if combine not in ("or", "sum"):
        raise UsageError(f"combine of a data set must be 'or' or 'sum', not {combine!r}")
    if events is not None and source not in EVENT_SETS:
        raise UsageError(f"recipe events must be left out for data {source!r}; they are for {', '.join(map(repr, EVENT_SETS))}")
    if source == "digits":
        data = _digits(seed)
    elif source == "mnist":
        data = _images("mnist", levels)
    elif source == "fashion":
        data = _images("fashion", levels, FASHION_NAMES)
    elif source in EVENT_SETS and (source != "braille" or events is not None):
        data = _frames(source, timesteps, bin_us, most, events or EventConfig())
    elif source == "braille":
        path = _present(source)
        arrays = read_braille(path, timesteps or BRAILLE_TIMESTEPS, combine)
        data = _checked(source, max(1, int(arrays["train_values"].max(initial=0)), int(arrays["test_values"].max(initial=0))),
                        arrays, names=BRAILLE_NAMES)
    elif source == "gsc-kws01":
        data = _checked(source, 1, read_gsc(_present(source), timesteps or GSC_TIMESTEPS), names=GSC_WORDS)
    elif source.endswith(".safetensors"):
        data = _file(folder / source)
    elif source.endswith(".py"):
        data = _module(folder / source)
    else:
        raise UsageError(f"recipe data must be {', '.join(map(repr, SETS))} or a .safetensors or .py file, not {source!r}")
    if most is None:
        return data
    return replace(data, **{split: getattr(data, split)[:most] for split in SPLITS})


def _digits(seed: int) -> Dataset:
    require_package("sklearn", "train", "the data set 'digits'")
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    values, labels = digits.data[order].astype(np.uint8), digits.target[order].astype(np.int64)
    return Dataset("digits", 16, values[DIGITS_TEST:], labels[DIGITS_TEST:], values[:DIGITS_TEST], labels[:DIGITS_TEST])


def _idx(path: Path, what: str, dimensions: int) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes, within a budget."""
    content = read_bytes(path, what)
    try:
        with gzip.open(path) as file:
            content = file.read(IDX_LIMIT + 1)
    except (OSError, EOFError, zlib.error):
        raise FileError(f"{what} {str(path)!r} must be a gzipped IDX file, and is damaged or something else") from None
    if len(content) > IDX_LIMIT:
        raise FileError(f"{what} {str(path)!r} must be at most {IDX_LIMIT} bytes when decompressed")
    header = 4 + 4 * dimensions
    sizes = np.frombuffer(content[4:header], ">u4").astype(np.int64) if len(content) >= header else np.zeros(0, np.int64)
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) - header != np.prod(sizes):
        raise FileError(f"{what} {str(path)!r} must be an IDX file of bytes with {dimensions} dimension(s), and is not")
    return np.frombuffer(content[header:], np.uint8).reshape(sizes)


def _present(source: str) -> Path:
    """Return the path of the last file of a data set; refuse if any is missing."""
    return CATALOGUE[source].present() / CATALOGUE[source].files[-1]


def _frames(source: str, timesteps: int | None, bin_us: int, most: int | None, events: EventConfig) -> Dataset:
    """Read recordings of events as frames."""
    folder = CATALOGUE[source].present()
    path = folder / CATALOGUE[source].files[-1]

    steps = timesteps or USUAL_TIMESTEPS[source]
    usual_us = {"nmnist": bin_us, "braille": -(-BRAILLE_TIMESTEPS * BRAILLE_STEP_US // steps), "shd": -(-SHD_SPAN_US // steps)}
    usual = "count" if source.endswith("gesture") else "time"
    config = events.model_copy(update={"framing": events.framing or usual, "bin_us": events.bin_us or usual_us.get(source)})
    if config.framing == "time" and config.bin_us is None:
        raise UsageError(f"events.bin_us must be given for framing 'time' of data {source!r}")
    if source == "nmnist":
        framer = Framer("N-MNIST", NMNIST_SHAPE, steps, config)
        arrays, names = read_nmnist(path, framer, most), tuple("0123456789")
    elif source == "braille":
        framer = Framer("braille", BRAILLE_SHAPE, steps, config)
        arrays, names = read_braille_events(path, framer), BRAILLE_NAMES
    elif source == "shd":
        framer = Framer("SHD", SHD_SHAPE, steps, config)
        arrays, names = read_shd(folder, framer, most), SHD_WORDS
    else:
        framer = Framer("DVS-Gesture", DVS_SHAPE, steps, config)
        read = read_dvs_gesture if source == "dvs-gesture" else read_dvs128_gesture
        arrays, names = read(folder, framer, most), GESTURES
    return _checked(source, events.levels, arrays, framer.shape, names)


def _images(source: str, levels: int | None, names: tuple[str, ...] = ()) -> Dataset:
    """Read four IDX files in the format of MNIST."""
    files = {f"{split}_{part}": f"{prefix}-{kind}-ubyte.gz"
             for split, prefix in (("train", "train"), ("test", "t10k"))
             for part, kind in (("values", "images-idx3"), ("labels", "labels-idx1"))}
    folder = CATALOGUE[source].present()
    what = "MNIST file" if source == "mnist" else "Fashion-MNIST file"
    arrays = {name: _idx(folder / file, what, 3 if name.endswith("values") else 1) for name, file in files.items()}
    shape = (1, *arrays["train_values"].shape[1:])
    for split in ("train_values", "test_values"):
        if levels is not None:
            arrays[split] = (arrays[split].astype(np.uint32) * levels + 127) // 255
        arrays[split] = arrays[split].reshape(len(arrays[split]), math.prod(arrays[split].shape[1:]))
    return _checked(source, levels or 255, arrays, shape, names)


def _file(path: Path) -> Dataset:
    arrays, _ = read_tensors(path, "data file")
    if set(arrays) != set(SPLITS):
        raise FileError(f"data file {str(path)!r} must hold {', '.join(SPLITS)}, not {', '.join(sorted(arrays)) or 'nothing'}")
    if any(array.dtype.kind not in "iub" for array in arrays.values()):
        raise FileError(f"data file {str(path)!r} must hold integers only")
    levels = max(1, *(int(abs(function(arrays[split], initial=0)))
                      for split in ("train_values", "test_values") for function in (np.min, np.max)))
    return _checked(path.stem, levels, arrays)


def _module(path: Path) -> Dataset:
    """Run the user's own loader, and return what its function ``dataset`` returns."""
    what = f"data module {str(path)!r}"
    if not path.is_file():
        raise FileError(f"{what} does not exist")
    spec = importlib.util.spec_from_file_location(f"snnhw_data_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SnnhwError:
        raise
    except Exception as error:
        raise UsageError(f"{what} must run, and fails with {type(error).__name__}: {error}") from error
    function = getattr(module, "dataset", None)
    if not callable(function):
        raise UsageError(f"{what} must define a function dataset")
    try:
        found = function()
    except SnnhwError:
        raise
    except Exception as error:
        raise UsageError(f"{what}: dataset() must take no arguments and return a mapping, and fails with "
                         f"{type(error).__name__}: {error}") from error
    if not isinstance(found, Mapping):
        raise UsageError(f"{what}: dataset() must return a mapping, not {type(found).__name__}")
    unknown = [str(name) for name in found if name not in (*SPLITS, *EXTRAS)]
    missing = [name for name in SPLITS if name not in found]
    if missing or unknown:
        raise UsageError(f"{what}: dataset() must return {', '.join(SPLITS)}, and may return {', '.join(EXTRAS)}; "
                         + " and ".join([f"it lacks {', '.join(missing)}"] * bool(missing)
                                        + [f"it has {', '.join(unknown)}"] * bool(unknown)))
    return _from_module(what, path.stem, found)


def _from_module(what: str, name: str, found: Mapping[str, Any]) -> Dataset:
    """Check and flatten what a loader of the user returned."""
    try:
        arrays = {split: np.asarray(found[split]) for split in SPLITS}
        shape = tuple(operator.index(size) for size in found.get("shape") or ())
        levels = operator.index(found.get("levels") or 0)
        names = tuple(map(str, found.get("names") or ()))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{what}: dataset() must return arrays, whole numbers for shape and levels, and text for names: "
                         f"{error}") from error
    for split, array in arrays.items():
        if array.dtype.kind not in "iub":
            raise UsageError(f"{what}: {split} must be integers, not {array.dtype}; scale and round them")
    for split in ("train_values", "test_values"):
        array = arrays[split]
        if array.ndim in (4, 5):  # frames have channels, height and width
            if shape not in ((), array.shape[-3:]):
                raise UsageError(f"{what}: shape must be {array.shape[-3:]} as {split} has, not {shape}")
            shape = array.shape[-3:]
            arrays[split] = array.reshape(*array.shape[:-3], math.prod(shape))
        elif array.ndim not in (2, 3):
            raise UsageError(f"{what}: {split} must be (samples, inputs) or (samples, timesteps, inputs), where inputs may be "
                             f"channels, height and width, not {array.shape}")
    if shape and math.prod(shape) != arrays["train_values"].shape[-1]:
        raise UsageError(f"{what}: shape must have {arrays['train_values'].shape[-1]} elements, not be {shape}")
    highest = max(1, *(int(abs(function(arrays[split].astype(np.int64), initial=0)))
                       for split in ("train_values", "test_values") for function in (np.min, np.max)))
    if levels and levels < highest:
        raise UsageError(f"{what}: levels must be at least {highest}, the largest value of the data, not {levels}")
    return _checked(name, levels or highest, arrays, shape, names)


def _checked(name: str, levels: int, arrays: dict[str, np.ndarray], shape: tuple[int, ...] = (),
             names: tuple[str, ...] = ()) -> Dataset:
    lowest = 0
    for split in ("train", "test"):
        values, labels = arrays[f"{split}_values"], arrays[f"{split}_labels"]
        if values.ndim not in (2, 3) or labels.shape != values.shape[:1] or not values.size:
            raise FileError(f"data set {name!r} must have one label for each sample of its {split} split, "
                            f"not shape {labels.shape} for {values.shape}")
        lowest = min(lowest, int(values.min()))
        lowest_label = -1 if names and split == "train" else 0
        if lowest < (-128 if values.ndim == 3 else 0) or values.max() > 65535 or labels.min() < lowest_label:
            raise FileError(f"data set {name!r} must hold values between 0 and 65535 and labels from 0")
        if names and labels.max() >= len(names):
            raise FileError(f"data set {name!r} must have labels from 0 to {len(names) - 1}, not {labels.max()}")
    if lowest < 0 and max(arrays["train_values"].max(), arrays["test_values"].max()) > 127:
        raise FileError(f"data set {name!r} must hold values between -128 and 127 as there are negative ones")
    if arrays["train_values"].shape[1:] != arrays["test_values"].shape[1:]:
        raise FileError(f"data set {name!r} must have one shape of samples in both splits")
    kind = np.int8 if lowest < 0 else np.uint8 if levels < 256 else np.uint16
    return Dataset(name, levels, arrays["train_values"].astype(kind, copy=False), arrays["train_labels"].astype(np.int64),
                   arrays["test_values"].astype(kind, copy=False), arrays["test_labels"].astype(np.int64), shape, names)
