// Properties of tiara_ingress, included into it under TIARA_PROPERTIES: its two buffers are a FIFO of whole frames.
// What the headers and sums say is cut: any frame may be found to be anything.
`include "runs.svh"
  logic [2:0] f_in_q, f_out_q;   // frames kept and given back, modulo 8
  logic [1:0] f_open_q;          // frames begun that nothing has been decided about
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_in_q   <= '0;
      f_out_q  <= '0;
      f_open_q <= '0;
    end else begin
      f_in_q   <= f_in_q + 3'(accepts);
      f_out_q  <= f_out_q + 3'(frame_done_i);
      f_open_q <= f_open_q + 2'(begins && keeps) - 2'(ends);
    end
  end
  always_comb if (rst_ni) front_ends_what_it_sees: assume (!frame_done_i || frame_valid_o);

  always_ff @(posedge clk_i) if (f_runs_q) begin
    a_full_buffer_is_not_written: assert (!(keeps && !is_beyond) || !is_full_q[write_q]);
    a_frame_goes_into_a_free_buffer: assert (!accepts || !is_full_q[write_q]);
    frames_leave_in_their_order: assert ((is_full_q[0] == is_full_q[1]) ? read_q == write_q
                                                                        : read_q == is_full_q[1] && write_q != read_q);
    no_frame_is_lost_or_doubled: assert (f_in_q - f_out_q == {1'b0, 2'(is_full_q[0]) + 2'(is_full_q[1])});
    lines_stay_in_their_buffer: assert (!(keeps && !is_beyond) || begins || count_q < LineIndexW'(MaxLines));
    every_kept_frame_is_judged: assert (f_open_q == 2'(is_in_q && !skips_q) + 2'(ends));
    a_judgement_is_one: assert (3'(accepts) + 3'(drop_foreign_o) + 3'(drop_length_o) + 3'(drop_checksum_o) == 3'(ends));
    what_finds_no_room_is_counted: assert (!(begins && !keeps) || drop_full_o);
  end
