// Frames from the MAC, a line of 64 bytes a beat. Each is kept whole until it is known to be for us and unharmed:
// Ethernet, IPv4 without options or fragments, UDP to our port with a checksum, the lengths agreeing with what came.
// Everything in front of an invocation is 64 bytes long (tiara_wire), so that the first beat is the headers and all
// that follows is aligned.
//
// The MAC cannot wait: a frame that begins while both buffers are full is dropped and counted, as is what does not fit.
module tiara_ingress #(
  localparam int unsigned LineIndexW = 7     // a frame is at most 67 lines: headers, invocation, 4096 bytes
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic [47:0]           mac_i,       // first byte on the wire in the top byte, as for ip_i and port_i
  input  logic [31:0]           ip_i,
  input  logic [15:0]           port_i,
  // AXI-Stream
  input  logic                  s_tvalid_i,
  output logic                  s_tready_o,
  input  logic [511:0]          s_tdata_i,
  input  logic [63:0]           s_tkeep_i,
  input  logic                  s_tlast_i,
  output logic                  has_room_o,  // a frame that begins now would be kept
  // the oldest frame
  output logic                  frame_valid_o,
  output logic [12:0]           frame_bytes_o,   // behind the headers
  input  logic [LineIndexW-1:0] line_index_i,    // read: the line is there a cycle later
  output logic [511:0]          line_o,
  input  logic                  frame_done_i,
  // figures, one cycle each
  output logic                  drop_full_o,
  output logic                  drop_foreign_o,  // not for us
  output logic                  drop_length_o,
  output logic                  drop_checksum_o
);
  localparam int unsigned MaxLines = 67;

  (* no_rw_check, ram_style = "block" *) logic [511:0] lines_q [0:(2<<LineIndexW)-1];
  logic [12:0] bytes_q [0:1];
  logic [1:0]  is_full_q;
  logic        write_q, read_q;      // which buffer

  function automatic logic [6:0] count_of(logic [63:0] keep);
    logic [6:0] total;
    total = '0;
    for (int unsigned i = 0; i < 64; i++) total = total + {6'b0, keep[i]};
    count_of = total;
  endfunction

  // ============================================================ headers, in the first beat
  logic [15:0] ip_bytes, udp_bytes;
  logic        is_ours, is_header_sum_good;
  assign ip_bytes  = tiara_wire::swapped(s_tdata_i[8*tiara_wire::AtIpBytes +: 16]);
  assign udp_bytes = tiara_wire::swapped(s_tdata_i[8*tiara_wire::AtUdpBytes +: 16]);
  assign is_ours = tiara_wire::swapped_48(s_tdata_i[8*tiara_wire::AtToMac +: 48]) == mac_i &&
                   tiara_wire::swapped(s_tdata_i[8*tiara_wire::AtType +: 16]) == tiara_wire::TypeIpv4 &&
                   s_tdata_i[8*tiara_wire::AtIp +: 8] == tiara_wire::Ipv4 &&
                   (s_tdata_i[8*tiara_wire::AtFragment +: 16] & tiara_wire::IsFragment) == '0 &&
                   s_tdata_i[8*tiara_wire::AtProtocol +: 8] == tiara_wire::Udp &&
                   tiara_wire::swapped_32(s_tdata_i[8*tiara_wire::AtToIp +: 32]) == ip_i &&
                   tiara_wire::swapped(s_tdata_i[8*tiara_wire::AtToPort +: 16]) == port_i &&
                   s_tdata_i[8*tiara_wire::AtMagic +: 32] == tiara_wire::Request;
  assign is_header_sum_good =
      tiara_wire::folded({11'b0, tiara_wire::sum_of(s_tdata_i, tiara_wire::IpCovers)}) == 16'hffff;

  // ============================================================ beats
  // The arithmetic over a line is done a cycle after the line is stored; what becomes of the frame is known then, so
  // the next frame may begin one cycle later.
  logic                  is_in_q, skips_q;        // inside a frame; of which nothing is kept
  logic [LineIndexW-1:0] count_q;
  logic                  fires, begins, keeps, is_beyond, ends;
  assign s_tready_o = !ends;
  assign fires      = s_tvalid_i && s_tready_o;
  assign begins     = fires && !is_in_q;
  assign has_room_o = !is_in_q && !is_full_q[write_q] && !ends;
  assign keeps      = fires && (is_in_q ? !skips_q : !is_full_q[write_q]);
  assign is_beyond  = is_in_q && count_q >= LineIndexW'(MaxLines);

  logic         b_valid_q, b_is_first_q, b_is_last_q, b_is_ours_q, b_is_good_q, b_is_wrong_q, b_has_checksum_q;
  logic [511:0] b_data_q;
  logic [63:0]  b_keep_q;
  logic [15:0]  b_ip_bytes_q, b_udp_bytes_q;
  logic [31:0]  sum_q, sum;
  logic [12:0]  total_q, total;
  logic         is_wrong_q, is_wrong, is_sum_good, is_length_good, accepts;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      is_in_q   <= 1'b0;
      b_valid_q <= 1'b0;
    end else begin
      b_valid_q <= keeps;
      if (fires) is_in_q <= !s_tlast_i;
    end
  end
  always_ff @(posedge clk_i) begin
    if (fires) begin
      skips_q <= !keeps;
      count_q <= begins ? LineIndexW'(1) : is_beyond ? count_q : count_q + 1'b1;
    end
    if (keeps && !is_beyond) lines_q[{write_q, begins ? LineIndexW'(0) : count_q}] <= s_tdata_i;
    b_is_first_q <= begins;
    b_is_last_q  <= s_tlast_i;
    b_data_q     <= s_tdata_i;
    b_keep_q     <= begins ? tiara_wire::UdpCovers : s_tkeep_i;
    b_is_wrong_q <= is_beyond || (!s_tlast_i && s_tkeep_i != '1) || (begins && s_tlast_i);
    if (begins) begin
      b_is_ours_q      <= is_ours;
      b_is_good_q      <= is_header_sum_good;
      b_ip_bytes_q     <= ip_bytes;
      b_udp_bytes_q    <= udp_bytes;
      b_has_checksum_q <= s_tdata_i[8*tiara_wire::AtUdpSum +: 16] != '0;
    end
  end

  // ============================================================ sums; what becomes of the frame
  // The pseudo header's protocol and length are not among the bytes that are kept.
  assign sum      = (b_is_first_q ? {16'b0, b_udp_bytes_q} + 32'(tiara_wire::Udp) : sum_q) +
                    {11'b0, tiara_wire::sum_of(b_data_q, b_keep_q)};
  assign total    = b_is_first_q ? 13'(tiara_wire::HeaderBytes)
                                 : total_q + {6'b0, count_of(b_keep_q)};  // too long is wrong before 8 KiB
  assign is_wrong = b_is_wrong_q || (!b_is_first_q && is_wrong_q);
  always_ff @(posedge clk_i) begin
    if (b_valid_q) begin
      sum_q      <= sum;
      total_q    <= total;
      is_wrong_q <= is_wrong;
    end
  end
  assign ends           = b_valid_q && b_is_last_q;
  assign is_sum_good    = tiara_wire::folded(sum) == 16'hffff && b_has_checksum_q && b_is_good_q;
  assign is_length_good = !is_wrong && {3'b0, total} == b_ip_bytes_q + 16'(tiara_wire::EthernetBytes) &&
                          b_ip_bytes_q == b_udp_bytes_q + 16'(tiara_wire::IpBytes) &&
                          total >= 13'(tiara_wire::HeaderBytes + tiara_wire::FrameBytes);
  assign accepts         = ends && b_is_ours_q && is_length_good && is_sum_good;
  assign drop_full_o     = begins && is_full_q[write_q];
  assign drop_foreign_o  = ends && !b_is_ours_q;
  assign drop_length_o   = ends && b_is_ours_q && !is_length_good;
  assign drop_checksum_o = ends && b_is_ours_q && is_length_good && !is_sum_good;

  // ============================================================ the two buffers
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      is_full_q <= '0;
      write_q   <= 1'b0;
      read_q    <= 1'b0;
    end else begin
      if (accepts) begin
        is_full_q[write_q] <= 1'b1;
        write_q <= !write_q;
      end
      if (frame_done_i) begin
        is_full_q[read_q] <= 1'b0;
        read_q <= !read_q;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (accepts) bytes_q[write_q] <= total - 13'(tiara_wire::HeaderBytes);
    line_o <= lines_q[{read_q, line_index_i}];
  end
  assign frame_valid_o = is_full_q[read_q];
  assign frame_bytes_o = bytes_q[read_q];
`ifdef TIARA_PROPERTIES
`include "ingress_properties.svh"
`endif
endmodule
