// Properties of tiara_bus, included into it under TIARA_PROPERTIES: what was taken is on the bus until it is taken
// there, once and as asked; what comes is given to one.
`include "runs.svh"
  logic              f_rd_goes, f_wr_goes, f_rd_q, f_aw_q, f_w_q, f_rd_lock_q, f_wr_lock_q;
  logic [AddrW-1:0]  f_rd_addr_q, f_wr_addr_q;
  logic [AxiIdW-1:0] f_rd_id_q, f_wr_id_q;
  logic [511:0]      f_wr_data_q;
  logic [63:0]       f_wr_strobe_q;
  logic [2:0]        f_rd_go, f_wr_go;      // {packets, mover, core}
  assign f_rd_go = {packet_rd_valid_i && packet_rd_ready_o, mover_rd_valid_i && mover_rd_ready_o,
                    core_rd_valid_i && core_rd_ready_o};
  assign f_wr_go = {packet_wr_valid_i && packet_wr_ready_o, mover_wr_valid_i && mover_wr_ready_o,
                    core_wr_valid_i && core_wr_ready_o};
  assign f_rd_goes = f_rd_go != '0;
  assign f_wr_goes = f_wr_go != '0;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {f_rd_q, f_aw_q, f_w_q} <= '0;
    else begin
      f_rd_q <= f_rd_goes || (f_rd_q && !ar_ready_i);
      f_aw_q <= f_wr_goes || (f_aw_q && !aw_ready_i);
      f_w_q  <= f_wr_goes || (f_w_q && !w_ready_i);
    end
  end
  always_ff @(posedge clk_i) begin
    if (f_rd_goes) begin
      f_rd_lock_q <= f_rd_go[0] && core_rd_is_exclusive_i;
      f_rd_addr_q <= f_rd_go[0] ? core_rd_addr_i : f_rd_go[1] ? mover_rd_addr_i : packet_rd_addr_i;
      f_rd_id_q   <= f_rd_go[0] ? {FromCore, 8'(core_rd_id_i)} : f_rd_go[1] ? {FromMover, mover_rd_tag_i}
                                : {FromPackets, 8'(packet_rd_tag_i)};
    end
    if (f_wr_goes) begin
      f_wr_lock_q <= f_wr_go[0] && core_wr_is_exclusive_i;
      f_wr_addr_q   <= f_wr_go[0] ? core_wr_addr_i : f_wr_go[1] ? mover_wr_addr_i : packet_wr_addr_i;
      f_wr_data_q   <= f_wr_go[0] ? core_wr_data_i : f_wr_go[1] ? mover_wr_data_i : packet_wr_data_i;
      f_wr_strobe_q <= f_wr_go[0] ? core_wr_strobe_i : f_wr_go[1] ? mover_wr_strobe_i : packet_wr_strobe_i;
      f_wr_id_q     <= f_wr_go[0] ? {core_wr_is_fill_i ? FromFill : FromCore, 8'(core_wr_id_i)}
                                  : {f_wr_go[1] ? FromMover : FromPackets, 8'd0};
    end
  end

  logic f_error_q;
  always_ff @(posedge clk_i) f_error_q <= rst_ni && has_error_o;
  always_ff @(posedge clk_i) if (f_runs_q) begin
    one_read_is_taken: assert ((f_rd_go & (f_rd_go - 3'd1)) == '0);
    one_write_is_taken: assert ((f_wr_go & (f_wr_go - 3'd1)) == '0);
    no_read_is_lost_or_doubled: assert (ar_valid_o == f_rd_q && !(f_rd_goes && f_rd_q && !ar_ready_i));
    no_write_is_lost_or_doubled: assert (aw_valid_o == f_aw_q && w_valid_o == f_w_q &&
        !(f_wr_goes && ((f_aw_q && !aw_ready_i) || (f_w_q && !w_ready_i))));
    a_read_is_as_asked: assert (!ar_valid_o || (ar_addr_o == f_rd_addr_q && ar_id_o == f_rd_id_q));
    a_write_is_as_asked: assert (!aw_valid_o || (aw_addr_o == f_wr_addr_q && aw_id_o == f_wr_id_q));
    written_bytes_are_as_asked: assert (!w_valid_o || (w_data_o == f_wr_data_q && w_strb_o == f_wr_strobe_q));
    who_waits_is_taken: assert (!(core_rd_valid_i || mover_rd_valid_i || packet_rd_valid_i) || f_rd_goes ||
        (ar_valid_o && !ar_ready_i));
    a_line_is_of_one: assert ({2'b0, core_line_o} + {2'b0, mover_line_o} + {2'b0, packet_line_o} ==
        {2'b0, r_valid_i && r_id_i[AxiIdW-1 -: 2] != FromFill});
    a_completion_is_of_one: assert ({2'b0, core_done_o} + {2'b0, fill_done_o} + {2'b0, mover_done_o} +
        {2'b0, packet_done_o} == {2'b0, b_valid_i});
    a_lock_is_as_asked: assert ((!ar_valid_o || ar_lock_o == f_rd_lock_q) &&
        (!aw_valid_o || aw_lock_o == f_wr_lock_q));
    an_error_stays: assert (!f_error_q || has_error_o);
  end
