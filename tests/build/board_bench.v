// Sends the bytes of input.hex over the serial line of a board and prints the bytes that come back.
`timescale 1ns / 1ps
module bench;
    parameter DIVISOR = 12;
    parameter COUNT = 1;
    parameter SILENCE = 4000;

    reg clk = 0;
    reg uart_rx = 1;
    wire uart_tx, led;
    reg [7:0] bytes [0:COUNT - 1];
    integer sent, bit_index, cycle, quiet, got_bits;
    reg [9:0] frame;
    reg [7:0] got;

    snnhw_board dut (.clk(clk), .uart_rx(uart_rx), .uart_tx(uart_tx), .led(led));

    always #5 clk = ~clk;

    initial begin
        $readmemh("input.hex", bytes);
        repeat (300) @(negedge clk);
        for (sent = 0; sent < COUNT; sent = sent + 1) begin
            frame = {1'b1, bytes[sent], 1'b0};
            for (bit_index = 0; bit_index < 10; bit_index = bit_index + 1) begin
                uart_rx = frame[bit_index];
                repeat (DIVISOR) @(negedge clk);
            end
        end
    end

    initial begin
        quiet = 0;
        while (quiet < SILENCE || sent < COUNT) begin
            @(negedge clk);
            quiet = quiet + 1;
            if (uart_tx === 1'b0) begin
                repeat (DIVISOR / 2) @(negedge clk);
                for (got_bits = 0; got_bits < 8; got_bits = got_bits + 1) begin
                    repeat (DIVISOR) @(negedge clk);
                    got[got_bits] = uart_tx;
                end
                repeat (DIVISOR) @(negedge clk);
                if (uart_tx !== 1'b1) $display("broken stop bit");
                $display("byte %02x", got);
                quiet = 0;
            end
        end
        $finish;
    end
endmodule
