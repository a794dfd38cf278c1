// Properties of tiara_core, included under TIARA_PROGRESS after core_properties.svh: no context is stuck under a fair
// memory. Memory takes a request within two cycles and says each word of an answer within two; jobs of the serial
// unit are short here, because how long they are at most is a property of that unit (serial_properties.svh).
//
// A context waits in the queue, or is in the pipeline, or sleeps until an answer: each for a bounded time, and it is
// turned away a bounded number of times in a row. So it goes on within (away + 1) * (queue + pipeline) + sleep cycles,
// the words of a line beside them.
  localparam int unsigned FMostQueue = 2 + Contexts, FMostPipe = 7, FMostAway = 2, FMostSleep = 12;
  logic [4:0] f_queue_age_q [0:Contexts-1], f_pipe_age_q [0:Contexts-1], f_sleep_age_q [0:Contexts-1];
  logic [2:0] f_away_q [0:Contexts-1];
  logic [1:0] f_stall_q, f_age_q [0:Contexts-1];
  logic [2:0] f_job_q;
  logic [Contexts-1:0] f_is_late, f_queue_good, f_pipe_good, f_sleep_good, f_away_good;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_stall_q <= '0;
      f_job_q   <= '0;
      for (int unsigned i = 0; i < Contexts; i++) begin
        {f_queue_age_q[i], f_pipe_age_q[i], f_sleep_age_q[i]} <= '0;
        f_away_q[i] <= '0;
        f_age_q[i]  <= '0;
      end
    end else begin
      f_stall_q <= (req_valid_o && !req_ready_i) ? f_stall_q + 2'd1 : 2'd0;
      f_job_q   <= (!ser_ready && !ser_valid) ? f_job_q + 3'd1 : 3'd0;
      for (int unsigned i = 0; i < Contexts; i++) begin
        f_queue_age_q[i] <= f_queued_q[i] ? f_queue_age_q[i] + 5'd1 : 5'd0;
        f_pipe_age_q[i]  <= (f_alive_q[i] && !f_queued_q[i] && !f_sleeps_q[i]) ? f_pipe_age_q[i] + 5'd1 : 5'd0;
        f_sleep_age_q[i] <= !f_sleeps_q[i] ? 5'd0 : f_sleep_age_q[i] + 5'(f_fills_q[i] == '0);
        if (r_valid_q && r_ctx_q == CtxW'(i)) f_away_q[i] <= r_retry ? f_away_q[i] + 3'd1 : 3'd0;
        f_age_q[i] <= (!f_sent_q[i] || (in_valid_i && in_ready_o && f_in_answers && in_ctx_i == CtxW'(i))) ? 2'd0
                    : f_is_late[i] ? f_age_q[i] : f_age_q[i] + 2'd1;
      end
    end
  end
  always_comb begin
    for (int unsigned i = 0; i < Contexts; i++) begin
      f_is_late[i]    = f_age_q[i] == 2'd2;
      f_queue_good[i] = f_queue_age_q[i] <= 5'(FMostQueue);
      f_pipe_good[i]  = f_pipe_age_q[i] <= 5'(FMostPipe);
      f_sleep_good[i] = f_sleep_age_q[i] <= 5'(FMostSleep);
      f_away_good[i]  = f_away_q[i] <= 3'(FMostAway);
    end
  end
  always_comb if (rst_ni) begin
    memory_takes_soon: assume (!(req_valid_o && !req_ready_i) || f_stall_q != 2'd2);
    memory_answers_soon: assume (f_is_late == '0 || (f_in_answers && f_is_late[in_ctx_i]));
    jobs_are_short: assume (f_job_q < 3'd4);
  end
  always_ff @(posedge clk_i) if (f_runs_q) begin
    the_queue_is_left_in_time: assert (&f_queue_good);
    the_pipeline_is_left_in_time: assert (&f_pipe_good);
    who_sleeps_wakes_in_time: assert (&f_sleep_good);
    who_is_turned_away_goes_on_in_time: assert (&f_away_good);
  end
