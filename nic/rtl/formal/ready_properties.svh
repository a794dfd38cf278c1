// Properties of tiara_ready, included into it under TIARA_PROPERTIES.
  logic [CtxW:0] f_count;
  logic f_runs_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) f_runs_q <= 1'b0;
    else         f_runs_q <= 1'b1;
  end
  assign f_count = write_q - read_q;
  always_ff @(posedge clk_i) if (f_runs_q) begin
    queue_never_overflows: assert (f_count <= (CtxW+1)'(Contexts) && !(push_i && f_count == (CtxW+1)'(Contexts)));
    queue_shows_what_it_has: assert (valid_o == (f_count != '0));
    queue_never_underflows: assert (!pop_i || f_count != '0);
  end
