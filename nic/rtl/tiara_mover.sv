// Moves bytes from memory to memory, to the reply or from the payload, a line a cycle: gathers, scatters and copies.
// Line reads go out in order and come back in any; what they bring waits in a ring, is turned to where it belongs in
// its destination, and leaves as one write of a line with a strobe for each byte.
//
//   issue side:  one read for each line of the source, as long as the ring has a free place
//   drain side:  the oldest line leaves the ring when it is there; the next command's lines are on their way meanwhile
//
// Ranges were checked by whoever sends the command. A command of no bytes gives one write without a strobe.
module tiara_mover #(
  parameter int unsigned AddrW  = 48,
  parameter int unsigned LineW  = 6,    // log2 of a line's bytes
  parameter int unsigned SlotW  = 8,    // log2 of the lines in flight: as many as memory's latency in cycles, at least
  parameter int unsigned QueueW = 3,    // log2 of the commands in flight
  parameter int unsigned IdW    = 8,
  localparam int unsigned Line  = 1 << LineW
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  // commands
  input  logic              cmd_valid_i,
  output logic              cmd_ready_o,
  input  logic [AddrW-1:0]  cmd_from_i,     // bytes; both ranges end below 2^AddrW
  input  logic [AddrW-1:0]  cmd_to_i,
  input  logic [AddrW-1:0]  cmd_length_i,
  input  logic [IdW-1:0]    cmd_id_i,
  // reads
  output logic              read_valid_o,
  input  logic              read_ready_i,
  output logic [AddrW-1:0]  read_addr_o,    // of a line
  output logic [SlotW-1:0]  read_tag_o,
  input  logic              line_valid_i,   // always taken: the ring has the place
  input  logic [SlotW-1:0]  line_tag_i,
  input  logic [8*Line-1:0] line_data_i,
  // writes
  output logic              write_valid_o,
  input  logic              write_ready_i,
  output logic [AddrW-1:0]  write_addr_o,   // of a line
  output logic [8*Line-1:0] write_data_o,
  output logic [Line-1:0]   write_strobe_o,
  output logic              write_is_last_o,
  output logic [IdW-1:0]    write_id_o
);
  localparam int unsigned CountW   = AddrW - LineW + 1;   // lines of a command
  localparam int unsigned LineLast = Line - 1;

  // ============================================================ issue
  logic              i_valid_q;
  logic [AddrW-1:LineW] i_line_q;
  logic [CountW-1:0] i_left_q;
  logic [SlotW:0]    head_q, tail_q;                    // ring: one bit more than the index
  logic              is_ring_full, queue_is_full, cmd_go, read_go;
  logic [AddrW:0]    cmd_span;
  logic [CountW-1:0] cmd_lines;

  assign cmd_span     = {1'b0, cmd_length_i} + (AddrW+1)'(cmd_from_i[LineW-1:0]) + (AddrW+1)'(LineLast);
  assign cmd_lines    = (cmd_length_i == '0) ? '0 : cmd_span[AddrW:LineW];
  assign is_ring_full = (tail_q - head_q) == (SlotW+1)'(1 << SlotW);
  assign read_valid_o = i_valid_q && !is_ring_full;
  assign read_addr_o  = {i_line_q, LineW'(0)};
  assign read_tag_o   = tail_q[SlotW-1:0];
  assign read_go      = read_valid_o && read_ready_i;
  assign cmd_ready_o  = !queue_is_full && (!i_valid_q || (read_go && i_left_q == CountW'(1)));
  assign cmd_go       = cmd_valid_i && cmd_ready_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      i_valid_q <= 1'b0;
      tail_q    <= '0;
    end else begin
      if (cmd_go)                                       i_valid_q <= cmd_lines != '0;
      else if (read_go && i_left_q == CountW'(1))       i_valid_q <= 1'b0;
      if (read_go) tail_q <= tail_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (cmd_go) begin
      i_line_q <= cmd_from_i[AddrW-1:LineW];
      i_left_q <= cmd_lines;
    end else if (read_go) begin
      i_line_q <= i_line_q + 1'b1;
      i_left_q <= i_left_q - 1'b1;
    end
  end

  // ============================================================ commands that are not drained yet
  localparam int unsigned CommandW = IdW + 2*AddrW + LineW + CountW;
  logic [CommandW-1:0] queue_q [0:(1<<QueueW)-1];
  logic [QueueW:0]     q_write_q, q_read_q;
  logic                q_valid, q_pop;
  logic [IdW-1:0]      q_id;
  logic [AddrW-1:0]    q_to, q_length;
  logic [LineW-1:0]    q_from;
  logic [CountW-1:0]   q_lines;
  assign queue_is_full = (q_write_q - q_read_q) == (QueueW+1)'(1 << QueueW);
  assign q_valid       = q_write_q != q_read_q;
  assign {q_id, q_to, q_length, q_from, q_lines} = queue_q[q_read_q[QueueW-1:0]];
  always_ff @(posedge clk_i) begin
    if (cmd_go) queue_q[q_write_q[QueueW-1:0]] <= {cmd_id_i, cmd_to_i, cmd_length_i, cmd_from_i[LineW-1:0], cmd_lines};
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      q_write_q <= '0;
      q_read_q  <= '0;
    end else begin
      if (cmd_go) q_write_q <= q_write_q + 1'b1;
      if (q_pop)  q_read_q  <= q_read_q + 1'b1;
    end
  end

  // ============================================================ the ring
  (* no_rw_check, ram_style = "block" *) logic [8*Line-1:0] ring_q [0:(1<<SlotW)-1];
  logic [(1<<SlotW)-1:0] is_here_q;
  logic [8*Line-1:0]     a_line;
  logic                  pop, advance;
  always_ff @(posedge clk_i) begin
    if (line_valid_i) ring_q[line_tag_i] <= line_data_i;
    if (advance) a_line <= ring_q[head_q[SlotW-1:0]];
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      is_here_q <= '0;
      head_q    <= '0;
    end else begin
      if (pop) begin
        is_here_q[head_q[SlotW-1:0]] <= 1'b0;
        head_q <= head_q + 1'b1;
      end
      if (line_valid_i) is_here_q[line_tag_i] <= 1'b1;
    end
  end

  // ============================================================ drain: which line, which write
  // Turned by `turn` bytes, source line n begins at the place of a destination line. When the source lies further in
  // its line than the destination does, the first line only primes what comes before the second.
  logic              busy_q, needs_prime, has_line, step, is_final, is_head_here;
  logic [CountW-1:0] d_lines_q, d_writes_q, cur_lines, cur_writes, q_writes;
  logic [AddrW:0]    q_span;
  logic              primed_q, is_primed;
  logic [LineW-1:0]  turn;

  assign q_span       = {1'b0, q_length} + (AddrW+1)'(q_to[LineW-1:0]) + (AddrW+1)'(LineLast);
  assign q_writes     = (q_length == '0) ? CountW'(1) : q_span[AddrW:LineW];
  assign turn         = q_from - q_to[LineW-1:0];
  assign needs_prime  = q_from > q_to[LineW-1:0] && q_lines != '0;
  assign cur_lines    = busy_q ? d_lines_q : q_lines;
  assign cur_writes   = busy_q ? d_writes_q : q_writes;
  assign is_primed    = busy_q ? primed_q : !needs_prime;
  assign has_line     = cur_lines != '0;
  assign is_head_here = is_here_q[head_q[SlotW-1:0]];
  assign step         = q_valid && advance && (!has_line || is_head_here);
  assign pop          = step && has_line;
  assign is_final     = is_primed && cur_writes == CountW'(1);
  // The last line may be left over when the first one was only a part of the first write.
  assign q_pop        = step && is_final;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)   busy_q <= 1'b0;
    else if (step) busy_q <= !is_final;
  end
  logic [AddrW-1:LineW] d_line_q;
  always_ff @(posedge clk_i) begin
    if (step) begin
      d_lines_q  <= has_line ? cur_lines - 1'b1 : '0;
      d_writes_q <= is_primed ? cur_writes - 1'b1 : cur_writes;
      d_line_q   <= (busy_q ? d_line_q : q_to[AddrW-1:LineW]) + (AddrW-LineW)'(is_primed);
      primed_q   <= 1'b1;
    end
  end

  // ============================================================ turn, then join with the line before
  logic              a_valid_q, a_is_write_q, a_is_last_q, a_is_first_q;
  logic [AddrW-1:LineW] a_line_q;
  logic [IdW-1:0]    a_id_q;
  logic [LineW-1:0]  a_turn_q, a_low_q, a_high_q;
  logic              b_valid_q, b_is_last_q;
  logic [8*Line-1:0] turned, before_q, joined, b_data_q;
  logic [Line-1:0]   strobe, b_strobe_q, from_before;
  logic [AddrW-1:LineW] b_line_q;
  logic [IdW-1:0]    b_id_q;
  logic              a_is_empty_q;

  assign advance = !b_valid_q || write_ready_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      a_valid_q <= 1'b0;
      b_valid_q <= 1'b0;
    end else if (advance) begin
      a_valid_q <= step;
      b_valid_q <= a_valid_q && a_is_write_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (advance) begin
      a_is_write_q <= is_primed;
      a_is_last_q  <= is_final;
      a_is_first_q <= cur_writes == q_writes;
      a_is_empty_q <= q_length == '0;
      a_line_q     <= busy_q ? d_line_q : q_to[AddrW-1:LineW];
      a_id_q       <= q_id;
      a_turn_q     <= turn;
      a_low_q      <= q_to[LineW-1:0];
      a_high_q     <= q_to[LineW-1:0] + q_length[LineW-1:0] - 1'b1;   // last byte, when this is the last write
      if (a_valid_q) before_q <= turned;
      b_is_last_q <= a_is_last_q;
      b_line_q    <= a_line_q;
      b_id_q      <= a_id_q;
      b_data_q    <= joined;
      b_strobe_q  <= a_is_empty_q ? '0 : strobe;
    end
  end

  logic [16*Line-1:0] twice;
  assign twice  = {a_line, a_line};
  assign turned = twice[8*a_turn_q +: 8*Line];
  always_comb begin
    for (int unsigned i = 0; i < Line; i++) begin
      // Bytes below Line - turn are the earlier line's.
      from_before[i]    = a_turn_q != '0 && (LineW+1)'(i) + {1'b0, a_turn_q} < (LineW+1)'(Line);
      joined[8*i +: 8]  = from_before[i] ? before_q[8*i +: 8] : turned[8*i +: 8];
      strobe[i]         = !(a_is_first_q && i[LineW-1:0] < a_low_q) && !(a_is_last_q && i[LineW-1:0] > a_high_q);
    end
  end

  assign write_valid_o   = b_valid_q;
  assign write_addr_o    = {b_line_q, LineW'(0)};
  assign write_data_o    = b_data_q;
  assign write_strobe_o  = b_strobe_q;
  assign write_is_last_o = b_is_last_q;
  assign write_id_o      = b_id_q;

`ifdef TIARA_PROPERTIES
`include "mover_properties.svh"
`endif
endmodule
