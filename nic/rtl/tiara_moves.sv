// The mover, and whose writes of it are under way: they are completed in order, so that a queue of 128 knows what the
// next completion is of.
module tiara_moves #(
  parameter int unsigned AddrW = 48,
  parameter int unsigned IdW   = 6
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              cmd_valid_i,
  output logic              cmd_ready_o,
  input  logic [AddrW-1:0]  cmd_from_i,
  input  logic [AddrW-1:0]  cmd_to_i,
  input  logic [AddrW-1:0]  cmd_length_i,
  input  logic [IdW-1:0]    cmd_id_i,
  output logic              rd_valid_o,
  input  logic              rd_ready_i,
  output logic [AddrW-1:0]  rd_addr_o,
  output logic [7:0]        rd_tag_o,
  input  logic              line_valid_i,
  input  logic [7:0]        line_tag_i,
  input  logic [511:0]      line_i,
  output logic              wr_valid_o,
  input  logic              wr_ready_i,
  output logic [AddrW-1:0]  wr_addr_o,
  output logic [511:0]      wr_data_o,
  output logic [63:0]       wr_strobe_o,
  input  logic              wr_done_i,       // the oldest write is complete
  output logic              done_is_last_o,  // of that one: it is its command's last
  output logic [IdW-1:0]    done_id_o
);
  logic           mover_valid, mover_ready, mover_last, is_full, goes;
  logic [IdW-1:0] mover_id;
  logic [7:0]     head_q, tail_q;
  logic [IdW:0]   order_q [0:127];
  tiara_mover #(.AddrW(AddrW), .IdW(IdW)) u_mover (
    .clk_i, .rst_ni, .cmd_valid_i, .cmd_ready_o, .cmd_from_i, .cmd_to_i, .cmd_length_i, .cmd_id_i,
    .read_valid_o(rd_valid_o), .read_ready_i(rd_ready_i), .read_addr_o(rd_addr_o), .read_tag_o(rd_tag_o),
    .line_valid_i, .line_tag_i, .line_data_i(line_i), .write_valid_o(mover_valid), .write_ready_i(mover_ready),
    .write_addr_o(wr_addr_o), .write_data_o(wr_data_o), .write_strobe_o(wr_strobe_o), .write_is_last_o(mover_last),
    .write_id_o(mover_id));
  assign is_full     = (tail_q - head_q) == 8'd128;
  assign wr_valid_o  = mover_valid && !is_full;
  assign mover_ready = wr_ready_i && !is_full;
  assign goes        = wr_valid_o && wr_ready_i;
  assign {done_is_last_o, done_id_o} = order_q[head_q[6:0]];
  always_ff @(posedge clk_i) begin
    if (goes) order_q[tail_q[6:0]] <= {mover_last, mover_id};
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q <= '0;
      tail_q <= '0;
    end else begin
      if (goes)      tail_q <= tail_q + 1'b1;
      if (wr_done_i) head_q <= head_q + 1'b1;
    end
  end
endmodule
