"""Small bugs, one after another, in the blocks that route events, walk lists and keep currents: are they found?

    python benchmarks/mutants.py
    python benchmarks/mutants.py --no-graph --only tick fork

Each bug is made in a copy of the packages and the tests. Asked for their opinion are the tests of the block, its proofs, and one
random graph that has lists on several tiles, negative values, loaded weights, forks, merges and queues. Ends with 1 if a bug is
found by none, or if anything fails without a bug. It takes about twenty minutes, five without the graph.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GRAPH_SEED = 2
LIMIT_S = 300
TESTS = {"walker": {"tests": "tests/rtl_gen/test_walker.py"},
         "currents": {"tests": "tests/rtl_gen/test_walker.py", "proofs": "tests/formal/test_currents_proofs.py"},
         "routing": {"tests": "tests/rtl_gen/test_routing.py", "proofs": "tests/formal/test_routing_proofs.py"}}
GRAPH = f"""
import sys
from snnhw.verify import check_disturbed, check_undisturbed, compile_batch
from snnhw.verify.random_graphs import random_graph_case
case = random_graph_case({GRAPH_SEED})
simulator, = compile_batch([case.plan])
sys.exit(bool(check_undisturbed(simulator, case.spikes).problem or check_disturbed(simulator, case.spikes, case.seed).problem))
"""
# A bug is to be found, not to be made small.
NO_SHRINKING = """
from hypothesis import Phase
settings.register_profile("mutants", parent=settings.get_profile("repeatable"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutants")
"""


@dataclass(frozen=True)
class Mutant:
    """A bug: `right` stands in a block's file exactly once, and becomes `wrong`."""

    title: str
    block: str
    right: str
    wrong: str


MUTANTS = (
    Mutant("a list ends one word early", "walker", "left.eq(count - 1)", "left.eq(Mux(count > 2, count - 2, count - 1))"),
    Mutant("an empty list has a word", "walker", "some.eq(count.any() & ~found.empty)", "some.eq(~found.empty)"),
    Mutant("an empty timestep has a word", "walker", "some.eq(count.any() & ~found.empty)", "some.eq(count.any())"),
    Mutant("words before the currents are free", "walker", "issue.eq(present & currents.free)", "issue.eq(present)"),
    Mutant("the next list cuts this one off", "walker", "self.advance.eq(~present | (issue & last))",
           "self.advance.eq(~present | issue)"),
    Mutant("a cycle between two lists", "walker", "self.advance.eq(~present | (issue & last))",
           "self.advance.eq(~present)"),
    Mutant("every event ends a timestep", "walker", "currents.close.eq(issue & last & step_end)",
           "currents.close.eq(issue & last)"),
    Mutant("every sample ends at once", "walker", "fetch_last.eq(sample_end)", "fetch_last.eq(1)"),
    Mutant("end of the sample of the word behind", "walker", "currents.end_last.eq(place_last)",
           "currents.end_last.eq(fetch_last)"),
    Mutant("uniform lists word by word", "walker", "(synapses.sources if synapses.uniform else 1)", "1"),
    Mutant("values without a sign", "walker", "found_value = Signal(signed(max(1, value_bits)), reset_less=True)",
           "found_value = Signal(max(1, value_bits), reset_less=True)"),
    Mutant("value of the event behind", "walker", "product = weight.as_signed() * fetch_value",
           "product = weight.as_signed() * walk_value"),
    Mutant("base of the event behind", "walker", "fetch_begins, fetch_base)\n", "fetch_begins, walk_base)\n"),
    Mutant("runs begin where the last list ended", "walker", "row + Mux(begins, 0, place)", "row + place"),
    Mutant("one word of rows too few", "walker", "Mux(begins, headers - 1,", "Mux(begins, max(0, headers - 2),"),
    Mutant("a row is used twice", "walker", "mask & (mask - 1))", "mask)"),
    Mutant("the highest row first", "walker", "for row in reversed(range(rows)):", "for row in range(rows):"),
    Mutant("no forwarding", "currents", "forward.eq(add_valid & (add_half == half) & (add_place == self.place[bank]))",
           "forward.eq(0)"),
    Mutant("forwards what is not written", "currents", "forward.eq(add_valid & (add_half == half) &",
           "forward.eq((add_half == half) &"),
    Mutant("forwards what is written to the other half", "currents", "forward.eq(add_valid & (add_half == half) &",
           "forward.eq(add_valid &"),
    Mutant("adds to one half only", "currents", "half.eq(half ^ self.end)", "half.eq(half)"),
    Mutant("a word goes to the half that comes next", "currents", "add_half.eq(half)", "add_half.eq(half ^ self.end)"),
    Mutant("a timestep that waits is forgotten", "currents", "waiting.eq((add_end | waiting) & ~begin)",
           "waiting.eq(add_end & ~begin)"),
    Mutant("a sweep begins during another", "currents", "(~sweeping | swept_all)", "1"),
    Mutant("a third timestep is let in", "currents", "self.free.eq(~behind[1] & ~self.clearing)", "self.free.eq(~self.clearing)"),
    Mutant("events during the clearing", "currents", "self.free.eq(~behind[1] & ~self.clearing)", "self.free.eq(~behind[1])"),
    Mutant("only one timestep is behind", "currents", "self.free.eq(~behind[1] & ~self.clearing)",
           "self.free.eq(~behind.any() & ~self.clearing)"),
    Mutant("one word is not cleared after a reset", "currents", "with m.If(clear_place == words - 1):",
           "with m.If(clear_place == max(0, words - 2)):"),
    Mutant("nothing is cleared behind a sum", "currents", "write.en.eq(Mux(mine, clears,", "write.en.eq(Mux(mine, 0,"),
    Mutant("another word is cleared", "currents", "Mux(mine, taken_place, add_place)", "Mux(mine, sweep_place, add_place)"),
    Mutant("cleared before the last lane", "currents", "(tile > final_tile)", "(tile >= final_tile)"),
    Mutant("never cleared where a lane is missing", "currents",
           "complete = last_lane | ((lane == lanes - 2) & (tile > final_tile))",
           "complete = last_lane | ((lane == lanes - 2) & 0)"),
    Mutant("every lane of a shared word clears it", "currents", "self.currents_clear & complete", "self.take"),
    Mutant("the end of the sample before", "currents", "Mux(waiting, waiting_last, add_last)", "waiting_last"),
    Mutant("next tile one word early", "currents", "grid.pitch - grid.columns + 1\n", "grid.pitch - grid.columns\n"),
    Mutant("rows without their room", "currents", "place.eq(place + 1 + grid.pitch - grid.columns)", "place.eq(place + 1)"),
    Mutant("one neuron too few", "currents", "(lane == last % lanes) & (place == last // lanes)",
           "(place == last // lanes)"),
    Mutant("a fork forgets who has taken", "routing",
           "output.valid.eq(self.i.valid & ~taken[index])", "output.valid.eq(self.i.valid)"),
    Mutant("a fork keeps who has taken", "routing", "taken.eq(Mux(self.i.ready, 0, done))", "taken.eq(done)"),
    Mutant("a fork waits for one consumer", "routing", "self.i.ready.eq(done.all())", "self.i.ready.eq(done.any())"),
    Mutant("delayed sources must tick first", "routing",
           "ticked = Signal(len(inputs), init=initial)", "ticked = Signal(len(inputs))"),
    Mutant("spikes of the sample before", "routing", "given.payload.last if source.delayed else 0", "0"),
    Mutant("no offset", "routing", "given.payload.address + source.offset", "given.payload.address"),
    Mutant("an offer is exchanged", "routing", " & ~waiting[index + 1:].any()", ""),
    Mutant("a source that has ticked goes on", "routing", "given.valid & ~ticked[index]", "given.valid & ~ticked.all()"),
    Mutant("the end of a delayed source", "routing",
           "                    if not source.delayed:\n", "                    if True:\n"),
    Mutant("a tick that nobody takes", "routing",
           "            with m.If(self.o.ready):\n                m.d.sync += ticked.eq(0)",
           "            m.d.sync += ticked.eq(0)"),
    Mutant("a queue one event short", "routing", "depth=self.depth)", "depth=self.depth - 1)"),
)


def copy(folder: Path) -> None:
    """Copy what the tests need to a folder."""
    for name in ("snnhw", "rtl_gen", "tests", "sim", "boards"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    with (folder / "tests" / "conftest.py").open("a") as file:
        file.write(NO_SHRINKING)


def fails(command: list[str], folder: Path) -> bool:
    """Run Python in a folder; return whether it failed, or never ended."""
    try:
        result = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return True
    if result.returncode not in (0, 1):
        log = result.stdout[-2000:] + result.stderr[-2000:]
        raise SystemExit(f"error: {' '.join(command)} ended with {result.returncode}\n{log}")
    return result.returncode != 0


def judge(block: str, folder: Path, graph: bool) -> dict[str, bool]:
    """Return who finds something wrong in a folder."""
    found = {}
    for name, path in TESTS[block].items():
        found[name] = fails(["-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", path], folder)
    if graph:
        found["graph"] = fails(["-c", GRAPH], folder)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="TEXT", help="bugs with one of these in their title or block")
    parser.add_argument("--no-graph", action="store_true", help="without the random graph, which must be compiled each time")
    arguments = parser.parse_args()
    only, graph = arguments.only, not arguments.no_graph
    chosen = [mutant for mutant in MUTANTS if not only or any(text in f"{mutant.block} {mutant.title}" for text in only)]
    for mutant in chosen:
        if (ROOT / "rtl_gen" / f"{mutant.block}.py").read_text().count(mutant.right) != 1:
            raise SystemExit(f"error: {mutant.title}: {mutant.right!r} must be in {mutant.block}.py once")
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        for block in dict.fromkeys(mutant.block for mutant in chosen):
            if any((found := judge(block, folder, graph)).values()):
                print(f"{block}: fails without a bug: {found}")
                return 1
        for mutant in chosen:
            path = folder / "rtl_gen" / f"{mutant.block}.py"
            text = path.read_text()
            path.write_text(text.replace(mutant.right, mutant.wrong))
            found = judge(mutant.block, folder, graph)
            path.write_text(text)
            missed += not any(found.values())
            by = ", ".join(name for name, yes in found.items() if yes) or "NOBODY"
            print(f"{mutant.block:8} {mutant.title:40} found by {by}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
