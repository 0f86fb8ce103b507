"""Designs that hold memories and multipliers against flip-flops and look-up tables, and remember every difference."""

from dataclasses import dataclass
from typing import Literal

NOISE = """
  reg [63:0] r = 64'h{seed:016X};
  wire [63:0] r1 = r ^ (r << 13), r2 = r1 ^ (r1 >> 7);
  always @(posedge clk) r <= r2 ^ (r2 << 17);
  wire [191:0] z = {{r, r, r}};
"""


@dataclass(frozen=True)
class Memory:
    """A memory beside a shadow of the one word that an input names, which holds for every word.

    Parameters
    ----------
    style : str
        ``ram_style``.
    width, depth : int
        Of the memory.
    port : str
        ``"old"``, ``"new"``: a port to read and one to write, and what a collision reads; ``"alone"``, ``"before"``,
        ``"through"``: one port that reads nothing, the word before or the new one when it writes.
    parts : int
        Bits that a write enable is for; 0 for the whole word.
    content : bool
        Whether it has an initial one.
    reset : bool
        Whether its output has a reset.
    lanes : int
        Words that a read takes at once.
    broken : bool
        Whether the shadow is wrong.
    """

    style: str
    width: int
    depth: int
    port: Literal["old", "new", "alone", "before", "through"] = "old"
    parts: int = 0
    content: bool = False
    reset: bool = False
    lanes: int = 1
    broken: bool = False

    def text(self, index: int) -> str:
        """Return what stands in the module; the number of the memory is the bit of the outputs."""
        width, bits, single = self.width, max(1, (self.depth - 1).bit_length()), self.port in ("alone", "before", "through")
        parts = self.parts or width
        assert self.depth == 1 << bits
        assert width % parts == 0

        def noise(count: int, turn: int) -> str:
            turn = (turn + 11 * index) % 64
            return f"z[{turn} +: {count}]"

        n, lane = f"m{index}_", (self.lanes - 1).bit_length()
        write = " | ".join(f"({{{width}{{{n}be[{part}]}}}} & {((1 << parts) - 1) << part * parts:#x})".replace("0x", f"{width}'h")
                           for part in range(width // parts))
        same = f"{n}wa == {n}at"
        merged = f"(({n}shadow & ~{n}mask) | ({n}wd & {n}mask))"
        reads = f"{n}re & ~{n}we" if self.port == "alone" else f"{n}re"
        new = self.port in ("new", "through")
        read = ", ".join(f"{n}mem[{{{n}ra[{bits - 1}:{lane}], {lane}'d{place}}}]" for place in reversed(range(self.lanes)))
        if self.lanes == 1:
            read = f"{n}mem[{n}ra]"
        taken = f"{n}q[{width} * {n}at[{lane - 1}:0] +: {width}]" if lane else f"{n}q"
        begun = f"{{3{{16'd5 * {{{n}at}} + 16'd3}}}}"
        spans = [f"[{part * parts} +: {parts}]" for part in range(width // parts)]
        stores = "\n".join(f"      if ({n}we & {n}be[{part}]) {n}mem[{n}wa]{span} <= {n}wd{span};"
                           for part, span in enumerate(spans))
        if new:
            assert self.parts == 0
            read = f"({n}we & {n}be[0] & {n}wa == {n}ra) ? {n}wd : {read}"
        takes = f"if ({reads}) {n}q <= {{{read}}};" if self.lanes > 1 else f"if ({reads}) {n}q <= {read};"
        if self.reset:
            takes = f"if ({n}rst) {n}q <= 0; else {takes}"
        lines = f"""
  wire [{bits - 1}:0] {n}at = watch;
  wire {n}hit_w = {noise(1, 0)}, {n}hit_r = {noise(1, 1)}, {n}we = {noise(1, 2)}, {n}re = {noise(1, 3)} | {noise(1, 4)};
  wire {n}rst = {noise(3, 33)} == 0;
  wire [{width // parts - 1}:0] {n}be = {noise(width // parts, 5)};
  wire [{bits - 1}:0] {n}wa = {n}hit_w ? {n}at : {noise(bits, 19)};
  wire [{bits - 1}:0] {n}ra = {f"{n}wa" if single else f"{n}hit_r ? {n}at : {noise(bits, 40)}"};
  wire [{width - 1}:0] {n}wd = {noise(width, 27)};
  (* ram_style = "{self.style}" *) reg [{width - 1}:0] {n}mem [0:{self.depth - 1}];
  reg [{width - 1}:0] {n}shadow = 0, {n}known = {"~0" if self.content else 0}, {n}mask, {n}want = 0, {n}sure = 0;
  reg [{width * self.lanes - 1}:0] {n}q = 0;
  always @* {n}mask = {n}we & {same} ? ({write}) : 0;
  always @(posedge clk) begin
{stores}
    {takes}
    {n}shadow <= {f"{merged} ^ (&r[5:0])" if self.broken else merged};
    {n}known <= {n}known | {n}mask;
    if ({n}rst & {int(self.reset)}) begin {n}want <= 0; {n}sure <= ~0; end
    else if ({reads}) begin
      {n}want <= {merged if new else f"{n}shadow"};
      {n}sure <= {n}ra{f"[{bits - 1}:{lane}]"} == {n}at{f"[{bits - 1}:{lane}]"} ? ({n}known{f" | {n}mask" if new else ""}) : 0;
    end
    fail[{index}] <= fail[{index}] | (|(({taken} ^ {n}want) & {n}sure));
    seen[{index}] <= &{n}sure;
  end
"""
        if self.content:
            lines += f"  initial for (i = 0; i < {self.depth}; i = i + 1) {n}mem[i] = {{3{{16'd5 * i[15:0] + 16'd3}}}};\n"
            lines += f"  reg {n}first = 1;\n"
            lines = lines.replace(f"    {n}shadow <= ", f"    {n}first <= 0;\n    {n}shadow <= ")
            # The shadow begins as what the input names, which is no constant.
            for old in (f"{n}shadow & ~", f"{n}want <= {n}shadow"):
                lines = lines.replace(old, old.replace("shadow", "now"))
            lines += f"  wire [{width - 1}:0] {n}now = {n}first ? {begun} : {n}shadow;\n"
        return lines


def memories_text(memories: tuple[Memory, ...]) -> str:
    """Return a module with all of the memories."""
    count = len(memories)
    body = "".join(memory.text(index) for index, memory in enumerate(memories))
    bits = f"reg [{count - 1}:0]"
    return (f"module checked(input clk, input [15:0] watch, output {bits} fail = 0, output {bits} seen = 0);\n"
            f"  integer i;\n{NOISE.format(seed=0x9E3779B97F4A7C15)}{body}endmodule\n")


@dataclass(frozen=True)
class Product:
    """A product beside shifts and sums.

    Parameters
    ----------
    a, b : int
        Widths of the factors; negative for signed ones.
    form : str
        ``"plain"``; ``"inputs"``, ``"output"``, ``"both"``: registers there; ``"enabled"``: with an enable and a reset;
        ``"sum"``: added to a running sum; ``"added"``, ``"taken"``: to or from another number.
    broken : bool
        Whether the sums are wrong.
    """

    a: int
    b: int
    form: str = "plain"
    broken: bool = False

    def text(self, index: int) -> str:
        """Return what stands in the module.

        In each cycle one factor moves up by one bit, and the product is followed with sums: of a factor of `n` bits that takes in
        `c` below and loses `t` above, the new product is 2 old + c other - t 2^n other; of a signed one, whose highest bit goes
        from `s` to `m`, it is 2 old + c other + (s - m) 2^n other.
        """
        n, sizes = f"p{index}_", {"x": abs(self.a), "y": abs(self.b)}
        width, turn = sum(sizes.values()), 23 * index % 40
        minus = {"x": self.a < 0, "y": self.b < 0}
        lines = f"\n  reg [{width - 1}:0] {n}p = 0;\n  wire {n}turn = z[{turn}], {n}c = z[{turn + 7}];\n"
        steps = {}
        for name, other in (("x", "y"), ("y", "x")):
            size = sizes[name]
            sign = f"{n}{other}[{sizes[other] - 1}]" if minus[other] else "1'b0"
            lines += f"  reg [{size - 1}:0] {n}{name} = 0;\n"
            lines += f"  wire [{width - 1}:0] {n}{name}_wide = {{{{{size}{{{sign}}}}}, {n}{other}}};\n"  # the other one, extended
            top, below = f"{n}{name}[{size - 1}]", f"{n}{name}[{size - 2}]"
            gone = f"({n}{name}_wide << {size})"
            lost = f"({top} == {below} ? 0 : {top} ? {gone} : -{gone})" if minus[name] else f"({top} ? -{gone} : 0)"
            steps[name] = f"({n}p << 1) + ({n}c ? {n}{name}_wide : 0) + {lost}"
        lines += f"""  always @(posedge clk) begin
    if ({n}turn) {n}x <= {{{n}x, {n}c}}; else {n}y <= {{{n}y, {n}c}};
    {n}p <= {n}turn ? {steps["x"]} : {steps["y"]};
  end
  wire {n}en = z[{turn + 3}] | z[{turn + 9}], {n}rst = z[{turn} +: 4] == 3;
  wire [{width - 1}:0] {n}more = z[{turn + 5} +: {width}];
"""
        enable, reset = ("{n}en", "{n}rst") if self.form == "enabled" else ("1'b1", "{n}rst" if self.form == "sum" else "1'b0")
        enable, reset = enable.format(n=n), reset.format(n=n)
        either = " signed" if any(minus.values()) else ""
        given = {name: f"$signed({{1'b0, {n}{name}_in}})" if either and not minus[name] else f"{n}{name}_in" for name in sizes}
        for name in (*sizes, "p"):
            kind = " signed" if minus.get(name) else ""
            span = f"[{sizes.get(name, width) - 1}:0]"
            if self.form in ("inputs", "both", "enabled"):
                lines += (f"  reg{kind} {span} {n}{name}_in = 0;\n  always @(posedge clk) if ({reset}) {n}{name}_in <= 0; "
                          f"else if ({enable}) {n}{name}_in <= {n}{name};\n")
            else:
                lines += f"  wire{kind} {span} {n}{name}_in = {n}{name};\n"
        lines += f"  wire{either} [{width - 1}:0] {n}fast = {given['x']} * {given['y']};\n"
        lines += f"  wire [{width - 1}:0] {n}slow = {n}p_in{' ^ &r[6:0]' if self.broken else ''};\n"
        ends = {"plain": "", "inputs": "", "sum": "{0}_r + ", "added": "{1} + ", "taken": "{1} - "}
        for which in ("fast", "slow"):
            before = ends.get(self.form, "").format(n + which, n + "more")
            if self.form in ("plain", "inputs"):
                lines += f"  wire [{width - 1}:0] {n}{which}_r = {n}{which};\n"
            else:
                lines += (f"  reg [{width - 1}:0] {n}{which}_r = 0;\n  always @(posedge clk) if ({reset}) {n}{which}_r <= 0; "
                          f"else if ({enable}) {n}{which}_r <= {before}{n}{which};\n")
        return lines + f"""  always @(posedge clk) begin
    fail[{index}] <= fail[{index}] | ({n}fast_r != {n}slow_r);
    seen[{index}] <= {n}fast_r != 0;
  end
"""


def products_text(products: tuple[Product, ...]) -> str:
    """Return a module with all of the products."""
    count = len(products)
    body = "".join(product.text(index) for index, product in enumerate(products))
    return (f"module checked(input clk, output reg [{count - 1}:0] fail = 0, output reg [{count - 1}:0] seen = 0);\n"
            f"{NOISE.format(seed=0xD1B54A32D192ED03)}{body}endmodule\n")
