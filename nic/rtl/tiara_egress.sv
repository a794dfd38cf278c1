// Replies to the MAC. A slot's reply is its frame and the bytes that its invocation gathered, 4096 of them a piece:
// each piece is a frame of its own that begins with headers and reply. Its bytes are read from the slot's buffer, in
// any order; when all are there UDP's checksum is known, and the frame leaves.
module tiara_egress #(
  parameter int unsigned AddrW   = 48,
  parameter int unsigned ClientW = 3,
  parameter int unsigned SlotW   = 5,
  localparam int unsigned SlotsW = ClientW + SlotW,
  localparam int unsigned SeqW   = 64 - SlotW
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic [47:0]        mac_i,
  input  logic [31:0]        ip_i,
  input  logic [15:0]        port_i,
  input  logic [AddrW-1:0]   buffers_i,
  // slots to send: what has ended goes first
  input  logic               push_i,
  input  logic [SlotsW-1:0]  push_slot_i,
  input  logic               replay_valid_i,
  output logic               replay_ready_o,
  input  logic [SlotsW-1:0]  replay_slot_i,
  output logic [(1<<SlotsW)-1:0] is_sending_o,
  // who gets it
  output logic [ClientW-1:0] client_o,
  input  logic [47:0]        client_mac_i,
  input  logic [31:0]        client_ip_i,
  input  logic [15:0]        client_port_i,
  output logic [SlotsW-1:0]  slot_o,
  input  logic [SeqW-1:0]    sequence_i,
  // reply frames: a line is there a cycle later
  output logic [SlotsW:0]    reply_index_o,
  input  logic [511:0]       reply_line_i,
  // reads
  output logic               read_valid_o,
  input  logic               read_ready_i,
  output logic [AddrW-1:0]   read_addr_o,
  output logic [5:0]         read_tag_o,
  input  logic               line_valid_i,
  input  logic [5:0]         line_tag_i,
  input  logic [511:0]       line_data_i,
  // AXI-Stream
  output logic               m_tvalid_o,
  input  logic               m_tready_i,
  output logic [511:0]       m_tdata_o,
  output logic [63:0]        m_tkeep_o,
  output logic               m_tlast_o,
  output logic               sent_o            // a frame has left
);
  typedef enum logic [3:0] {Idle, Get0, Get1, Get2, Piece, Fetch, Head, Frame0, Frame1, Sum, Prime, Send, Next} state_e;
  state_e state_q;

  // ============================================================ slots that wait; each is there at most once
  logic [SlotsW-1:0] queue_q [0:(1<<SlotsW)-1];
  logic [SlotsW:0]   head_q, tail_q;
  logic [(1<<SlotsW)-1:0] is_sending_q;
  logic              replays, ends;
  logic [SlotsW-1:0] slot_q, in_slot;
  assign replay_ready_o = !push_i;
  assign replays        = replay_valid_i && replay_ready_o;
  assign in_slot        = push_i ? push_slot_i : replay_slot_i;
  assign is_sending_o   = is_sending_q;
  always_ff @(posedge clk_i) begin
    if (push_i || replays) queue_q[tail_q[SlotsW-1:0]] <= in_slot;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q       <= '0;
      tail_q       <= '0;
      is_sending_q <= '0;
    end else begin
      if (push_i || replays) begin
        tail_q <= tail_q + 1'b1;
        is_sending_q[in_slot] <= 1'b1;
      end
      if (ends) begin
        head_q <= head_q + 1'b1;
        is_sending_q[slot_q] <= 1'b0;
      end
    end
  end

  // ============================================================ one piece after the other
  logic [1023:0] frame_q;
  logic [18:0]   bytes, bytes_up;
  logic [6:0]    pieces, piece_q, lines, asked_q, come_q, line_q;
  logic [12:0]   piece_bytes;
  logic [5:0]    tail_bytes;
  logic [31:0]   sum_q;
  logic          asks;
  assign bytes       = frame_q[8*28 +: 19];
  assign bytes_up    = bytes + 19'd4095;
  assign pieces      = (bytes == '0) ? 7'd1 : bytes_up[18:12];
  assign piece_bytes = (piece_q + 7'd1 != pieces) ? 13'd4096
                     : (bytes != '0 && bytes[11:0] == '0) ? 13'd4096 : {1'b0, bytes[11:0]};
  assign lines       = 7'((piece_bytes + 13'd63) >> 6);
  assign tail_bytes  = piece_bytes[5:0];
  assign read_valid_o = state_q == Fetch && asked_q != lines;
  assign read_addr_o  = buffers_i + (AddrW'(slot_q) << 19) + AddrW'(1 << 18) + (AddrW'(piece_q) << 12) +
                        (AddrW'(asked_q) << 6);
  assign read_tag_o   = asked_q[5:0];
  assign asks         = read_valid_o && read_ready_i;
  assign client_o     = slot_q[SlotsW-1:SlotW];
  assign slot_o       = slot_q;
  assign reply_index_o = {(state_q == Idle) ? queue_q[head_q[SlotsW-1:0]] : slot_q, state_q == Get0};
  assign ends         = state_q == Next && piece_q + 7'd1 == pieces;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle:   if (head_q != tail_q) state_q <= Get0;
        Get0:   state_q <= Get1;
        Get1:   state_q <= Piece;
        Piece:  state_q <= Fetch;
        Fetch:  if (come_q == lines) state_q <= Frame0;
        Frame0: state_q <= Frame1;
        Frame1: state_q <= Head;
        Head:   state_q <= Sum;
        Sum:    state_q <= Prime;
        Prime:  state_q <= Send;
        Send:   if (m_tready_i && m_tlast_o) state_q <= Next;
        Next:   state_q <= ends ? Idle : Piece;
        default: state_q <= Idle;
      endcase
    end
  end

  // ============================================================ headers
  logic [15:0]  ip_bytes, udp_bytes, ip_sum, udp_sum;
  logic [511:0] head;
  logic [15:0]  ip_check_q, udp_check_q;
  logic [SeqW+SlotW-1:0] sequence_number;
  assign sequence_number = {sequence_i, slot_q[SlotW-1:0]};
  assign udp_bytes = 16'(tiara_wire::HeaderBytes - tiara_wire::AtFromPort + tiara_wire::FrameBytes) +
                     {3'b0, piece_bytes};
  assign ip_bytes  = udp_bytes + 16'(tiara_wire::IpBytes);
  always_comb begin
    head = '0;
    head[8*tiara_wire::AtToMac +: 48] = tiara_wire::swapped_48(client_mac_i);
    head[8*tiara_wire::AtFromMac +: 48] = tiara_wire::swapped_48(mac_i);
    head[8*tiara_wire::AtType +: 16] = tiara_wire::swapped(tiara_wire::TypeIpv4);
    head[8*tiara_wire::AtIp +: 8] = tiara_wire::Ipv4;
    head[8*tiara_wire::AtIpBytes +: 16] = tiara_wire::swapped(ip_bytes);
    head[8*tiara_wire::AtFragment +: 16] = tiara_wire::DoNotFragment;
    head[8*tiara_wire::AtTimeToLive +: 8] = tiara_wire::TimeToLive;
    head[8*tiara_wire::AtProtocol +: 8] = tiara_wire::Udp;
    head[8*tiara_wire::AtIpSum +: 16] = tiara_wire::swapped(ip_check_q);
    head[8*tiara_wire::AtFromIp +: 32] = tiara_wire::swapped_32(ip_i);
    head[8*tiara_wire::AtToIp +: 32] = tiara_wire::swapped_32(client_ip_i);
    head[8*tiara_wire::AtFromPort +: 16] = tiara_wire::swapped(port_i);
    head[8*tiara_wire::AtToPort +: 16] = tiara_wire::swapped(client_port_i);
    head[8*tiara_wire::AtUdpBytes +: 16] = tiara_wire::swapped(udp_bytes);
    head[8*tiara_wire::AtUdpSum +: 16] = tiara_wire::swapped(udp_check_q);
    head[8*tiara_wire::AtMagic +: 32] = tiara_wire::Reply;
    head[8*tiara_wire::AtClient +: 16] = 16'(client_o);
    head[8*tiara_wire::AtSequence +: 64] = sequence_number;
    head[8*tiara_wire::AtPiece +: 16] = 16'(piece_q);
    head[8*tiara_wire::AtPieces +: 16] = 16'(pieces);
    head[8*tiara_wire::AtBytes +: 32] = 32'(piece_bytes);
  end
  assign ip_sum  = ~tiara_wire::folded({11'b0, tiara_wire::sum_of(head, tiara_wire::IpCovers)});
  assign udp_sum = tiara_wire::folded(sum_q);

  // ============================================================ the frame, whole before it leaves
  (* no_rw_check, ram_style = "block" *) logic [511:0] lines_q [0:127];
  logic         we;
  logic [6:0]   we_line;
  logic [511:0] we_data, kept;
  // Of the last line only what is the reply's.
  assign kept    = ({1'b0, line_tag_i} + 7'd1 == lines && tail_bytes != '0)
                 ? line_data_i & ~({512{1'b1}} << {tail_bytes, 3'b0}) : line_data_i;
  assign we      = line_valid_i || state_q == Frame0 || state_q == Frame1 || state_q == Sum || state_q == Prime;
  assign we_line = line_valid_i ? {1'b0, line_tag_i} + 7'd3
                 : (state_q == Frame0) ? 7'd1 : (state_q == Frame1) ? 7'd2 : 7'd0;
  assign we_data = line_valid_i ? kept : (state_q == Frame0) ? frame_q[511:0]
                 : (state_q == Frame1) ? frame_q[1023:512] : head;
  logic         moves;
  assign moves = state_q == Prime || (state_q == Send && m_tready_i);
  always_ff @(posedge clk_i) begin
    if (we) lines_q[we_line] <= we_data;
    if (state_q == Idle && head_q != tail_q) slot_q <= queue_q[head_q[SlotsW-1:0]];
    if (state_q == Get0) frame_q[511:0]    <= reply_line_i;
    if (state_q == Get1) frame_q[1023:512] <= reply_line_i;
    if (state_q == Get1)      piece_q <= '0;
    else if (state_q == Next) piece_q <= piece_q + 1'b1;
    if (state_q == Piece) begin
      asked_q     <= '0;
      come_q      <= '0;
      ip_check_q  <= '0;
      udp_check_q <= '0;
      sum_q       <= '0;
      line_q      <= '0;
    end else begin
      if (asks) asked_q <= asked_q + 1'b1;
      if (line_valid_i) come_q <= come_q + 1'b1;
      if (line_valid_i || state_q == Frame0 || state_q == Frame1) 
        sum_q <= sum_q + {11'b0, tiara_wire::sum_of(we_data, '1)};
      // The pseudo header is addresses, length and protocol: what the header line has from its addresses on, and UDP's.
      if (state_q == Head) begin
        sum_q      <= sum_q + {11'b0, tiara_wire::sum_of(head, tiara_wire::UdpCovers)} + {16'b0, udp_bytes} +
                      32'(tiara_wire::Udp);
        ip_check_q <= ip_sum;
      end
      if (state_q == Sum) udp_check_q <= (udp_sum == 16'hffff) ? 16'hffff : ~udp_sum;
      if (moves) line_q <= line_q + 1'b1;
    end
  end

  // ============================================================ out
  logic [511:0] m_data_q;
  logic [6:0]   m_line_q;
  always_ff @(posedge clk_i) begin
    if (moves) begin
      m_data_q <= (line_q == '0) ? head : lines_q[line_q];
      m_line_q <= line_q;
    end
  end
  assign m_tvalid_o = state_q == Send;
  assign m_tdata_o  = m_data_q;
  assign m_tlast_o  = m_line_q == lines + 7'd2;
  assign m_tkeep_o  = (m_tlast_o && lines != '0 && tail_bytes != '0) ? ~('1 << tail_bytes) : '1;
  assign sent_o     = m_tvalid_o && m_tready_i && m_tlast_o;
`ifdef TIARA_PROPERTIES
`include "egress_properties.svh"
`endif
endmodule
