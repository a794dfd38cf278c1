// The contexts' scratchpads: eight byte-wide banks, so that 1 to 8 bytes at any offset are one access. One port: an
// access of a program takes two cycles, a word of a line load one.
module tiara_pad #(
  parameter int unsigned AddrW = 17,   // log2 of the bytes of all contexts together
  parameter int unsigned CtxW  = 5
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  // an access of a program
  input  logic             valid_i,
  output logic             ready_o,
  input  logic             is_store_i,
  input  logic [CtxW-1:0]  ctx_i,
  input  logic [AddrW-1:0] addr_i,
  input  logic [3:0]       bytes_i,      // 1, 2, 4 or 8
  input  logic [63:0]      data_i,
  // it is done
  output logic             valid_o,
  input  logic             accept_i,
  output logic [CtxW-1:0]  ctx_o,
  output logic [63:0]      data_o,       // right-justified; what lies above the access is other bytes
  // an aligned word of a line load
  input  logic             fill_i,
  output logic             fill_ready_o,
  input  logic [AddrW-4:0] fill_word_i,
  input  logic [63:0]      fill_data_i
);
  localparam int unsigned WordW = AddrW - 3;

  logic             valid_q, fill_turn_q, start, is_fill;
  logic [CtxW-1:0]  ctx_q;
  logic [2:0]       shift_q, shift;
  logic [63:0]      read, turned, to_turn, by_1, by_2;
  logic [WordW-1:0] word, word_next;

  // Whose turn it is does not depend on who comes: words have theirs when one has waited, until an access waits.
  assign fill_ready_o = !valid_q && fill_turn_q;
  assign ready_o      = !valid_q && !fill_turn_q;
  assign start        = valid_i && ready_o;
  assign is_fill      = fill_i && fill_ready_o;
  assign word         = addr_i[AddrW-1:3];
  assign word_next    = word + 1'b1;

  // One rotator: what is stored turns on its way in, what is loaded on its way out.
  assign to_turn = valid_q ? read : fill_turn_q ? fill_data_i : data_i;
  assign shift   = valid_q ? shift_q : fill_turn_q ? 3'd0 : -addr_i[2:0];
  assign by_1    = shift[0] ? {to_turn[7:0], to_turn[63:8]} : to_turn;
  assign by_2    = shift[1] ? {by_1[15:0], by_1[63:16]} : by_1;
  assign turned  = shift[2] ? {by_2[31:0], by_2[63:32]} : by_2;

  for (genvar b = 0; b < 8; b++) begin : gen_bank
    (* no_rw_check, ram_style = "block" *) logic [7:0] bank_q [0:(1<<WordW)-1];
    logic [7:0]       out_q;
    logic [3:0]       from;
    logic [2:0]       place;
    logic [WordW-1:0] at;
    logic             write;
    assign from  = 4'(b) - {1'b0, addr_i[2:0]};  // negative: this bank's byte is of the next word
    assign place = from[2:0];                    // which byte of the access this bank holds
    assign at    = fill_turn_q ? fill_word_i : from[3] ? word_next : word;
    assign write = is_fill || (start && is_store_i && {1'b0, place} < bytes_i);
    always_ff @(posedge clk_i) begin
      if (write) bank_q[at] <= turned[8*b +: 8];
      if (start) out_q <= bank_q[at];
    end
    assign read[8*b +: 8] = out_q;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q     <= 1'b0;
      fill_turn_q <= 1'b0;
    end else begin
      fill_turn_q <= fill_i && !(fill_ready_o && valid_i);
      if (start)         valid_q <= 1'b1;
      else if (accept_i) valid_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (start) begin
      ctx_q   <= ctx_i;
      shift_q <= addr_i[2:0];
    end
  end

  assign valid_o = valid_q;
  assign ctx_o   = ctx_q;
  assign data_o  = turned;
endmodule
