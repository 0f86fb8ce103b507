"""Small designs for the tests of the gate room, and how they are mapped."""

from snnhw.gates import Netlist, synthesise

FAMILIES = "ice40", "ecp5"

LOGIC = """
module logic_only(input clk, input hold, input [3:0] add, output [15:0] o, output parity, output late);
  reg [22:0] r = 23'h2A5A5;
  reg [15:0] sum = 16'h0001, product = 0;
  reg [7:0] count = 0;
  reg wide = 0;
  always @(posedge clk) begin
    r <= {r[21:0], r[22] ^ r[17]};
    if (r[3] & ~hold) sum <= r[9] ? sum + r[15:0] : sum - {r[7:0], r[20:13]};
    if (r[2:0] == 5) count <= 8'd9; else if (r[6]) count <= count + add;
    product <= r[7:0] * (count ^ sum[7:0]);
    wide <= r[sum[3:0]] ^ (sum > product);
  end
  assign o = product ^ sum;
  assign parity = ^{r, sum, wide};
  assign late = count[r[2:0]] & (sum[11:0] < r[11:0]);
endmodule
"""

MEMORIES = """
module memories(input clk, input hold, output [15:0] o, output [31:0] wide, output [3:0] few);
  reg [30:0] r = 31'h2A5A55A5;
  (* ram_style = "block" *) reg [8:0] block [0:511];
  (* ram_style = "{small}" *) reg [3:0] table_ram [0:31];
  reg [8:0] q = 0;
  reg [3:0] few_q = 0;
  reg signed [15:0] a = 0;
  reg [31:0] product = 0;
  integer i;
  initial for (i = 0; i < 512; i = i + 1) block[i] = i * 5 + 3;
  initial for (i = 0; i < 32; i = i + 1) table_ram[i] = i;
  always @(posedge clk) begin
    r <= {{r[29:0], r[30] ^ r[27]}};
    if (r[4]) block[r[13:5]] <= r[22:14];
    if (~hold) q <= block[r[27:19]];
    if (r[7]) table_ram[r[12:8]] <= r[3:0] + q[3:0];
    a <= r[15:0] ^ {{q, q[8:2]}};
    few_q <= table_ram[r[17:13]];
    product <= a * $signed(r[25:12]);
  end
  assign o = q * r[6:0];
  assign wide = product;
  assign few = few_q;
endmodule
"""
SMALL = {"ice40": "block", "ecp5": "distributed"}


PLAIN = {"ice40": "synth_ice40 -device u", "ecp5": "synth_lattice -family ecp5 -nodsp"}


def from_verilog(text: str, top: str, family: str, synthesis: str | None = None, clock: str = "clk") -> Netlist:
    """Map a module of a Verilog text."""
    return synthesise(["read_verilog -sv design.v"], top, family, clock=clock, files={"design.v": text.encode()},
                      synthesis=synthesis)
