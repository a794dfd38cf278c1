// Properties of tiara_cache, included into it under TIARA_PROPERTIES: what it serves is what memory has. One arbitrary
// word is followed. Memory performs a write at any time between taking and answering it, and a load too; bulk writes
// until is_moving_i falls; the host writes when it likes and says so by a flush afterwards.
`ifdef FORMAL
  (* anyconst *) logic [AddrW-1:3] f_addr;
  (* anyseq *)   logic [DataW-1:0] f_new;
  (* anyseq *)   logic             f_performs, f_host_writes, f_bulk_ends;
  (* anyseq *)   logic [Contexts-1:0] f_reads;
  logic [DataW-1:0]    f_mem_q;
  logic [DataW-1:0]    f_value_q [0:Contexts-1];
  logic [Contexts-1:0] f_sent_q, f_is_write_q, f_is_load_q, f_is_bulk_q;
  logic                f_moving_q, f_is_stale_q, s_is_bulk_q, f_sends;
  logic                f_is_later_q = 1'b0;
  always_ff @(posedge clk_i) f_is_later_q <= 1'b1;
  always_comb reset_comes_first: assume (rst_ni == f_is_later_q);
  always_ff @(posedge clk_i) if (req_ready_o) s_is_bulk_q <= req_is_bulk_i;
  assign f_sends = mem_valid_o && mem_ready_i && !s_is_end_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_sent_q     <= '0;
      f_is_write_q <= '0;
      f_is_load_q  <= '0;
      f_moving_q   <= 1'b0;
      f_is_stale_q <= 1'b0;
    end else begin
      if (ans_valid_i) f_sent_q[ans_ctx_i] <= 1'b0;
      if (f_sends) begin
        f_sent_q[s_ctx_q]     <= 1'b1;
        f_is_write_q[s_ctx_q] <= s_is_write_q && !s_is_bulk_q && s_addr_q == f_addr;
        f_is_load_q[s_ctx_q]  <= s_is_word_q && s_addr_q == f_addr;
      end
      // A write is done once; a load may look again until it is answered.
      if (f_performs) f_is_write_q <= '0;
      if (f_sends && s_is_write_q && !s_is_bulk_q && s_addr_q == f_addr) f_is_write_q[s_ctx_q] <= 1'b1;
      if (f_bulk_ends) f_moving_q <= 1'b0;
      if (f_sends && s_is_bulk_q) f_moving_q <= 1'b1;
      if (flush_i) f_is_stale_q <= 1'b0;
      if (f_host_writes) f_is_stale_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if ((f_performs && f_is_write_q != '0) || f_moving_q || f_host_writes) f_mem_q <= f_new;
    for (int unsigned i = 0; i < Contexts; i++)
      if (f_reads[i] || (f_sends && s_ctx_q == CtxW'(i))) f_value_q[i] <= f_mem_q;
  end

  always_comb if (rst_ni) begin
    a_context_waits_for_one_answer: assume (!req_valid_i || !(f_sent_q[req_ctx_i] ||
        (s_valid_q && s_ctx_q == req_ctx_i) || (h_valid_q && h_ctx_q == req_ctx_i)));
    memory_answers_what_was_asked: assume (!ans_valid_i || f_sent_q[ans_ctx_i]);
    writes_are_done_when_answered: assume (!ans_valid_i || !f_is_write_q[ans_ctx_i]);
    loads_give_what_memory_had: assume (!(ans_valid_i && f_is_load_q[ans_ctx_i]) || ans_data_i == f_value_q[ans_ctx_i]);
    bulk_says_that_it_moves: assume (!f_moving_q || is_moving_i);
    one_kind_at_most: assume (!(req_is_word_i && (req_is_write_i || req_is_bulk_i || req_is_end_i)) &&
        !(req_is_end_i && (req_is_write_i || req_is_bulk_i)));
  end
  // What a block RAM gives for a word in the cycle in which it is written is not known: such a look counts for nothing.
  logic f_collides_q;
  always_ff @(posedge clk_i) if (req_ready_o) f_collides_q <= we && index == req_addr_i[IndexW+2:3];
  always_ff @(posedge clk_i) if (rst_ni && f_is_later_q) begin
    a_word_that_is_written_is_not_served: assert (!(hit_moves && f_collides_q));
    what_is_served_is_what_memory_has: assert (!(hit_moves && s_addr_q == f_addr && !f_is_stale_q && !flush_i) ||
        s_word[DataW-1:0] == f_mem_q);
    nothing_is_served_while_bulk_moves: assert (!(hit_moves && f_moving_q));
    a_request_is_answered_or_sent: assert (!(hit_moves && mem_valid_o) &&
        (!s_valid_q || mem_valid_o || hit_moves || h_valid_q));
    an_answer_is_not_overwritten: assert (!(hit_moves && h_valid_q && !hit_ready_i));
  end
`endif
