"""Where jobs run: processes of this machine, or an engine that is there already.

An engine takes jobs and gives back what became of them. A job is a small JSON object, its result another one; everything larger
goes through the folder of the sweep, which every machine of an engine must see under the same path.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from snnhw.errors import UsageError
from snnhw.sweep.stages import run_job
from snnhw.tools import require_package

__all__ = ["DaskEngine", "Done", "Engine", "LocalEngine", "RayEngine", "SlurmEngine", "make_engine"]

Job = Mapping[str, Any]
_THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class Done:
    """What became of a job.

    Attributes
    ----------
    job : mapping
        As it was submitted.
    result : dict or None
        What it returned.
    error : Exception or None
        What it raised.
    died : bool
        Its worker ended without an answer.
    """

    job: Job
    result: dict[str, Any] | None = None
    error: BaseException | None = None
    died: bool = False


class Engine(Protocol):
    """Runs jobs."""

    def submit(self, job: Job) -> None:
        """Take a job; it runs when there is room."""

    def gather(self, timeout_s: float) -> list[Done]:
        """Return the jobs that are over since the last call, after waiting for one for at most `timeout_s`."""

    def close(self) -> None:
        """Stop everything that still runs."""


def _begin(parent: int) -> None:
    """Set a worker up: out of reach of the terminal's Ctrl-C, and not outliving its coordinator."""
    with suppress(OSError):
        os.setsid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


class _Worker:
    """One process. A pool of one, so that it is known whose job ended it."""

    def __init__(self) -> None:
        before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(_THREADS)  # read when numpy and torch are loaded, in the new process
        try:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), _begin, (os.getpid(),))
            self._pid = self._pool.submit(os.getpid)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def submit(self, job: Job) -> "Future[dict[str, Any]]":
        return self._pool.submit(run_job, dict(job))

    def stop(self) -> None:
        """End the process, and what it started."""
        if self._pid.done() and self._pid.exception() is None:
            with suppress(OSError):
                os.killpg(self._pid.result(), signal.SIGKILL)
        self._pool.shutdown(wait=True, cancel_futures=True)


class LocalEngine:
    """Processes of this machine, each with one thread.

    Parameters
    ----------
    jobs : int
        How many.
    """

    def __init__(self, jobs: int):
        if not 1 <= jobs <= 1024:
            raise UsageError(f"jobs must be between 1 and 1024, not {jobs}")
        self._slots: list[_Worker | None] = [None] * jobs
        self._waiting: deque[Job] = deque()
        self._running: dict[Future[dict[str, Any]], tuple[int, Job]] = {}

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self._fill()

    def _fill(self) -> None:
        busy = {slot for slot, _ in self._running.values()}
        for slot, worker in enumerate(self._slots):
            if not self._waiting:
                return
            if slot not in busy:
                if worker is None:
                    self._slots[slot] = worker = _Worker()
                job = self._waiting.popleft()
                self._running[worker.submit(job)] = slot, job

    def gather(self, timeout_s: float) -> list[Done]:
        finished, _ = wait(self._running, timeout_s, FIRST_COMPLETED)
        result = []
        for future in finished:
            slot, job = self._running.pop(future)
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                worker, self._slots[slot] = self._slots[slot], None
                assert worker is not None
                worker.stop()
                result.append(Done(job, died=True))
            else:
                result.append(Done(job, error=error) if error is not None else Done(job, future.result()))
        self._fill()
        return result

    def close(self) -> None:
        self._waiting.clear()
        for worker in self._slots:
            if worker is not None:
                worker.stop()


class DaskEngine:
    """A Dask cluster that runs already.

    Parameters
    ----------
    address : str
        Of its scheduler, such as ``tcp://host:8786``.
    """

    def __init__(self, address: str):
        require_package("distributed", "engines", "Engine 'dask'")
        from distributed import Client
        self._client = Client(address)
        self._running: dict[Any, Job] = {}

    def submit(self, job: Job) -> None:
        # Not pure: Dask would answer a job that is run again after a crash from its memory.
        self._running[self._client.submit(run_job, dict(job), pure=False, retries=0)] = job

    def gather(self, timeout_s: float) -> list[Done]:
        from distributed import wait as wait_for
        from distributed.scheduler import KilledWorker
        with suppress(TimeoutError):
            wait_for(list(self._running), timeout=timeout_s, return_when="FIRST_COMPLETED")
        result = []
        for future in [future for future in self._running if future.done()]:
            job = self._running.pop(future)
            if future.status == "finished":
                result.append(Done(job, future.result()))
            else:
                error = future.exception() if future.status == "error" else None
                died = error is None or isinstance(error, KilledWorker)
                result.append(Done(job, error=None if died else error, died=died))
        return result

    def close(self) -> None:
        self._client.cancel(list(self._running))
        self._client.close()


class RayEngine:
    """A Ray cluster that runs already.

    Parameters
    ----------
    address : str
        Of the cluster, or ``"auto"`` for the one of this machine, or ``"local"`` to start one.
    """

    def __init__(self, address: str):
        require_package("ray", "engines", "Engine 'ray'")
        import ray
        ray.init(address=address, log_to_driver=False, configure_logging=False)
        self._remote = ray.remote(num_cpus=1, max_retries=0)(run_job)
        self._running: dict[Any, Job] = {}

    def submit(self, job: Job) -> None:
        self._running[self._remote.remote(dict(job))] = job

    def gather(self, timeout_s: float) -> list[Done]:
        import ray
        finished, _ = ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        result = []
        for reference in finished:
            job = self._running.pop(reference)
            try:
                result.append(Done(job, ray.get(reference)))
            except ray.exceptions.RayTaskError as error:
                result.append(Done(job, error=error.cause))
            except ray.exceptions.RayError:
                result.append(Done(job, died=True))
        return result

    def close(self) -> None:
        import ray
        for reference in self._running:
            ray.cancel(reference, force=True)
        ray.shutdown()


class SlurmEngine:
    """Slurm, through submitit: each job of the sweep is a job of Slurm.

    Parameters
    ----------
    folder : Path
        Where submitit keeps its scripts and logs; seen by every node.
    options : mapping of str to str
        Of ``sbatch``, such as ``partition``; ``time`` is in minutes.
    cluster : str
        What submitit calls the place: ``"slurm"``, or ``"local"`` and ``"debug"`` for tests.
    """

    POLL_SECONDS = 1.0

    def __init__(self, folder: Path, options: Mapping[str, str], cluster: str = "slurm"):
        require_package("submitit", "engines", "Engine 'slurm'")
        import submitit
        others = dict(options)
        minutes = others.pop("time", "240")
        if not minutes.isascii() or not minutes.isdigit() or not int(minutes):
            raise UsageError(f"engine 'slurm': time must be a positive number of minutes, not {minutes!r}")
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
        except RuntimeError as error:
            raise UsageError(f"engine 'slurm' must find sbatch on this machine: {error}") from None
        parameters: dict[str, Any] = {"timeout_min": int(minutes), "cpus_per_task": 1, "name": "snnhw"}
        if cluster == "slurm":
            parameters["slurm_additional_parameters"] = others
        self._executor.update_parameters(**parameters)
        self._running: list[tuple[Any, Job]] = []

    def submit(self, job: Job) -> None:
        self._running.append((self._executor.submit(run_job, dict(job)), job))

    def gather(self, timeout_s: float) -> list[Done]:
        from submitit.core.utils import FailedJobError, UncompletedJobError
        limit = time.monotonic() + timeout_s
        while not any(handle.done() for handle, _ in self._running) and time.monotonic() < limit:
            time.sleep(min(self.POLL_SECONDS, max(0.0, limit - time.monotonic())))
        over = [pair for pair in self._running if pair[0].done()]
        self._running = [pair for pair in self._running if pair not in over]
        result = []
        for handle, job in over:
            try:
                result.append(Done(job, handle.result()))
            except FailedJobError as error:  # the job raised something
                result.append(Done(job, error=error))
            except UncompletedJobError:
                result.append(Done(job, died=True))
        return result

    def close(self) -> None:
        for handle, _ in self._running:
            with suppress(Exception):  # the queue may have forgotten it
                handle.cancel()


def make_engine(name: str, *, jobs: int, folder: Path) -> Engine:
    """Return an engine by its name.

    Parameters
    ----------
    name : str
        ``"local"``, ``"dask:ADDRESS"``, ``"ray:ADDRESS"``, ``"slurm"`` or ``"slurm:OPTION=VALUE,..."``.
    jobs : int
        Processes of ``"local"``; the others know how many they run.
    folder : Path
        Folder of the sweep.
    """
    kind, _, rest = name.partition(":")
    if kind == "local" and not rest:
        return LocalEngine(jobs)
    if kind == "dask" and rest:
        return DaskEngine(rest)
    if kind == "ray" and rest:
        return RayEngine(rest)
    if kind == "slurm":
        options = dict(part.partition("=")[::2] for part in rest.split(",") if part)
        if all(key and value for key, value in options.items()):
            return SlurmEngine(folder / "slurm", options)
    raise UsageError(f"engine must be local, dask:ADDRESS, ray:ADDRESS, slurm or slurm:OPTION=VALUE,..., not {name!r}")
