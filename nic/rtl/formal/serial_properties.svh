// Properties of tiara_serial, included into it under TIARA_PROPERTIES: a job is done after as many cycles as a word has
// bits, and stays done until it is accepted.
`include "runs.svh"
  localparam int unsigned FMost = (HasSplitAdd ? 2 : 1) * 65 + 1;
  logic [7:0] f_job_q;
  logic       f_done_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {f_job_q, f_done_q} <= '0;
    else begin
      f_job_q  <= (start_i || valid_o) ? 8'd0 : busy_q ? f_job_q + 8'd1 : 8'd0;
      f_done_q <= valid_o && !accept_i;
    end
  end
`ifdef FORMAL
  always_comb if (rst_ni) begin
    who_starts_has_it: assume (!start_i || ready_o);
    what_is_done_is_accepted: assume (!accept_i || valid_o);
  end
`endif
  always_ff @(posedge clk_i) if (f_runs_q) begin
    a_job_is_done_in_time: assert (f_job_q <= 8'(FMost));
    what_is_done_stays: assert (!f_done_q || valid_o);
  end
