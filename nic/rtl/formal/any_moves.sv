// In the place of tiara_moves where tiara_memory is checked: its outputs are anything.
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
  input  logic              wr_done_i,
  output logic              done_is_last_o,
  output logic [IdW-1:0]    done_id_o
);
  assign {cmd_ready_o, rd_valid_o, wr_valid_o, done_is_last_o} = $anyseq;
  assign done_id_o   = $anyseq;
  assign {rd_addr_o, rd_tag_o, wr_addr_o, wr_data_o, wr_strobe_o} = '0;
endmodule
