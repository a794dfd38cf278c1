// Properties of tiara_operators, included into it under TIARA_PROPERTIES: what is loaded, and what can change it. Tags
// are arbitrary, so that any load may be found to be right. Two arbitrary operators are followed.
`include "runs.svh"
`ifdef FORMAL
  (* anyconst *) logic [OperatorW-1:0] f_one, f_two;
  logic [StoreW:0]   f_one_end, f_two_end;
  logic [StoreW-1:0] f_one_first, f_two_first;
  assign {f_one_end, f_one_first} = info_q[f_one][2*StoreW:0];
  assign {f_two_end, f_two_first} = info_q[f_two][2*StoreW:0];
  logic f_was_valid_q, f_is_checked_q;
  always_ff @(posedge clk_i) begin
    f_was_valid_q  <= is_valid_q[f_one];
    f_is_checked_q <= state_q == Wait && sip_valid && sip_tag == tag_q && !is_bad_q && operator_q == f_one;
  end
  always_comb if (rst_ni) begin
    only_valid_operators_are_taken: assume (!take_i || is_valid_q[take_operator_i]);
    what_was_taken_is_given: assume (!give_i || uses_q[give_operator_i] != '0);
    no_more_run_than_there_are_slots: assume (!take_i || uses_q[take_operator_i] != '1);
    the_host_does_one_thing_at_a_time: assume (3'(key_we_i) + 3'(begin_i) + 3'(word_i) + 3'(tag_i) + 3'(unload_i) +
                                               3'(reclaim_i) <= 3'd1);
  end

  always_ff @(posedge clk_i) if (f_runs_q) begin
    only_the_host_s_words_are_stored: assert (!store_we_o || (word_i && is_key_closed_q));
    code_of_an_operator_stays: assert (!(store_we_o && is_taken_q[f_one]) || store_addr_o < f_one_first ||
        {1'b0, store_addr_o} >= f_one_end);
    operators_do_not_overlap: assert (f_one == f_two || !is_taken_q[f_one] || !is_taken_q[f_two] ||
        f_one_end <= {1'b0, f_two_first} || f_two_end <= {1'b0, f_one_first});
    code_lies_in_the_store: assert (!is_taken_q[f_one] || ({1'b0, f_one_first} < f_one_end &&
        f_one_end <= (StoreW+1)'(1 << StoreW)));
    an_operator_needs_its_tag: assert (!is_valid_q[f_one] || f_was_valid_q || f_is_checked_q);
    what_runs_keeps_its_place: assert (uses_q[f_one] == '0 || is_taken_q[f_one]);
    who_is_valid_has_a_place: assert ((is_valid_q & ~is_taken_q) == '0);
  end
`endif
