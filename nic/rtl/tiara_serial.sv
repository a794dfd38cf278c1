// One bit a cycle (two with HasSplitAdd): multiply, divide, remainder, and the bit counts, one job at a time for all
// contexts. A context that finds it busy tries again when its turn comes. It starts in stage Y, and is never done
// before the context has gone to sleep in stage R. The rare instructions pay in cycles what the core saves in area.
module tiara_serial #(
  parameter int unsigned Contexts    = 32,
  parameter bit          HasSplitAdd = 1'b0,   // a bit in two cycles, half of the carry chain in each
  localparam int unsigned CtxW = $clog2(Contexts)
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic            start_i,      // only when ready_o
  output logic            ready_o,
  input  logic [2:0]      op_i,
  input  logic [CtxW-1:0] ctx_i,
  input  logic [4:0]      reg_i,
  input  logic [63:0]     a_i,          // multiplier, dividend, or the word whose bits are counted
  input  logic [63:0]     b_i,          // multiplicand, divisor, or 1
  output logic            valid_o,
  input  logic            accept_i,
  output logic [CtxW-1:0] ctx_o,
  output logic [4:0]      reg_o,
  output logic [63:0]     data_o
);
  logic            busy_q, asleep_q, done_q, is_div_q;
  logic [2:0]      op_q;
  logic [CtxW-1:0] ctx_q;
  logic [4:0]      reg_q;
  logic [63:0]     sum_q, word_q, addend_q;
  logic [6:0]      count_q;

  logic is_div, is_left, is_last, finish, take, is_whole;
  logic [64:0] base, total, addend;

  assign is_div  = is_div_q;
  assign is_left = is_div || op_q == tiara_pkg::SerClz;

  // Division subtracts (the divisor came inverted), everything else adds; the lowest bit carries in.
  assign base   = is_div ? {sum_q, word_q[63]} : {1'b0, sum_q};
  assign addend = {is_div, addend_q};
  if (HasSplitAdd) begin : gen_split_add
    logic [33:0] low, low_q, high;
    logic [32:0] high_base_q;
    logic        is_high_q, is_last_q;
    assign low   = {1'b0, base[31:0], 1'b1} + {1'b0, addend[31:0], is_div};
    assign high  = {high_base_q, 1'b1} + {addend[64:32], low_q[33]};
    assign total = {high[33:1], low_q[32:1]};
    assign is_whole = is_high_q;
    assign finish   = is_last_q;  // known since the first half
    always_ff @(posedge clk_i) begin
      low_q       <= low;
      high_base_q <= base[64:32];
      is_last_q   <= is_last;
      is_high_q   <= !start_i && !is_high_q;
    end
  end else begin : gen_add
    logic [65:0] wide;
    assign wide     = {base, 1'b1} + {addend, is_div};
    assign total    = wide[65:1];
    assign is_whole = 1'b1;
    assign finish   = is_last;
  end

  always_comb begin
    unique case (op_q)
      tiara_pkg::SerDivu, tiara_pkg::SerRemu: begin
        take    = !total[64];  // the remainder so far holds the divisor
        is_last = count_q[6];
      end
      tiara_pkg::SerCtz: begin
        take    = 1'b1;
        is_last = word_q[0] || count_q[6];
      end
      tiara_pkg::SerClz: begin
        take    = 1'b1;
        is_last = word_q[63] || count_q[6];
      end
      default: begin  // multiply, count ones
        take    = word_q[0];
        is_last = word_q == '0;
      end
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q   <= 1'b0;
      asleep_q <= 1'b0;
      done_q   <= 1'b0;
    end else if (start_i) begin
      busy_q   <= 1'b1;
      asleep_q <= 1'b0;
      done_q   <= 1'b0;
    end else if (accept_i) begin
      busy_q   <= 1'b0;
      done_q   <= 1'b0;
    end else begin
      asleep_q <= busy_q;
      if (busy_q && asleep_q && finish && is_whole) done_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      op_q     <= op_i;
      is_div_q <= op_i == tiara_pkg::SerDivu || op_i == tiara_pkg::SerRemu;
      ctx_q    <= ctx_i;
      reg_q    <= reg_i;
      word_q   <= a_i;
      addend_q <= (op_i == tiara_pkg::SerDivu || op_i == tiara_pkg::SerRemu) ? ~b_i : b_i;
      sum_q    <= '0;
      count_q  <= '0;
    end else if (busy_q && !done_q && is_whole) begin
      if (finish) begin
        if (op_q == tiara_pkg::SerDivu) sum_q <= word_q;
      end else begin
        count_q <= count_q + 1'b1;
        if (take) sum_q <= total[63:0];
        else      sum_q <= base[63:0];
        word_q <= is_left ? {word_q[62:0], is_div && take} : {1'b0, word_q[63:1]};
        if (op_q == tiara_pkg::SerMul) addend_q <= {addend_q[62:0], 1'b0};
      end
    end
  end

  assign ready_o = !busy_q;
  assign valid_o = done_q;
  assign ctx_o   = ctx_q;
  assign reg_o   = reg_q;
  assign data_o  = sum_q;
`ifdef TIARA_SERIAL_PROPERTIES
`include "serial_properties.svh"
`endif
endmodule
