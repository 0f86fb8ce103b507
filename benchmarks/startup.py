"""Time ``snnhw --help``: ``python benchmarks/startup.py``. Ends with 1 when the median is above half a second."""

import statistics
import subprocess
import sys
import time

RUNS, LIMIT_S = 11, 0.5


def main() -> int:
    """Measure, print, judge."""
    seconds = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "snnhw", "--help"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - started)
    warm = seconds[1:]
    median = statistics.median(warm)
    print(f"snnhw --help: median {median:.3f} s, {min(warm):.3f} to {max(warm):.3f} s over {RUNS} runs, limit {LIMIT_S} s")
    return int(median > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
