"""Labelled samples: integers per input, not yet spikes."""

import gzip
import math
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

import snnhw
from snnhw.compress.recordings import GSC_WORDS, NMNIST_SHAPE, read_braille, read_gsc, read_nmnist
from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes, read_tensors
from snnhw.tools import require_package

__all__ = ["Dataset", "load_dataset"]

DIGITS_TEST = 400
IDX_LIMIT = 1 << 26  # bytes of a decompressed file
NMNIST_TIMESTEPS = 300
BRAILLE_TIMESTEPS = 256
GSC_TIMESTEPS = 200
BRAILLE_NAMES = ("Space", "A", "E", "I", "O", "U", "Y")
FASHION_NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SETS = ("digits", "mnist", "fashion", "nmnist", "braille", "gsc-kws01")
SPLITS = ("train_values", "train_labels", "test_values", "test_labels")


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
                 bin_us: int = 1000, combine: Literal["or", "sum"] = "or", most: int | None = None) -> Dataset:
    """Load what a recipe names.

    ``"digits"`` comes with scikit-learn, ``"mnist"``, ``"fashion"``, ``"nmnist"``, ``"braille"`` and ``"gsc-kws01"`` are read
    from the folder that the environment variable ``SNNHW_DATA`` names.

    Parameters
    ----------
    source : str
        One of these, or the name of a safetensors file in `folder`.
    seed : int
        Splits the digits.
    folder : Path
        Folder of the recipe.
    timesteps : int or None
        Length of a recording: the number of bins of ``"nmnist"`` (300 if None), a divisor of the 256 of ``"braille"``.
        Still samples have no length and ignore it.
    levels : int or None
        Scale the pixels of ``"mnist"`` and ``"fashion"`` from 0..255 to 0..levels: ``(v*levels + 127) // 255``.
    bin_us : int
        Microseconds of a bin of ``"nmnist"``.
    combine : str
        Whether a longer timestep of ``"braille"`` takes the ``"or"`` or the ``"sum"`` of its parts.
    most : int or None
        Keep only the first samples of each split.
    """
    for name, value in (("timesteps", timesteps), ("levels", levels), ("bin_us", bin_us), ("most", most)):
        if value is not None and value < 1:
            raise UsageError(f"{name} of a data set must be at least 1, not {value}")
    if combine not in ("or", "sum"):
        raise UsageError(f"combine of a data set must be 'or' or 'sum', not {combine!r}")
    if source == "digits":
        data = _digits(seed)
    elif source == "mnist":
        data = _images("mnist", "MNIST", levels)
    elif source == "fashion":
        data = _images("fashion", "FashionMNIST", levels, FASHION_NAMES)
    elif source == "nmnist":
        path = _present(source, "NMNIST-small", "NMNIST.tar.xz")
        data = _checked(source, 1, read_nmnist(path, timesteps or NMNIST_TIMESTEPS, bin_us, most), NMNIST_SHAPE,
                        tuple("0123456789"))
    elif source == "braille":
        path = _present(source, "Braille7", "braille7_trainval.npz")
        arrays = read_braille(path, timesteps or BRAILLE_TIMESTEPS, combine)
        data = _checked(source, max(1, int(arrays["train_values"].max(initial=0)), int(arrays["test_values"].max(initial=0))),
                        arrays, names=BRAILLE_NAMES)
    elif source == "gsc-kws01":
        path = _present(source, "GSC-kws01", "kws01_delta_events.npz")
        data = _checked(source, 1, read_gsc(path, timesteps or GSC_TIMESTEPS), names=GSC_WORDS)
    elif source.endswith(".safetensors"):
        data = _file(folder / source)
    else:
        raise UsageError(f"recipe data must be {', '.join(map(repr, SETS))} or a .safetensors file, not {source!r}")
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


def _data_folder() -> Path:
    chosen = os.environ.get("SNNHW_DATA")
    return Path(chosen) if chosen else Path(snnhw.__file__).resolve().parents[2] / "shared" / "data"


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


def _present(source: str, place: str, *names: str) -> Path:
    """Return the path of the last of `names`, files in the folder `place` of the data; refuse if any is missing."""
    folder = _data_folder() / place
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileError(f"the data set {source!r} needs {', '.join(missing)} in {str(folder)!r}; "
                        f"set SNNHW_DATA to the folder that contains {place}")
    return folder / names[-1]


def _images(source: str, place: str, levels: int | None, names: tuple[str, ...] = ()) -> Dataset:
    """Read four IDX files in the format of MNIST."""
    files = {f"{split}_{part}": f"{prefix}-{kind}-ubyte.gz"
             for split, prefix in (("train", "train"), ("test", "t10k"))
             for part, kind in (("values", "images-idx3"), ("labels", "labels-idx1"))}
    folder = _present(source, f"{place}/raw", *files.values()).parent
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
