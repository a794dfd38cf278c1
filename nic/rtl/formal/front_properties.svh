// Properties of tiara_front, included into it under TIARA_PROPERTIES: the duplicate window. Frames, checksums,
// contracts are arbitrary; the rest of the NIC does what its registers in tiara_nic do: a request that runs or is
// refused ends some time, then its slot is done and is sent, and then may be sent again. One slot is followed.
`include "runs.svh"
`ifdef FORMAL
  (* anyconst *) logic [SlotsW-1:0] f_slot;
  (* anyseq *)   logic [Slots-1:0]  f_ends, f_leaves;   // an answer is made; has been sent
  logic [Slots-1:0] f_running_q, f_refused_q, f_done_q, f_sending_q;
  logic [6:0]       f_writes_q;
  logic             f_has_run_q, f_decides;   // since the client began
  logic [SeqW-1:0]  f_last_q;
  assign f_decides = run_o || (refuse_valid_o && refuse_ready_i);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_running_q <= '0;
      f_refused_q <= '0;
      f_done_q    <= '0;
      f_sending_q <= '0;
      f_writes_q  <= '0;
      f_has_run_q <= 1'b0;
    end else begin
      f_running_q <= f_running_q & ~f_ends;
      f_refused_q <= f_refused_q & ~f_ends;
      f_done_q    <= f_done_q | (f_ends & (f_running_q | f_refused_q));
      f_sending_q <= (f_sending_q & ~f_leaves) | (f_ends & (f_running_q | f_refused_q));
      if (run_o)                              f_running_q[slot_o] <= 1'b1;
      if (refuse_valid_o && refuse_ready_i)   f_refused_q[slot_o] <= 1'b1;
      if (renew_o)                            f_done_q[slot_o]    <= 1'b0;
      if (replay_valid_o && replay_ready_i)   f_sending_q[slot_o] <= 1'b1;
      f_writes_q <= f_writes_q + 7'(write_valid_o && write_ready_i) - 7'(written_i);
      if (f_decides && slot_o == f_slot) f_has_run_q <= 1'b1;
      if (forget_i && forget_client_i == f_slot[SlotsW-1:SlotW]) f_has_run_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) if (f_decides && slot_o == f_slot) f_last_q <= sequence_o;
  always_comb if (rst_ni) begin
    registers_are_those_of_the_nic: assume (is_running_i == (f_running_q | f_refused_q) && is_done_i == f_done_q &&
                                            is_sending_i == f_sending_q);
    clients_begin_anew_at_rest: assume (!forget_i ||
        (((f_running_q | f_refused_q | f_sending_q) >> {forget_client_i, SlotW'(0)}) &
         Slots'((1 << (1 << SlotW)) - 1)) == '0);
    memory_completes_what_was_written: assume (!written_i || f_writes_q != '0);
    ingress_keeps_a_frame: assume (!f_was_valid_q || frame_valid_i);
  end
  logic f_was_valid_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) f_was_valid_q <= 1'b0;
    else         f_was_valid_q <= frame_valid_i && !frame_done_o;
  end

  always_ff @(posedge clk_i) if (f_runs_q) begin
    a_request_is_decided_once: assert (!(f_decides && slot_o == f_slot && f_has_run_q) || sequence_o > f_last_q);
    only_a_slot_at_rest_runs: assert (!f_decides || !(f_running_q[slot_o] || f_refused_q[slot_o] || f_done_q[slot_o]));
    a_running_request_is_not_overwritten: assert (!(keep_o || write_valid_o || renew_o) ||
        !(f_running_q[slot_o] || f_refused_q[slot_o]));
    a_reply_under_way_is_not_overwritten: assert (!renew_o || !f_sending_q[slot_o]);
    only_what_is_done_is_answered_again: assert (!(replay_valid_o && replay_ready_i) ||
        (f_done_q[slot_o] && !f_running_q[slot_o] && !f_sending_q[slot_o]));
    writes_are_of_the_slot_s_payload: assert (!write_valid_o ||
        (write_addr_o - buffers_i - (AddrW'(slot_o) << 19)) >> 18 == '0);
    payload_is_there_before_it_runs: assert (!run_o || f_writes_q == '0);
    a_frame_ends_once: assert (!frame_done_o || frame_valid_i);
  end
`endif
