// Properties of tiara_dispatch, included into it under TIARA_PROPERTIES: every request that is pushed starts once, on a
// context that nobody has. Slots and contexts are followed one by one.
`include "runs.svh"
  localparam int unsigned FSlots = 1 << SlotsW, FIds = Cores * Contexts;
  logic [FSlots-1:0] f_waits_q, f_has_q;       // pushed and not started; pushed and not ended
  logic [FIds-1:0]   f_given_q, f_started_q;   // contexts
  logic [SlotsW-1:0] f_slot_q [0:FIds-1];
  logic [ClassW-1:0] f_class_q [0:FSlots-1];
  logic [Classes-1:0] f_has_class;
  logic              f_starts;
  assign f_starts = start_valid_o && start_ready_i && is_last_beat;
  always_comb begin
    f_has_class = '0;
    for (int unsigned i = 0; i < FSlots; i++) if (f_waits_q[i]) f_has_class[f_class_q[i]] = 1'b1;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_waits_q   <= '0;
      f_has_q     <= '0;
      f_given_q   <= '0;
      f_started_q <= '0;
    end else begin
      if (pop) begin
        f_waits_q[head] <= 1'b0;
        f_given_q[32'(core) * Contexts + 32'(ctx)] <= 1'b1;
      end
      if (f_starts) f_started_q[id] <= 1'b1;
      if (free_i) begin
        f_given_q[free_id_i]   <= 1'b0;
        f_started_q[free_id_i] <= 1'b0;
        f_has_q[f_slot_q[free_id_i]] <= 1'b0;
      end
      if (push_i) begin
        f_waits_q[push_slot_i] <= 1'b1;
        f_has_q[push_slot_i]   <= 1'b1;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (push_i)   f_class_q[push_slot_i] <= push_class_i;
    if (f_starts) f_slot_q[id] <= slot_q;
  end
  always_comb if (rst_ni) begin
    front_pushes_a_slot_once: assume (!push_i || !f_has_q[push_slot_i]);
    what_runs_ends_once: assume (!free_i || (32'(free_id_i) < FIds && f_started_q[free_id_i]));
  end

  always_ff @(posedge clk_i) if (f_runs_q) begin
    a_request_starts_once: assert (!pop || f_waits_q[head]);
    no_request_is_lost: assert (has_q == f_has_class);
    a_context_is_given_once: assert (!pop || !f_given_q[32'(core) * Contexts + 32'(ctx)]);
    a_free_context_is_free: assert (free_q == ~f_given_q);
    a_context_starts_for_who_has_it: assert (!f_starts || (f_given_q[id] && !f_started_q[id]));
    what_starts_waited: assert (state_q == Idle || (f_has_q[slot_q] && !f_waits_q[slot_q]));
    entries_are_of_the_starting_context: assert (!entry_we_o || (f_given_q[id] && !f_started_q[id]));
  end
