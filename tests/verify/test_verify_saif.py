"""Activity as SAIF, read back by a reader of s-expressions."""

import re

import numpy as np
import pytest
from verify_networks import small_plan, spikes_for

from snnhw.gates import gate_simulator, netlist_saif, write_netlist
from snnhw.verify.design import TOP
from snnhw.verify.native import simulate
from snnhw.verify.saif import SaifNet, format_saif, rtl_saif

PERIOD = 10_000
WORD = re.compile(r'\s*(?:(\()|(\))|"((?:\\.|[^"\\])*)"|((?:\\.|[^\s()"])+))', re.DOTALL)


def read(text):
    """Return the nested lists of an s-expression; escapes are resolved."""
    stack, at = [[]], 0
    while at < len(text.rstrip()):
        found = WORD.match(text, at)
        assert found, text[at:at + 40]
        at = found.end()
        if found[1]:
            stack.append([])
        elif found[2]:
            stack[-2].append(stack.pop())
        else:
            stack[-1].append(re.sub(r"\\(.)", r"\1", found[3] if found[3] is not None else found[4]))
    assert len(stack) == 1
    (tree,) = stack[0]
    return tree


def nets_of(tree):
    """Return the counts of each net by its path."""
    found = {}

    def walk(node, path):
        assert node[0] == "INSTANCE"
        path = (*path, node[1])
        for part in node[2:]:
            if part[0] == "NET":
                for name, *counts in part[1:]:
                    assert (*path, name) not in found, (path, name)
                    found[*path, name] = {key: int(value) for key, value in counts}
            else:
                walk(part, path)
    for part in tree[1:]:
        if part[0] == "INSTANCE":
            walk(part, ())
    return found


def header(tree):
    return {part[0]: part[1:] for part in tree[1:] if part[0] not in ("INSTANCE",)}


def check_times(nets, duration):
    for path, counts in nets.items():
        assert counts["T0"] + counts["T1"] + counts["TX"] == duration, path
        assert min(counts.values()) >= 0, path


def test_names_are_escaped_and_nested():
    nets = [SaifNet(("a", "b.c", "odd [name]"), None, 2, 3, 1), SaifNet(("a", "bus"), 4, 0, 0), SaifNet(("clk",), None, 2.5, 10)]
    text = format_saif("top$1", 5, PERIOD, nets)
    tree = read(text)
    assert header(tree)["DESIGN"] == ["top$1"]
    assert header(tree)["DURATION"] == [str(5 * PERIOD)]
    assert header(tree)["TIMESCALE"] == ["1", "ps"]
    assert header(tree)["SAIFVERSION"] == ["2.0"]
    assert nets_of(tree) == {
        ("top$1", "clk"): {"T0": 25_000, "T1": 25_000, "TX": 0, "TC": 10, "IG": 0},
        ("top$1", "a", "bus[4]"): {"T0": 50_000, "T1": 0, "TX": 0, "TC": 0, "IG": 0},
        ("top$1", "a", "b.c", "odd [name]"): {"T0": 30_000, "T1": 20_000, "TX": 0, "TC": 3, "IG": 1},
    }


PLAN = small_plan(inputs=4, hidden=3, outputs=3, lanes=2)
SPIKES = spikes_for(PLAN, samples=2)


def test_the_rtl_keeps_its_hierarchy():
    activity = simulate(PLAN, SPIKES, activity=True, optimize="-O0").activity
    tree = read(rtl_saif(TOP, activity, PERIOD))
    nets, duration = nets_of(tree), activity.cycles * PERIOD
    check_times(nets, duration)
    assert nets[TOP, "aclk"] == {"T0": duration // 2, "T1": duration // 2, "TX": 0, "TC": 2 * activity.cycles, "IG": 0}
    assert any(len(path) > 3 for path in nets)
    for name in (*activity.nets, *activity.aliases):
        if name == "aclk":
            continue
        counts = activity[name]
        for bit in range(counts.bits):
            *where, last = name.split(".")
            found = nets[TOP, *where, last if counts.bits == 1 else f"{last}[{bit}]"]
            assert found["TC"] == counts.toggles[bit]
            assert found["T1"] == counts.highs[bit] * PERIOD


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_the_netlist_has_every_net_of_its_verilog(family, tmp_path):
    activity = gate_simulator(PLAN, family=family).run(SPIKES, delayed=True).activity
    netlist = activity.netlist
    tree = read(netlist_saif(activity, PERIOD))
    nets = nets_of(tree)
    check_times(nets, activity.cycles * PERIOD)
    assert header(tree)["DURATION"] == [str(activity.cycles * PERIOD)]
    assert nets[netlist.top, "aclk"]["TC"] == 2 * activity.cycles
    write_netlist(activity, tmp_path / "netlist.v")
    text = (tmp_path / "netlist.v").read_text()
    declared = set()
    declaration = r"^  (?:wire|reg|input|output)(?: signed)?(?: \[(-?\d+):(-?\d+)\])? (\\\S+|\w+) ?(?: = .*)?;$"
    for high, low, name in re.findall(declaration, text, re.MULTILINE):
        name = name.removeprefix("\\")
        declared |= {name} if not high else {f"{name}[{bit}]" for bit in range(int(low), int(high) + 1)}
    assert len(declared) > 200
    known = {path[1] for path in nets}
    # A wire that no cell has is not in the netlist that is simulated.
    used = {name for names in netlist.names for name in names}
    missing = declared - known
    assert not missing & used
    assert len(missing) < 0.1 * len(declared), sorted(missing)[:10]
    for number, names in enumerate(netlist.names):
        if netlist.classes[number]:
            for name in names:
                assert name in declared, name
                found = nets[netlist.top, name]
                assert found["TC"] + found["IG"] == activity.toggles[number]
                assert found["TC"] == activity.settled[number]
                assert found["T1"] == activity.highs[number] * PERIOD
    assert np.sum([counts["IG"] for counts in nets.values()]) > 0
