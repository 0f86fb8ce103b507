"""The constants that ship, against the numbers they were made from."""

import pytest

from snnhw.cost import constant_sets, load_constants

ASIC = load_constants("asic45")
# CACTI 7, 45 nm, one read and write port, 350 K: read energy in pJ by bytes, then by flavour and width of the port.
PORTS = (("lop", 16), ("lop", 32), ("lop", 64), ("lop", 128), ("hp", 16), ("hp", 64))
CACTI = {
    512: (0.20, 0.33, 0.59, 1.38, 0.37, 1.10),
    1 << 10: (0.29, 0.39, 0.70, 1.49, 0.53, 1.28),
    2 << 10: (0.45, 0.58, 0.81, 1.73, 0.82, 1.44),
    4 << 10: (0.67, 0.81, 1.14, 1.97, 1.21, 1.97),
    8 << 10: (0.97, 1.23, 1.68, 2.52, 1.72, 2.86),
    16 << 10: (1.46, 1.78, 2.36, 3.54, 2.52, 4.01),
    32 << 10: (2.18, 2.54, 3.49, 5.37, 3.70, 5.78),
    64 << 10: (3.07, 3.83, 4.95, 7.43, 5.26, 8.33),
    128 << 10: (4.62, 5.69, 7.50, 11.4, 7.70, 12.4),
}


def read_pj(flavour, size, width, end="mid"):
    """Return the energy of reading an SRAM by the law of the set."""
    size_exponent, width_exponent = (ASIC[name].mid for name in (ASIC.sram.size_exponent, ASIC.sram.width_exponent))
    return getattr(ASIC[ASIC.sram.read[flavour]], end) * (size / 1024) ** size_exponent * (width / 16) ** width_exponent


@pytest.mark.parametrize("size", CACTI)
def test_the_memory_law_is_within_its_stated_factor(size):
    for (flavour, width), energy in zip(PORTS, CACTI[size], strict=True):
        assert 1 / 2 <= read_pj(flavour, size, width) / energy <= 2
        assert read_pj(flavour, size, width, "low") < energy < read_pj(flavour, size, width, "high")


def test_the_memory_law_is_no_worse_than_a_third_for_words_of_up_to_64_bits_above_half_a_kilobyte():
    for size, energies in CACTI.items():
        for (flavour, width), energy in zip(PORTS, energies, strict=True):
            if size > 512 and width <= 64:
                assert 0.75 < read_pj(flavour, size, width) / energy < 1.34


def test_the_cache_of_horowitz_is_within_the_band_of_fast_transistors():
    assert read_pj("hp", 8 << 10, 64, "low") < 10 < read_pj("hp", 8 << 10, 64, "high")


def test_a_write_costs_at_most_half_more_than_a_read():
    record = ASIC[ASIC.sram.write_per_read]
    assert 1 <= record.low < record.mid < record.high <= 1.5


@pytest.mark.parametrize(("bits", "energy"), [(8, 0.03), (16, 0.05), (32, 0.1), (32, 0.086), (32, 0.21)])
def test_published_additions_are_within_the_band(bits, energy):
    assert ASIC["add"].low * 0.99 < energy / bits < ASIC["add"].high


@pytest.mark.parametrize(("bits", "energy"), [(8, 0.2), (16, 0.239), (32, 3.1), (32, 12.7)])
def test_published_multiplications_are_within_the_band(bits, energy):
    assert ASIC["multiply"].low <= energy / bits**2 * 1.04
    assert energy / bits**2 <= ASIC["multiply"].high * 1.01


@pytest.mark.parametrize("name", [name for name in constant_sets() if load_constants(name).kind == "fpga"])
def test_what_is_assumed_has_a_wide_band(name):
    for parameter, record in load_constants(name).parameters.items():
        if record.provenance == "assumed":
            assert record.high / record.low >= 2.4, parameter


def test_toggles_are_cheaper_the_shorter_the_net():
    for name in constant_sets():
        constants = load_constants(name)
        if constants.kind == "fpga":
            short = [constants[f"toggle_{kind}"].mid for kind in ("carry", "local", "register", "routed")]
            assert short == sorted(short)
