// Included into every checked module of the NIC: when its properties hold.
  logic f_runs_q;     // not in reset, and not in the first cycle after it
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) f_runs_q <= 1'b0;
    else         f_runs_q <= 1'b1;
  end
`ifdef FORMAL
  logic f_is_later_q = 1'b0;
  always_ff @(posedge clk_i) f_is_later_q <= 1'b1;
  always_comb reset_comes_first: assume (rst_ni == f_is_later_q);
`endif
