// Three readers and three writers on one AXI4 master: single beats of a line. The cores' requests go first, then the
// mover's, then the packets' (payloads in, replies out). The upper bits of an AXI number say whose it is, so that
// answers find their way in any order. An atomic's read and write are exclusive accesses: the write is performed if
// nobody wrote there since the read, the host's processors included.
module tiara_bus #(
  parameter int unsigned AddrW  = 48,
  parameter int unsigned IdW    = 5,      // contexts of all cores, at most 8
  parameter int unsigned TagW   = 6,      // of the packets' reads, at most 8
  localparam int unsigned AxiIdW = 10
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  // reads
  input  logic               core_rd_valid_i,
  output logic               core_rd_ready_o,
  input  logic [AddrW-1:0]   core_rd_addr_i,
  input  logic [IdW-1:0]     core_rd_id_i,
  input  logic               core_rd_is_exclusive_i,
  input  logic               mover_rd_valid_i,
  output logic               mover_rd_ready_o,
  input  logic [AddrW-1:0]   mover_rd_addr_i,
  input  logic [7:0]         mover_rd_tag_i,
  input  logic               packet_rd_valid_i,
  output logic               packet_rd_ready_o,
  input  logic [AddrW-1:0]   packet_rd_addr_i,
  input  logic [TagW-1:0]    packet_rd_tag_i,
  // whose line came; data and number are the bus'
  output logic               core_line_o,
  input  logic               core_line_ready_i,
  output logic               mover_line_o,    // always taken
  output logic               packet_line_o,
  // writes
  input  logic               core_wr_valid_i,
  output logic               core_wr_ready_o,
  input  logic [AddrW-1:0]   core_wr_addr_i,
  input  logic [511:0]       core_wr_data_i,
  input  logic [63:0]        core_wr_strobe_i,
  input  logic [IdW-1:0]     core_wr_id_i,
  input  logic               core_wr_is_fill_i,
  input  logic               core_wr_is_exclusive_i,
  input  logic               mover_wr_valid_i,
  output logic               mover_wr_ready_o,
  input  logic [AddrW-1:0]   mover_wr_addr_i,
  input  logic [511:0]       mover_wr_data_i,
  input  logic [63:0]        mover_wr_strobe_i,
  input  logic               packet_wr_valid_i,
  output logic               packet_wr_ready_o,
  input  logic [AddrW-1:0]   packet_wr_addr_i,
  input  logic [511:0]       packet_wr_data_i,
  input  logic [63:0]        packet_wr_strobe_i,
  // whose write is complete
  output logic               core_done_o,
  input  logic               core_done_ready_i,
  output logic               core_done_is_okay_o,   // an exclusive write: not performed
  output logic               fill_done_o,
  output logic               mover_done_o,
  input  logic               mover_done_ready_i,
  output logic               packet_done_o,
  output logic               has_error_o,     // the bus refused something, once and for all
  // AXI4
  output logic               ar_valid_o,
  input  logic               ar_ready_i,
  output logic [AddrW-1:0]   ar_addr_o,
  output logic [AxiIdW-1:0]  ar_id_o,
  output logic               ar_lock_o,
  input  logic               r_valid_i,
  output logic               r_ready_o,
  input  logic [AxiIdW-1:0]  r_id_i,
  input  logic [1:0]         r_resp_i,
  output logic               aw_valid_o,
  input  logic               aw_ready_i,
  output logic [AddrW-1:0]   aw_addr_o,
  output logic [AxiIdW-1:0]  aw_id_o,
  output logic               aw_lock_o,
  output logic               w_valid_o,
  input  logic               w_ready_i,
  output logic [511:0]       w_data_o,
  output logic [63:0]        w_strb_o,
  input  logic               b_valid_i,
  output logic               b_ready_o,
  input  logic [AxiIdW-1:0]  b_id_i,
  input  logic [1:0]         b_resp_i
);
  localparam logic [1:0] FromCore = 2'd0, FromMover = 2'd1, FromPackets = 2'd2, FromFill = 2'd3;

  // ============================================================ requests: one register each
  logic              ar_valid_q, aw_valid_q, w_valid_q, ar_free, w_free, ar_lock_q, aw_lock_q;
  logic [AddrW-1:0]  ar_addr_q, aw_addr_q;
  logic [AxiIdW-1:0] ar_id_q, aw_id_q;
  logic [511:0]      w_data_q;
  logic [63:0]       w_strb_q;
  assign ar_free           = !ar_valid_q || ar_ready_i;
  assign core_rd_ready_o   = ar_free;
  assign mover_rd_ready_o  = ar_free && !core_rd_valid_i;
  assign packet_rd_ready_o = ar_free && !core_rd_valid_i && !mover_rd_valid_i;
  assign w_free            = (!aw_valid_q || aw_ready_i) && (!w_valid_q || w_ready_i);
  assign core_wr_ready_o   = w_free;
  assign mover_wr_ready_o  = w_free && !core_wr_valid_i;
  assign packet_wr_ready_o = w_free && !core_wr_valid_i && !mover_wr_valid_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ar_valid_q <= 1'b0;
      aw_valid_q <= 1'b0;
      w_valid_q  <= 1'b0;
    end else begin
      if (ar_free) ar_valid_q <= core_rd_valid_i || mover_rd_valid_i || packet_rd_valid_i;
      if (w_free) begin
        aw_valid_q <= core_wr_valid_i || mover_wr_valid_i || packet_wr_valid_i;
        w_valid_q  <= core_wr_valid_i || mover_wr_valid_i || packet_wr_valid_i;
      end else begin
        if (aw_ready_i) aw_valid_q <= 1'b0;
        if (w_ready_i)  w_valid_q  <= 1'b0;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (ar_free) begin
      ar_lock_q <= core_rd_valid_i && core_rd_is_exclusive_i;
      ar_addr_q <= core_rd_valid_i ? core_rd_addr_i : mover_rd_valid_i ? mover_rd_addr_i : packet_rd_addr_i;
      ar_id_q   <= core_rd_valid_i  ? {FromCore, 8'(core_rd_id_i)}
                 : mover_rd_valid_i ? {FromMover, mover_rd_tag_i} : {FromPackets, 8'(packet_rd_tag_i)};
    end
    if (w_free) begin
      aw_lock_q <= core_wr_valid_i && core_wr_is_exclusive_i;
      aw_addr_q <= core_wr_valid_i ? core_wr_addr_i : mover_wr_valid_i ? mover_wr_addr_i : packet_wr_addr_i;
      aw_id_q   <= core_wr_valid_i ? {core_wr_is_fill_i ? FromFill : FromCore, 8'(core_wr_id_i)}
                                   : {mover_wr_valid_i ? FromMover : FromPackets, 8'd0};
      w_data_q  <= core_wr_valid_i ? core_wr_data_i : mover_wr_valid_i ? mover_wr_data_i : packet_wr_data_i;
      w_strb_q  <= core_wr_valid_i ? core_wr_strobe_i : mover_wr_valid_i ? mover_wr_strobe_i : packet_wr_strobe_i;
    end
  end
  assign ar_valid_o = ar_valid_q;
  assign ar_addr_o  = ar_addr_q;
  assign ar_id_o    = ar_id_q;
  assign ar_lock_o  = ar_lock_q;
  assign aw_valid_o = aw_valid_q;
  assign aw_addr_o  = aw_addr_q;
  assign aw_id_o    = aw_id_q;
  assign aw_lock_o  = aw_lock_q;
  assign w_valid_o  = w_valid_q;
  assign w_data_o   = w_data_q;
  assign w_strb_o   = w_strb_q;

  // ============================================================ answers: to whoever asked
  logic [1:0] r_from, b_from;
  assign r_from        = r_id_i[AxiIdW-1 -: 2];
  assign b_from        = b_id_i[AxiIdW-1 -: 2];
  assign core_line_o   = r_valid_i && r_from == FromCore;
  assign mover_line_o  = r_valid_i && r_from == FromMover;
  assign packet_line_o = r_valid_i && r_from == FromPackets;
  assign r_ready_o     = (r_from == FromCore) ? core_line_ready_i : 1'b1;
  assign core_done_o   = b_valid_i && b_from == FromCore;
  assign core_done_is_okay_o = b_resp_i == 2'b00;
  assign fill_done_o   = b_valid_i && b_from == FromFill;
  assign mover_done_o  = b_valid_i && b_from == FromMover;
  assign packet_done_o = b_valid_i && b_from == FromPackets;
  assign b_ready_o     = (b_from == FromCore) ? core_done_ready_i : (b_from == FromMover) ? mover_done_ready_i : 1'b1;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) has_error_o <= 1'b0;
    else if ((r_valid_i && r_resp_i[1]) || (b_valid_i && b_resp_i[1])) has_error_o <= 1'b1;
  end

`ifdef TIARA_PROPERTIES
`include "bus_properties.svh"
`endif
endmodule
