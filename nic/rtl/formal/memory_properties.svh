// Properties of tiara_memory, included into it under TIARA_PROPERTIES: a request that is taken is answered once, to its
// context; what goes to the bus are its bytes and no others; an atomic is alone.
//
// The mover has properties of its own and is cut here: any of its commands is done after some of its writes, in order.
// Memory is its own address: the byte at a holds the lower bits of a.
`include "runs.svh"
  localparam int unsigned FDepth = 4;                // commands of the mover under way
  logic [Ids-1:0]   f_owed_q;                        // taken, not answered
  logic [4:0]       f_op_q      [0:Ids-1];
  logic [AddrW-1:0] f_addr_q    [0:Ids-1];           // of its first byte
  logic [3:0]       f_length_q  [0:Ids-1];
  logic [1:0]       f_reads_q   [0:Ids-1];           // under way
  logic [AddrW-1:6] f_line_q    [0:Ids-1][0:1];      // the older one first
  logic [1:0]       f_writes_q  [0:Ids-1];
  logic [15:0]      f_fills_q;
  logic [3:0]       f_words_q   [0:Ids-1];           // of a line, given
  logic [IdW:0]     f_move_q    [0:FDepth-1];
  logic [2:0]       f_head_q, f_tail_q;
  logic [AddrW-1:0] f_fill_at_q, f_fill_left_q, f_long_from_q, f_long_to_q, f_long_length_q;
  logic             f_takes, f_answers, f_fills, f_reads, f_writes, f_fill_writes, f_line_goes, f_done_goes;
  logic             f_move_done;
  logic [AddrW-1:0] f_first, f_last;
  logic [2:0]       f_moves;
  assign f_takes       = req_valid_i && req_ready_o;
  assign f_answers     = ans_valid_o && ans_kind_o == tiara_pkg::InAnswer;
  assign f_fills       = ans_valid_o && ans_kind_o == tiara_pkg::InFill;
  assign f_reads       = rd_valid_o && rd_ready_i;
  assign f_writes      = wr_valid_o && wr_ready_i && !wr_is_fill_o;
  assign f_fill_writes = wr_valid_o && wr_ready_i && wr_is_fill_o;
  assign f_line_goes   = rd_line_valid_i && rd_line_ready_o;
  assign f_done_goes   = wr_done_valid_i && wr_done_ready_o;
  assign f_move_done   = mwr_done_valid_i && mwr_done_ready_o && done_is_last;
  assign f_moves       = f_tail_q - f_head_q;
  // Where the request's bytes are: payload and reply are in the slot's buffers.
  logic [AddrW-1:0] f_buffer;
  assign f_buffer = buffers_i + (AddrW'(req_slot_i) << 19);
  assign f_first = req_addr_i[AddrW-1:0] + ((req_op_i == tiara_pkg::OpPayloadLoad) ? f_buffer
                 : (req_op_i == tiara_pkg::OpEmit) ? f_buffer + AddrW'(1 << 18) : '0);
  assign f_last  = f_first + ((req_op_i == tiara_pkg::OpLine) ? AddrW'(63)
                 : (req_op_i == tiara_pkg::OpLoad || req_op_i == tiara_pkg::OpStore) ? AddrW'(req_length_i[3:0]) - 1'b1
                 : AddrW'(7));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_owed_q <= '0;
      {f_fills_q, f_head_q, f_tail_q, f_fill_left_q} <= '0;
      for (int unsigned i = 0; i < Ids; i++) begin
        f_reads_q[i]  <= '0;
        f_writes_q[i] <= '0;
        f_words_q[i]  <= '0;
      end
    end else begin
      for (int unsigned i = 0; i < Ids; i++) begin
        f_reads_q[i]  <= f_reads_q[i] + 2'(f_reads && rd_id_o == IdW'(i)) - 2'(f_line_goes && rd_line_id_i == IdW'(i));
        f_writes_q[i] <= f_writes_q[i] + 2'(f_writes && wr_id_o == IdW'(i)) -
                         2'(f_done_goes && wr_done_id_i == IdW'(i));
        if (f_line_goes && rd_line_id_i == IdW'(i)) f_line_q[i][0] <= f_line_q[i][1];
        if (f_reads && rd_id_o == IdW'(i))
          f_line_q[i][(f_reads_q[i] - 2'(f_line_goes && rd_line_id_i == IdW'(i))) != '0] <= rd_addr_o[AddrW-1:6];
      end
      f_fills_q <= f_fills_q + 16'(f_fill_writes) - 16'(fill_done_i);
      if (cmd_valid && cmd_ready) f_tail_q <= f_tail_q + 1'b1;
      if (f_move_done)            f_head_q <= f_head_q + 1'b1;
      if (f_answers && ans_ready_i) f_owed_q[ans_id_o] <= 1'b0;
      if (f_fills && ans_ready_i)   f_words_q[ans_id_o] <= f_words_q[ans_id_o] + 1'b1;
      if (f_takes) begin
        f_owed_q[req_id_i]  <= 1'b1;
        f_words_q[req_id_i] <= '0;
      end
      if (f_takes && req_op_i == tiara_pkg::OpFill && !is_empty) f_fill_left_q <= req_length_i;
      else if (f_fill_writes)                       f_fill_left_q <= f_fill_left_q - f_fill_now;
    end
  end
  always_ff @(posedge clk_i) begin
    if (f_takes) begin
      f_op_q[req_id_i]     <= req_op_i;
      f_addr_q[req_id_i]   <= f_first;
      f_length_q[req_id_i] <= 4'(f_last - f_first) + 1'b1;
    end
    if (f_takes && req_op_i == tiara_pkg::OpFill && !is_empty) f_fill_at_q <= req_addr_i[AddrW-1:0];
    else if (f_fill_writes)                       f_fill_at_q <= f_fill_at_q + f_fill_now;
    if (f_takes && req_op_i == tiara_pkg::OpCopyTo && !is_empty) begin
      f_long_from_q   <= copy_from_q[req_id_i];
      f_long_to_q     <= req_addr_i[AddrW-1:0];
      f_long_length_q <= req_length_i;
    end
    if (cmd_valid && cmd_ready) f_move_q[f_tail_q[1:0]] <= cmd_id;
  end

  // ------------------------------------------------------------ the bytes of a write, of a read
  logic [63:0]      f_is_byte, f_is_right, f_strobe;
  logic [AddrW-1:0] f_fill_now, f_at;
  logic [63:0]      f_word;
  assign f_word     = (req_op_i == tiara_pkg::OpEmit) ? req_operand_i : req_data_i;
  assign f_fill_now = (f_fill_left_q < AddrW'(64) - AddrW'(f_fill_at_q[5:0])) ? f_fill_left_q
                    : AddrW'(64) - AddrW'(f_fill_at_q[5:0]);
  always_comb begin
    for (int unsigned i = 0; i < 64; i++) begin
      f_is_byte[i]  = {wr_addr_o[AddrW-1:6], 6'(i)} - f_first <= f_last - f_first;
      f_is_right[i] = !wr_strobe_o[i] ||
                      wr_data_o[8*i +: 8] == f_word[{3'({wr_addr_o[AddrW-1:6], 6'(i)} - f_first), 3'b0} +: 8];
      f_strobe[i]   = i >= 32'(f_fill_at_q[5:0]) && i < 32'(f_fill_at_q[5:0]) + 32'(f_fill_now);
    end
  end
  logic [511:0] f_line;
  logic [7:0]   f_is_loaded;
  assign f_at = f_addr_q[ans_id_o];
  always_comb begin
    for (int unsigned i = 0; i < 64; i++) f_line[8*i +: 8] = 8'({f_line_q[rd_line_id_i][0], 6'(i)});
    for (int unsigned i = 0; i < 8; i++)
      f_is_loaded[i] = i >= 32'(f_length_q[ans_id_o]) || ans_data_o[8*i +: 8] == 8'(f_at + AddrW'(i));
  end

  // ------------------------------------------------------------ where what is owed is
  logic [Ids-1:0] f_is_moved, f_is_placed;
  always_comb begin
    f_is_moved = '0;
    for (int unsigned n = 0; n < FDepth; n++)
      if (3'(n) < f_moves && !f_move_q[2'(f_head_q[1:0] + 2'(n))][IdW])
        f_is_moved[f_move_q[2'(f_head_q[1:0] + 2'(n))][IdW-1:0]] = 1'b1;
    for (int unsigned i = 0; i < Ids; i++)
      f_is_placed[i] = !f_owed_q[i] ||
        3'(f_reads_q[i] != '0 || f_writes_q[i] != '0 || (atomic_q != AtomicNone && at_id_q == IdW'(i))) +
        3'(long_q != LongNone && long_id_q == IdW'(i)) + 3'(f_is_moved[i]) +
        3'(loc_valid_q && loc_id_q == IdW'(i)) + 3'(rmt_q && rmt_id_o == IdW'(i)) +
        3'(f_answers && ans_id_o == IdW'(i)) == 3'd1;
  end

  // ------------------------------------------------------------ what the others promise
  logic f_waits_q, f_line_waits_q, f_done_waits_q, f_move_waits_q, f_req_is_known;
  logic [AddrW-1:0] f_buffers_q, f_bounce_q, f_req_length_q, f_req_addr_low_q;
  logic [4:0]       f_req_op_q;
  logic [IdW-1:0]   f_req_id_q, f_line_id_q, f_done_id_q;
  logic [63:0]      f_req_data_q, f_req_operand_q;
  logic [SlotsW-1:0] f_req_slot_q;
  logic             f_req_scatter_q, f_okay_q, f_last_q;
  logic             f_ans_waits_q;
  logic [1:0]       f_ans_kind_q;
  logic [IdW-1:0]   f_ans_id_q;
  logic [63:0]      f_ans_data_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {f_waits_q, f_line_waits_q, f_done_waits_q, f_move_waits_q, f_ans_waits_q} <= '0;
    else begin
      f_waits_q      <= req_valid_i && !req_ready_o;
      f_line_waits_q <= rd_line_valid_i && !rd_line_ready_o;
      f_done_waits_q <= wr_done_valid_i && !wr_done_ready_o;
      f_move_waits_q <= mwr_done_valid_i && !mwr_done_ready_o;
      f_ans_waits_q  <= ans_valid_o && !ans_ready_i;
    end
  end
  always_ff @(posedge clk_i) begin
    {f_req_op_q, f_req_id_q, f_req_addr_low_q, f_req_length_q, f_req_data_q, f_req_operand_q, f_req_slot_q,
     f_req_scatter_q} <= {req_op_i, req_id_i, req_addr_i[AddrW-1:0], req_length_i, req_data_i, req_operand_i,
     req_slot_i, req_is_scatter_i};
    {f_line_id_q, f_done_id_q, f_okay_q, f_last_q} <= {rd_line_id_i, wr_done_id_i, wr_done_is_okay_i, done_is_last};
    {f_ans_kind_q, f_ans_id_q, f_ans_data_q} <= {ans_kind_o, ans_id_o, ans_data_o};
    {f_buffers_q, f_bounce_q} <= {buffers_i, bounce_i};
  end
  assign f_req_is_known = req_op_i != tiara_pkg::OpCheck && req_op_i != tiara_pkg::OpPadLoad &&
                          req_op_i != tiara_pkg::OpPadStore && req_op_i <= tiara_pkg::OpRemoteGather;
  always_comb if (rst_ni) begin
    the_host_s_settings_stay: assume (!f_runs_q || (buffers_i == f_buffers_q && bounce_i == f_bounce_q));
    buffers_are_on_pages: assume (buffers_i[11:0] == '0 && bounce_i[11:0] == '0);
    what_waits_stays: assume (!f_waits_q || (req_valid_i && {req_op_i, req_id_i, req_addr_i[AddrW-1:0], req_length_i,
        req_data_i, req_operand_i, req_slot_i, req_is_scatter_i} == {f_req_op_q, f_req_id_q, f_req_addr_low_q,
        f_req_length_q, f_req_data_q, f_req_operand_q, f_req_slot_q, f_req_scatter_q}));
    a_context_has_one_request: assume (!req_valid_i || (f_req_is_known && !f_owed_q[req_id_i]));
    loads_and_stores_have_a_size: assume (!req_valid_i || (req_op_i != tiara_pkg::OpLoad &&
        req_op_i != tiara_pkg::OpStore) || req_length_i == AddrW'(1) || req_length_i == AddrW'(2) ||
        req_length_i == AddrW'(4) || req_length_i == AddrW'(8));
    atomics_are_on_words: assume (!req_valid_i || !is_atomic || req_addr_i[2:0] == '0);
    lines_are_on_lines: assume (!req_valid_i || !is_line || req_addr_i[5:0] == '0);
    a_line_was_asked_for: assume (!rd_line_valid_i || (f_reads_q[rd_line_id_i] != '0 && rd_line_i == f_line));
    a_completion_is_of_a_write: assume (!wr_done_valid_i || f_writes_q[wr_done_id_i] != '0);
    a_fill_s_completion_is_of_a_fill: assume (!fill_done_i || f_fills_q != '0);
    the_bus_waits: assume ((!f_line_waits_q || (rd_line_valid_i && rd_line_id_i == f_line_id_q)) &&
        (!f_done_waits_q || (wr_done_valid_i && wr_done_id_i == f_done_id_q && wr_done_is_okay_i == f_okay_q)) &&
        (!f_move_waits_q || (mwr_done_valid_i && done_is_last == f_last_q)));
    the_mover_goes_on_in_order: assume (!mwr_done_valid_i || (f_moves != '0 && done_id == f_move_q[f_head_q[1:0]]));
    the_mover_s_queue_is_short: assume (!cmd_ready || f_moves != 3'(FDepth));
    who_is_far_answers_once: assume (!rmt_answer_i || rmt_valid_o);
  end

  // ------------------------------------------------------------ what holds
  always_ff @(posedge clk_i) if (f_runs_q) begin
    an_answer_is_owed: assert (!f_answers || f_owed_q[ans_id_o]);
    what_is_owed_is_in_one_place: assert (&f_is_placed);
    an_answer_waits: assert (!f_ans_waits_q || (ans_valid_o &&
        {ans_kind_o, ans_id_o, ans_data_o} == {f_ans_kind_q, f_ans_id_q, f_ans_data_q}));
    words_are_of_a_line_in_order: assert (!f_fills || (f_owed_q[ans_id_o] && f_op_q[ans_id_o] == tiara_pkg::OpLine &&
        ans_reg_o == {1'b0, f_words_q[ans_id_o]} && f_words_q[ans_id_o] < 4'd8));
    a_line_comes_whole: assert (!f_answers || f_op_q[ans_id_o] != tiara_pkg::OpLine || f_words_q[ans_id_o] == 4'd8);
    a_load_gets_its_bytes: assert (!f_answers || (f_op_q[ans_id_o] != tiara_pkg::OpLoad &&
        f_op_q[ans_id_o] != tiara_pkg::OpPayloadLoad) || f_is_loaded == '1);
    a_read_is_of_the_request: assert (!rd_valid_o || atomic_q == AtomicAgain || (req_valid_i && rd_id_o == req_id_i &&
        (is_load || is_line || is_atomic) &&
        rd_addr_o == {half_q ? f_last[AddrW-1:6] : f_first[AddrW-1:6], 6'd0}));
    an_atomic_is_read_again_where_it_was: assert (!(rd_valid_o && atomic_q == AtomicAgain) || (rd_id_o == at_id_q &&
        f_owed_q[at_id_q] && rd_is_exclusive_o && rd_addr_o == {f_addr_q[at_id_q][AddrW-1:6], 6'd0}));
    a_store_writes_its_bytes: assert (!(wr_valid_o && !wr_is_fill_o && atomic_q != AtomicWrite) ||
        (req_valid_i && is_store && wr_id_o == req_id_i && wr_strobe_o == f_is_byte && wr_strobe_o != '0 &&
        f_is_right == '1));
    an_atomic_writes_its_word: assert (!(wr_valid_o && atomic_q == AtomicWrite) || (wr_id_o == at_id_q &&
        f_owed_q[at_id_q] && wr_is_exclusive_o && wr_addr_o == {f_addr_q[at_id_q][AddrW-1:6], 6'd0} &&
        wr_strobe_o == 64'hff << f_addr_q[at_id_q][5:0]));
    a_fill_writes_its_bytes: assert (!(wr_valid_o && wr_is_fill_o) || (f_fill_left_q != '0 &&
        wr_addr_o == {f_fill_at_q[AddrW-1:6], 6'd0} && wr_strobe_o == f_strobe));
    a_fill_is_whole: assert (!(long_q == LongDrain) || f_fill_left_q == '0);
    an_atomic_is_alone: assert (atomic_q == AtomicNone || (f_moves == '0 && f_fills_q == '0 &&
        !(cmd_valid && cmd_ready) && (writes_q == '0 || (writes_q == 16'd1 && f_writes_q[at_id_q] == 2'd1)) &&
        (!f_writes || atomic_q == AtomicWrite)));
    a_copy_s_pieces_are_inside: assert (!(cmd_valid && long_q != LongNone) || (cmd_length <= AddrW'(4096) &&
        (cmd_from == bounce_i || cmd_from - f_long_from_q <= f_long_length_q - cmd_length) &&
        (cmd_to == bounce_i || cmd_to - f_long_to_q <= f_long_length_q - cmd_length)));
    a_command_is_of_the_request: assert (!(cmd_valid && long_q == LongNone) || (req_valid_i &&
        cmd_id == {1'b0, req_id_i} && cmd_length == req_length_i && (is_gather ? cmd_from == req_addr_i[AddrW-1:0] :
        cmd_to == req_addr_i[AddrW-1:0])));
    counts_are_right: assert (moves_q == 16'(f_moves) && fills_q == f_fills_q);
    it_says_that_it_moves: assert (is_moving_o || (f_moves == '0 && f_fills_q == '0));
    an_answered_atomic_is_performed: assert (!at_loads_answer || !wr_done_is_okay_i);
    two_accesses_at_most: assert (!f_reads || f_reads_q[rd_id_o] != 2'd2);
  end
