"""Labelled samples: integers per input, not yet spikes."""

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import snnhw
from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes, read_tensors
from snnhw.tools import require_package

__all__ = ["Dataset", "load_dataset"]

DIGITS_TEST = 400
IDX_LIMIT = 1 << 26  # bytes of a decompressed file
SPLITS = ("train_values", "train_labels", "test_values", "test_labels")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split.

    Parameters
    ----------
    name : str
        For reports.
    levels : int
        Largest value of an input.
    train_values, test_values : uint8 or uint16 array, (samples, inputs); for events 0 or 1, (samples, timesteps, inputs)
        Inputs.
    train_labels, test_labels : int64 array, (samples,)
        Classes from 0.
    """

    name: str
    levels: int
    train_values: np.ndarray
    train_labels: np.ndarray
    test_values: np.ndarray
    test_labels: np.ndarray

    @property
    def inputs(self) -> int:
        return int(self.train_values.shape[-1])

    @property
    def classes(self) -> int:
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1


def load_dataset(source: str, seed: int, folder: Path) -> Dataset:
    """Load what a recipe names.

    Parameters
    ----------
    source : str
        ``"digits"``, ``"mnist"`` or the name of a safetensors file in `folder`.
    seed : int
        Splits the digits.
    folder : Path
        Folder of the recipe.
    """
    if source == "digits":
        return _digits(seed)
    if source == "mnist":
        return _mnist()
    if source.endswith(".safetensors"):
        return _file(folder / source)
    raise UsageError(f"recipe data must be 'digits', 'mnist' or a .safetensors file, not {source!r}")


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


def _mnist() -> Dataset:
    folder = _data_folder() / "MNIST" / "raw"
    names = {f"{split}_{part}": folder / f"{prefix}-{kind}-ubyte.gz"
             for split, prefix in (("train", "train"), ("test", "t10k"))
             for part, kind in (("values", "images-idx3"), ("labels", "labels-idx1"))}
    missing = [path.name for path in names.values() if not path.is_file()]
    if missing:
        raise FileError(f"the data set 'mnist' needs {', '.join(missing)} in {str(folder)!r}; "
                        f"set SNNHW_DATA to the folder that contains MNIST/raw")
    arrays = {name: _idx(path, "MNIST file", 3 if name.endswith("values") else 1) for name, path in names.items()}
    return _checked("mnist", 255, {name: array.reshape(len(array), -1) if name.endswith("values") else array
                                   for name, array in arrays.items()})


def _file(path: Path) -> Dataset:
    arrays, _ = read_tensors(path, "data file")
    if set(arrays) != set(SPLITS):
        raise FileError(f"data file {str(path)!r} must hold {', '.join(SPLITS)}, not {', '.join(sorted(arrays)) or 'nothing'}")
    if any(array.dtype.kind not in "iub" for array in arrays.values()):
        raise FileError(f"data file {str(path)!r} must hold integers only")
    levels = max(1, int(max(arrays["train_values"].max(initial=0), arrays["test_values"].max(initial=0))))
    return _checked(path.stem, levels, arrays)


def _checked(name: str, levels: int, arrays: dict[str, np.ndarray]) -> Dataset:
    for split in ("train", "test"):
        values, labels = arrays[f"{split}_values"], arrays[f"{split}_labels"]
        if values.ndim not in (2, 3) or labels.shape != values.shape[:1] or not len(labels):
            raise FileError(f"data set {name!r} must have one label for each sample of its {split} split, "
                            f"not shape {labels.shape} for {values.shape}")
        if values.min() < 0 or values.max() > 65535 or labels.min() < 0:
            raise FileError(f"data set {name!r} must hold values between 0 and 65535 and labels from 0")
    if arrays["train_values"].shape[1:] != arrays["test_values"].shape[1:]:
        raise FileError(f"data set {name!r} must have one shape of samples in both splits")
    kind = np.uint8 if levels < 256 else np.uint16
    return Dataset(name, levels, arrays["train_values"].astype(kind), arrays["train_labels"].astype(np.int64),
                   arrays["test_values"].astype(kind), arrays["test_labels"].astype(np.int64))
