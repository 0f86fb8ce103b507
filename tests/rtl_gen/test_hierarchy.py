"""RTLIL of a hierarchy: contents of memories are written apart, and are those that Amaranth would have written."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.hierarchy import Contents, convert_hierarchy, insert_contents


class Table(wiring.Component):
    """Two memories that are only read."""

    address: In(2)
    narrow: Out(3)
    wide: Out(70)

    def __init__(self, narrow, wide):
        self._words = narrow, wide
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        for name, words in zip(("narrow", "wide"), self._words, strict=True):
            o = getattr(self, name)
            m.submodules[f"{name}_words"] = rows = memory.Memory(shape=o.shape(), depth=4, init=words)
            port = rows.read_port(domain="fast")
            m.d.comb += [port.addr.eq(self.address), o.eq(port.data)]
        return m


class Inverter(wiring.Component):
    """A part without registers."""

    i: In(70)
    o: Out(70)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        return m


class Parent(wiring.Component):
    """Two tables, of which one holds nothing but zeros."""

    address: In(2)
    o: Out(70)

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Table([1, 2, 3, 7], [1 << 69, 5])
        m.submodules.second = second = Table([], [])
        m.submodules.inverter = inverter = Inverter()
        m.d.comb += [first.address.eq(self.address), second.address.eq(self.address), inverter.i.eq(first.wide ^ second.wide),
                     self.o.eq(inverter.o)]
        return m


def test_contents_are_what_amaranth_writes():
    words = [5, 0, 7, 1], [0, 1 << 69, (1 << 70) - 1]
    text, contents = convert_hierarchy(Table(*words), name="table", domain="fast")
    assert contents == {("table", "narrow_words"): Contents((5, 0, 7, 1), 3),
                        ("table", "wide_words"): Contents((0, 1 << 69, (1 << 70) - 1, 0), 70)}
    assert "3'101\n" in text
    assert "12'001111000101\n" not in text
    assert insert_contents(text, contents) == rtlil.convert(Table(*words), name="table", emit_src=False)


def test_contents_are_found_by_the_module_they_are_in():
    text, contents = convert_hierarchy(Parent(), name="top", domain="fast")
    assert sorted(contents) == [(f"top_{part}", f"{name}_words") for part in ("first", "second") for name in ("narrow", "wide")]
    whole = insert_contents(text, contents)
    first, second = (whole[whole.index(f"module \\top_{part}"):] for part in ("first", "second"))
    assert "12'111011010001" in first[:first.index("module \\top_second")]
    assert "12'000000000000" in second


def test_parts_have_a_clock_where_they_have_registers():
    text, _ = convert_hierarchy(Parent(), name="top", domain="fast")
    cells = {name: text[text.index(f"cell \\top_{name} "):].partition("  end")[0] for name in ("first", "inverter")}
    assert "connect \\fast_clk" in cells["first"]
    assert "fast_clk" not in cells["inverter"]
    assert "fast_rst" not in cells["inverter"]


def test_lines_have_the_width_of_a_word():
    assert Contents((5, 0), 4).lines == ["0101", "0000"]


def test_a_design_can_be_converted_twice():
    table = Table([1, 2, 3, 4], [6, 7])
    first = convert_hierarchy(table, name="table", domain="fast")
    assert convert_hierarchy(table, name="table", domain="fast") == first
    with pytest.raises(KeyError, match="narrow_words"):
        insert_contents(first[0], {})
