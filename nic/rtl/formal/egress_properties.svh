// Properties of tiara_egress, included into it under TIARA_PROPERTIES: every slot that is pushed is sent once, whole.
`include "runs.svh"
  logic [SlotsW:0] f_waiting, f_marked;
  logic [6:0]      f_under_way_q, f_pieces_q, f_beats_q;
  assign f_waiting = tail_q - head_q;
  always_comb begin
    f_marked = '0;
    for (int unsigned i = 0; i < (1 << SlotsW); i++) f_marked = f_marked + (SlotsW+1)'(is_sending_q[i]);
  end
  logic            f_stalls_q;
  logic [6:0]      f_line_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_under_way_q <= '0;
      f_pieces_q    <= '0;
      f_beats_q     <= '0;
      f_stalls_q    <= 1'b0;
    end else begin
      f_under_way_q <= f_under_way_q + 7'(asks) - 7'(line_valid_i);
      f_pieces_q    <= (state_q == Get0) ? '0 : f_pieces_q + 7'(sent_o);
      f_beats_q     <= (state_q == Piece) ? '0 : f_beats_q + 7'(m_tvalid_o && m_tready_i);
      f_stalls_q    <= m_tvalid_o && !m_tready_i;
    end
  end
  always_ff @(posedge clk_i) f_line_q <= m_line_q;
  always_comb if (rst_ni) begin
    a_slot_is_sent_to_its_end_first: assume (!(push_i || replays) || !is_sending_q[in_slot]);
    memory_brings_what_was_asked_for: assume (!line_valid_i || f_under_way_q != '0);
  end

  always_ff @(posedge clk_i) if (f_runs_q) begin
    queue_never_overflows: assert (f_waiting <= (SlotsW+1)'(1 << SlotsW));
    queue_never_underflows: assert (!ends || f_waiting != '0);
    a_slot_waits_once: assert (f_waiting == f_marked);
    who_is_sent_was_pushed: assert (state_q == Idle || state_q == Get0 || is_sending_q[slot_q]);
    every_piece_is_sent_once: assert (!ends || f_pieces_q == pieces);
    a_frame_is_as_long_as_its_piece: assert (!sent_o || f_beats_q == lines + 7'd2);
    a_beat_stands_until_it_is_taken: assert (!f_stalls_q || (m_tvalid_o && m_line_q == f_line_q));
    no_line_comes_late: assert (state_q == Fetch || f_under_way_q == '0);
    reads_are_of_the_slot_s_reply: assert (!read_valid_o ||
        (read_addr_o - buffers_i - (AddrW'(slot_q) << 19)) >> 18 == AddrW'(1));
    two_are_not_taken_into_one_place: assert (!(push_i && replay_valid_i && replay_ready_o));
  end
