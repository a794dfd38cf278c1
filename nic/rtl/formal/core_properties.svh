// Properties of tiara_core, included into it under TIARA_PROPERTIES: proved to a stated depth by formal/run.sh, and
// checked in every cycle of the lock-step run. Assumptions are the dispatcher's and memory's side of the protocols.

  // ------------------------------------------------------------ where every context is
  logic [Contexts-1:0] f_alive_q, f_queued_q, f_sleeps_q, f_sent_q, f_line_q;
  logic [3:0]          f_fills_q [0:Contexts-1];   // words of a line that are still to come
  logic                f_runs_q;     // not in reset, and not in the first cycle after it
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) f_runs_q <= 1'b0;
    else         f_runs_q <= 1'b1;
  end
`ifdef FORMAL
  logic f_is_later_q = 1'b0;
  always_ff @(posedge clk_i) f_is_later_q <= 1'b1;
  always_comb reset_comes_first: assume (rst_ni == f_is_later_q);
`endif

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_alive_q  <= '0;
      f_queued_q <= '0;
      f_sleeps_q <= '0;
      f_sent_q   <= '0;
      f_line_q   <= '0;
      for (int unsigned i = 0; i < Contexts; i++) f_fills_q[i] <= 4'd0;
    end else begin
      if (pop)                              f_queued_q[f_ctx] <= 1'b0;
      if (push)                             f_queued_q[push_ctx] <= 1'b1;
      if (ans_go && ans_wakes_q)            f_sleeps_q[ans_ctx_q] <= 1'b0;
      if (r_goes && r_sleeps_q)               f_sleeps_q[r_ctx_q] <= 1'b1;
      if (r_goes && r_ends_q)                 f_alive_q[r_ctx_q] <= 1'b0;
      if (start)                            f_alive_q[in_ctx_i] <= 1'b1;
      if (start)                            f_sleeps_q[in_ctx_i] <= 1'b1;  // until its last beat wakes it
      if (in_valid_i && in_ready_o && in_kind_i == tiara_pkg::InAnswer) f_sent_q[in_ctx_i] <= 1'b0;
      if (req_valid_o && req_ready_i && req_op_o < tiara_pkg::OpEndOk)  f_sent_q[req_ctx_o] <= 1'b1;
      if (in_valid_i && in_ready_o && in_kind_i == tiara_pkg::InFill) f_fills_q[in_ctx_i] <= f_fills_q[in_ctx_i] - 4'd1;
      if (req_valid_o && req_ready_i && req_op_o < tiara_pkg::OpEndOk)
        f_fills_q[req_ctx_o] <= (req_op_o == tiara_pkg::OpLine) ? 4'd8 : 4'd0;
    end
  end

  // Ends on their way: from stage R to the request's end. A context may be started again only when its last end has
  // left, because its results are taken from there.
  logic [2:0] f_ends_q [0:Contexts-1];
  logic [Contexts-1:0] f_is_placed, f_is_ending;
  always_comb begin
    for (int unsigned i = 0; i < Contexts; i++) begin
      f_is_placed[i] =
        4'(f_queued_q[i]) + 4'(d_valid_q && d_ctx_q == CtxW'(i)) + 4'(e_valid_q && e_ctx_q == CtxW'(i)) +
        4'(x_valid_q && x_ctx_q == CtxW'(i)) + 4'(y_valid_q && y_ctx_q == CtxW'(i)) +
        4'(z_valid_q && z_ctx_q == CtxW'(i)) +
        4'(r_valid_q && r_ctx_q == CtxW'(i)) + 4'(w_back_q && w_ctx_q == CtxW'(i)) +
        4'(f_sleeps_q[i]) == 4'(f_alive_q[i]);
      f_is_ending[i] = f_ends_q[i] != 3'd0;
    end
  end

  logic       f_end_in, f_end_out;
  assign f_end_in  = r_goes && r_is_end_q;
  assign f_end_out = req_valid_o && req_ready_i && req_op_o >= tiara_pkg::OpEndOk;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Contexts; i++) f_ends_q[i] <= 3'd0;
    end else begin
      for (int unsigned i = 0; i < Contexts; i++)
        f_ends_q[i] <= f_ends_q[i] + 3'(f_end_in && r_ctx_q == CtxW'(i)) - 3'(f_end_out && req_ctx_o == CtxW'(i));
    end
  end

  // ------------------------------------------------------------ what the others promise
  logic f_in_answers, f_in_begins;
  assign f_in_answers = in_valid_i && (in_kind_i == tiara_pkg::InAnswer || in_kind_i == tiara_pkg::InFill);
  assign f_in_begins  = in_valid_i && (in_kind_i == tiara_pkg::InArgument || in_kind_i == tiara_pkg::InStart);
`ifdef FORMAL
  always_comb if (rst_ni) begin
`else
  always_ff @(posedge clk_i) if (f_runs_q) begin   // a simulation checks them where inputs are stable
`endif
    memory_answers_what_was_asked: assume (!f_in_answers || f_sent_q[in_ctx_i]);
    memory_fills_a_line_first: assume (!f_in_answers ||
        (in_kind_i == tiara_pkg::InFill) == (f_fills_q[in_ctx_i] != 4'd0));
    dispatcher_starts_free_contexts: assume (!f_in_begins || (!f_alive_q[in_ctx_i] && !f_is_ending[in_ctx_i]));
  end

  logic f_is_bad_q;   // in stage R: no instruction has this opcode
  always_ff @(posedge clk_i) f_is_bad_q <= z_is_bad_q;

  // ------------------------------------------------------------ what holds
  always_ff @(posedge clk_i) if (f_runs_q) begin
    a_context_is_in_one_place: assert (&f_is_placed);
    a_context_is_queued_once: assert (!push || !f_queued_q[push_ctx] || (pop && f_ctx == push_ctx));
    queue_gives_what_it_was_given: assert (!pop || f_queued_q[f_ctx]);
    only_sleepers_wake: assert (!(ans_go && ans_wakes_q) || f_sleeps_q[ans_ctx_q]);
    a_context_has_one_request: assert (!(req_valid_o && req_op_o < tiara_pkg::OpEndOk) || !f_sent_q[req_ctx_o]);
    requests_are_of_running_contexts: assert (!(req_valid_o && req_op_o < tiara_pkg::OpEndOk) || f_alive_q[req_ctx_o]);
    ends_are_of_ended_work: assert (!(req_valid_o && req_op_o >= tiara_pkg::OpEndOk) || f_is_ending[req_ctx_o]);
    no_reply_is_given_twice: assert (!(f_end_in && r_ends_q) || f_alive_q[r_ctx_q]);
    no_reply_is_lost: assert (!(req_valid_o && req_op_o >= tiara_pkg::OpEndOk && req_is_last_o) ||
        !f_alive_q[req_ctx_o]);
    entry_is_of_the_own_domain: assert (!(y_valid_q && !y_u_q.kind[2]) ||
        (!y_entry_q[EntryW-1] && y_entry_q[DomainW+3:4] == bound_q[y_ctx_q][StoreW+DomainW : StoreW+1]));
    entry_is_of_the_own_context: assert (!(y_valid_q && y_u_q.kind[2]) ||
        (y_entry_q[EntryW-1] && y_entry_q[CtxW+1:2] == y_ctx_q));
    tenant_is_the_invocation_s: assert (!r_valid_q ||
        r_tenant_q == bound_q[r_ctx_q][StoreW+DomainW+TenantW : StoreW+DomainW+1]);
    without_entry_only_what_needs_none: assert (!(r_valid_q && r_is_memory_q && r_u_q.kind == tiara_pkg::EntNone) ||
        r_u_q.op == tiara_pkg::OpFence || (r_u_q.op >= tiara_pkg::OpRemoteArgument &&
        r_u_q.op <= tiara_pkg::OpRemoteGather));
    places_beside_the_program_fault: assert (!(r_goes && r_is_first_q && !f_is_bad_q) ||
        r_pc_q < {1'b0, bound_q[r_ctx_q][StoreW:0]});
    // A context on its way to an illegal end keeps no frames: nothing retires there.
    frames_stay_in_their_stack: assert (!(r_goes && r_advances_q) || r_depth_q <= 3'd4);
  end
`ifdef TIARA_PROGRESS
`include "progress_properties.svh"
`endif
