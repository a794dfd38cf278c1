// Properties of tiara_finish, included into it under TIARA_PROPERTIES: each end and each refusal is one reply.
`include "runs.svh"
  logic              f_open_q, f_is_refusal_q;
  logic [1:0]        f_written_q;
  logic [SlotsW-1:0] f_slot_q;
  logic [IdW-1:0]    f_id_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_open_q    <= 1'b0;
      f_written_q <= '0;
    end else begin
      if (done_o) f_open_q <= 1'b0;
      if (takes_end || takes_refusal) f_open_q <= 1'b1;
      if (takes_end || takes_refusal) f_written_q <= '0;
      else if (reply_we_o) f_written_q[reply_half_o] <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (takes_end || takes_refusal) begin
      f_slot_q       <= takes_end ? info_slot : refuse_slot_i;
      f_is_refusal_q <= takes_refusal;
      f_id_q         <= end_id_i;
    end
  end

  always_ff @(posedge clk_i) if (f_runs_q) begin
    no_reply_is_given_twice: assert (!done_o || f_open_q);
    no_end_is_lost: assert (!(takes_end || takes_refusal) || !f_open_q);
    an_end_or_a_refusal: assert (!(takes_end && takes_refusal));
    a_reply_is_written_whole_first: assert (!done_o || f_written_q == 2'b11);
    a_reply_is_of_who_asked: assert (!(done_o || reply_we_o) || slot_o == f_slot_q);
    a_context_is_freed_by_its_end: assert (!free_o || (done_o && !f_is_refusal_q && free_id_o == f_id_q));
    every_end_frees_its_context: assert (!done_o || f_is_refusal_q || free_o);
    what_is_taken_is_last: assert (!(end_valid_i && end_ready_o && end_is_last_i) || takes_end);
  end
