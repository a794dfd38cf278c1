// Properties of tiara_mover, included into it under TIARA_PROPERTIES: every byte of a move is written once, where it
// belongs, with what was read where it came from; no other byte is.
//
// Memory is its own address: the byte at a holds a. It answers in any order, and only what it was asked for.
`include "runs.svh"
  localparam int unsigned FDepth = 4;   // commands in flight, and one that is drained
  localparam int unsigned FPtrW  = 2;
  logic [AddrW-1:0] f_from_q [0:FDepth-1];
  logic [AddrW-1:0] f_to_q   [0:FDepth-1];
  logic [AddrW-1:0] f_length_q [0:FDepth-1];
  logic [IdW-1:0]   f_id_q   [0:FDepth-1];
  logic [FPtrW:0]   f_head_q, f_tail_q;
  logic [AddrW-1:0] f_done_q;           // bytes of the oldest command that are written
  logic [(1<<SlotW)-1:0] f_asked_q;     // lines that are on their way
  logic [AddrW-1:LineW]  f_line_q [0:(1<<SlotW)-1];
  logic             f_write;
  logic [AddrW-1:0] f_from, f_to, f_length, f_at, f_now;
  logic [8*Line-1:0] f_data;
  assign f_write  = write_valid_o && write_ready_i;
  assign f_from   = f_from_q[f_head_q[FPtrW-1:0]];
  assign f_to     = f_to_q[f_head_q[FPtrW-1:0]];
  assign f_length = f_length_q[f_head_q[FPtrW-1:0]];
  assign f_at     = f_to + f_done_q;                       // where the next byte goes
  // How many bytes this write must have.
  logic [AddrW:0]   f_room, f_left;
  assign f_room   = (AddrW+1)'(Line) - (AddrW+1)'(f_at[LineW-1:0]);
  assign f_left   = {1'b0, f_length} - {1'b0, f_done_q};
  assign f_now    = (f_left < f_room) ? f_left[AddrW-1:0] : f_room[AddrW-1:0];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {f_head_q, f_tail_q} <= '0;
      f_done_q  <= '0;
      f_asked_q <= '0;
    end else begin
      if (cmd_go) f_tail_q <= f_tail_q + 1'b1;
      if (f_write) f_done_q <= write_is_last_o ? '0 : f_done_q + f_now;
      if (f_write && write_is_last_o) f_head_q <= f_head_q + 1'b1;
      if (line_valid_i) f_asked_q[line_tag_i] <= 1'b0;
      if (read_go) f_asked_q[read_tag_o] <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (cmd_go) begin
      f_from_q[f_tail_q[FPtrW-1:0]]   <= cmd_from_i;
      f_to_q[f_tail_q[FPtrW-1:0]]     <= cmd_to_i;
      f_length_q[f_tail_q[FPtrW-1:0]] <= cmd_length_i;
      f_id_q[f_tail_q[FPtrW-1:0]]     <= cmd_id_i;
    end
    if (read_go) f_line_q[read_tag_o] <= read_addr_o[AddrW-1:LineW];
  end
  // What memory says, and what the byte of a write must be.
  logic [Line-1:0] f_strobe, f_is_right;
  logic [7:0]      f_byte [0:Line-1];
  always_comb begin
    for (int unsigned i = 0; i < Line; i++) begin
      f_data[8*i +: 8] = 8'({f_line_q[line_tag_i], LineW'(i)});
      f_strobe[i]      = i >= 32'(f_at[LineW-1:0]) && i < 32'(f_at[LineW-1:0]) + 32'(f_now);
      f_byte[i]        = 8'(AddrW'(f_from + f_done_q + AddrW'(i) - AddrW'(f_at[LineW-1:0])));
      f_is_right[i]    = !write_strobe_o[i] || write_data_o[8*i +: 8] == f_byte[i];
    end
  end
`ifdef FORMAL
  always_comb begin
    only_what_was_asked_for: assume (!line_valid_i || (f_asked_q[line_tag_i] && line_data_i == f_data));
    ranges_are_in_memory: assume (!cmd_valid_i ||
        ({1'b0, cmd_from_i} + {1'b0, cmd_length_i} <= (AddrW+1)'(1 << AddrW) &&
        {1'b0, cmd_to_i} + {1'b0, cmd_length_i} <= (AddrW+1)'(1 << AddrW)));
  end
`endif
  always_ff @(posedge clk_i) if (f_runs_q) begin
    commands_are_not_forgotten: assert (!(cmd_go && f_tail_q - f_head_q == (FPtrW+1)'(FDepth)));
    a_write_is_of_a_command: assert (!write_valid_o || f_head_q != f_tail_q);
    a_write_is_where_it_belongs: assert (!write_valid_o || f_length == '0 ||
        write_addr_o == {f_at[AddrW-1:LineW], LineW'(0)});
    every_byte_is_written_and_no_other: assert (!write_valid_o || write_strobe_o == f_strobe);
    bytes_are_what_was_read: assert (!write_valid_o || f_is_right == '1);
    the_last_write_is_the_last: assert (!write_valid_o || write_is_last_o == (f_left == {1'b0, f_now}));
    a_write_has_its_command_s_number: assert (!write_valid_o || write_id_o == f_id_q[f_head_q[FPtrW-1:0]]);
    a_place_is_asked_for_once: assert (!read_go || (!f_asked_q[read_tag_o] && !is_here_q[read_tag_o]));
  end
