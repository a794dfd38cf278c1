// What becomes of a frame that ingress has accepted: is it an invocation, whose, seen before, whole, and within its
// operator's contract? One frame at a time.
//
// A client numbers its requests; number s uses slot s modulo the window. A slot remembers the number, the checksum of
// the invocation and which pieces of its payload have come, so that
//   - a piece that comes again is dropped, a request that runs is not run again,
//   - one that is answered is answered again from the slot's reply,
//   - a number below the slot's is older than an answer that the client has had: dropped.
// What is refused (contract, operator, space, tenant) is answered so, by the same way as what has run.
module tiara_front #(
  parameter int unsigned AddrW     = 48,
  parameter int unsigned ClientW   = 3,
  parameter int unsigned SlotW     = 5,    // log2 of a client's window
  parameter int unsigned OperatorW = 5,
  parameter int unsigned SpaceW    = 5,
  parameter int unsigned DomainW   = 5,
  parameter int unsigned TenantW   = 8,
  parameter int unsigned MulW      = 16,
  localparam int unsigned SlotsW   = ClientW + SlotW,
  localparam int unsigned Slots    = 1 << SlotsW,
  localparam int unsigned SeqW     = 64 - SlotW
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic [AddrW-1:0]     buffers_i,        // slot s: payload at s * 512 KiB, reply 256 KiB behind it
  // frames
  input  logic                 frame_valid_i,
  input  logic [12:0]          frame_bytes_i,
  output logic [6:0]           line_index_o,
  input  logic [511:0]         line_i,
  output logic                 frame_done_o,
  // clients
  output logic [ClientW-1:0]   client_o,
  input  logic                 client_is_open_i,
  input  logic [31:0]          client_ip_i,      // first byte on the wire in the top byte
  input  logic [15:0]          client_port_i,
  input  logic [TenantW-1:0]   client_tenant_i,
  input  logic                 forget_i,         // the client of this number begins anew
  input  logic [ClientW-1:0]   forget_client_i,
  // operators and spaces
  output logic [OperatorW-1:0] operator_o,
  input  logic                 operator_is_valid_i,
  input  logic [3:0]           operator_arguments_i,
  output logic [2:0]           argument_o,
  input  logic [191:0]         contract_i,
  output logic [SpaceW-1:0]    space_o,
  input  logic                 binding_is_valid_i,
  input  logic [DomainW-1:0]   binding_domain_i,
  // slots
  input  logic [Slots-1:0]     is_running_i,
  input  logic [Slots-1:0]     is_done_i,
  input  logic [Slots-1:0]     is_sending_i,
  output logic                 renew_o,          // the slot is another request's: it is not done
  output logic [SlotsW-1:0]    slot_o,
  // the invocation, kept for the dispatcher: two lines
  output logic                 keep_o,
  output logic                 keep_half_o,
  output logic [511:0]         keep_line_o,
  output logic [SeqW-1:0]      sequence_o,       // of slot_o's request
  // payload to memory, and its completion
  output logic                 write_valid_o,
  input  logic                 write_ready_i,
  output logic [AddrW-1:0]     write_addr_o,
  output logic [511:0]         write_data_o,
  output logic [63:0]          write_strobe_o,
  input  logic                 written_i,
  // to the dispatcher, the finisher, egress
  output logic                 run_o,
  output logic [DomainW-1:0]   domain_o,
  output logic                 refuse_valid_o,
  input  logic                 refuse_ready_i,
  output logic [3:0]           refusal_o,
  output logic                 replay_valid_o,
  input  logic                 replay_ready_i,
  // figures, one cycle each
  output logic                 drop_malformed_o,
  output logic                 drop_client_o,
  output logic                 drop_duplicate_o,
  output logic                 drop_stale_o
);
  localparam int unsigned MaxPayload = 1 << 18;
  localparam logic [3:0] UnknownOperator = 4'd2, UnknownSpace = 4'd3, ArgumentCount = 4'd4, ArgumentRange = 4'd5,
                         NotAuthorised = 4'd9;
  typedef enum logic [4:0] {Idle, Get0, Get1, Get2, Start, Hash, Check, Look, Decide, Keep0, Keep1, Read, Write, Drain,
                            Mark, Contract, Fetch, Compare, Accept, Refuse, Replay, Release} state_e;
  state_e         state_q, state;
  logic [511:0]   head_q;
  logic [1023:0]  frame_q;
  logic [6:0]     lines_q, line_q, lines_left_q;
  logic [63:0]    bitmap_q;
  logic [2:0]     argument_q;
  logic [3:0]     refusal_q;
  logic           hash_start, hash_valid;
  logic [63:0]    hash;

  tiara_hash #(.MulW(MulW)) u_hash (.clk_i, .rst_ni, .start_i(hash_start), .frame_i(frame_q), .valid_o(hash_valid),
                                    .hash_o(hash));
  assign hash_start = state_q == Start;

  // ============================================================ fields
  logic [15:0] h_client, h_piece, h_pieces, src_port;
  logic [63:0] h_sequence;
  logic [31:0] h_bytes, src_ip, f_tenant, f_operator, f_space, f_payload, f_room;
  logic [7:0]  f_count;
  assign src_ip     = tiara_wire::swapped_32(head_q[8*tiara_wire::AtFromIp +: 32]);
  assign src_port   = tiara_wire::swapped(head_q[8*tiara_wire::AtFromPort +: 16]);
  assign h_client   = head_q[8*tiara_wire::AtClient +: 16];
  assign h_sequence = head_q[8*tiara_wire::AtSequence +: 64];
  assign h_piece    = head_q[8*tiara_wire::AtPiece +: 16];
  assign h_pieces   = head_q[8*tiara_wire::AtPieces +: 16];
  assign h_bytes    = head_q[8*tiara_wire::AtBytes +: 32];
  assign f_count    = frame_q[8*6 +: 8];
  assign f_tenant   = frame_q[8*16 +: 32];
  assign f_operator = frame_q[8*20 +: 32];
  assign f_space    = frame_q[8*24 +: 32];
  assign f_payload  = frame_q[8*28 +: 32];
  assign f_room     = frame_q[8*32 +: 32];

  // Everything that nic/wire/frame.h asks of an invocation, and that the headers agree with it.
  logic        is_frame_good, is_piece_good, are_rest_zero;
  logic [6:0]  pieces;
  logic [12:0] piece_bytes;
  logic [18:0] payload_up;
  always_comb begin
    are_rest_zero = 1'b1;
    for (int unsigned i = 0; i < 6; i++) begin
      if (8'(i) >= f_count && frame_q[8*48 + 64*i +: 64] != '0) are_rest_zero = 1'b0;
    end
  end
  assign is_frame_good = frame_q[31:0] == 32'h52414954 && frame_q[39:32] == 8'd1 && frame_q[47:40] == 8'd1 &&
                         frame_q[63:56] == '0 && f_count <= 8'd6 && f_payload <= 32'(MaxPayload) &&
                         f_room <= 32'(MaxPayload) && frame_q[8*36 +: 96] == '0 && frame_q[8*96 +: 192] == '0 &&
                         are_rest_zero && frame_q[1023:960] == hash;
  assign payload_up    = f_payload[18:0] + 19'd4095;
  assign pieces        = (f_payload == '0) ? 7'd1 : payload_up[18:12];
  assign piece_bytes   = (h_piece[6:0] + 7'd1 != pieces) ? 13'd4096
                       : (f_payload != '0 && f_payload[11:0] == '0) ? 13'd4096 : {1'b0, f_payload[11:0]};
  assign is_piece_good = h_pieces == {9'b0, pieces} && h_piece < h_pieces && h_bytes == {19'b0, piece_bytes} &&
                         frame_bytes_i == 13'd128 + piece_bytes;

  // ============================================================ slots
  (* no_rw_check *) logic [SeqW+127:0] window_q [0:Slots-1];
  logic [Slots-1:0] is_known_q;
  logic [SlotsW-1:0] slot;
  logic [SeqW+127:0] row_q;
  logic [SeqW-1:0]   row_seq, seq;
  logic [63:0]       row_hash, row_bitmap, whole;
  logic              is_known, is_same, is_newer, is_client_good, is_here;
  assign client_o = h_client[ClientW-1:0];
  assign slot     = {client_o, h_sequence[SlotW-1:0]};
  assign seq      = h_sequence[63:SlotW];
  assign slot_o   = slot;
  assign sequence_o = seq;
  assign {row_seq, row_hash, row_bitmap} = row_q;
  assign is_known = is_known_q[slot];
  assign is_same  = is_known && row_seq == seq;
  assign is_newer = !is_known || seq > row_seq;
  assign is_client_good = (h_client >> ClientW) == '0 && client_is_open_i && client_ip_i == src_ip &&
                          client_port_i == src_port;
  assign whole    = (pieces == 7'd64) ? '1 : (64'd1 << pieces[5:0]) - 64'd1;
  assign is_here  = row_bitmap[h_piece[5:0]];

  always_ff @(posedge clk_i) begin
    row_q <= window_q[slot];
    if (state_q == Mark) window_q[slot] <= {seq, hash, bitmap_q | (64'd1 << h_piece[5:0])};
    if (state_q == Keep0) window_q[slot] <= {seq, hash, 64'd0};
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      is_known_q <= '0;
    end else begin
      if (state_q == Keep0) is_known_q[slot] <= 1'b1;
      if (forget_i) is_known_q[{forget_client_i, SlotW'(0)} +: (1<<SlotW)] <= '0;
    end
  end

  // ============================================================ contract
  logic        is_whole, admits;
  logic [63:0] argument, least, most, zeros;
  logic [3:0]  refusal;
  assign is_whole   = (bitmap_q | (64'd1 << h_piece[5:0])) == whole;
  assign operator_o = f_operator[OperatorW-1:0];
  assign space_o    = f_space[SpaceW-1:0];
  assign domain_o   = binding_domain_i;
  assign argument_o = argument_q;
  assign argument   = frame_q[10'd384 + {1'b0, argument_q, 6'b0} +: 64];
  assign {zeros, most, least} = contract_i;
  assign admits     = argument >= least && argument <= most && (argument & zeros) == '0;
  always_comb begin
    refusal = '0;
    if (f_tenant != 32'(client_tenant_i))                                        refusal = NotAuthorised;
    else if ((f_operator >> OperatorW) != '0 || !operator_is_valid_i)            refusal = UnknownOperator;
    else if ((f_space >> SpaceW) != '0 || !binding_is_valid_i)                   refusal = UnknownSpace;
    else if (f_count[3:0] != operator_arguments_i)                               refusal = ArgumentCount;
  end

  // ============================================================ one frame after the other
  always_comb begin
    state            = state_q;
    drop_malformed_o = 1'b0;
    drop_client_o    = 1'b0;
    drop_duplicate_o = 1'b0;
    drop_stale_o     = 1'b0;
    unique case (state_q)
      Idle:  if (frame_valid_i) state = Get0;
      Get0:  state = Get1;
      Get1:  state = Get2;
      Get2:  state = Start;
      Start: state = Hash;
      Hash:  if (hash_valid) state = Check;
      Check: begin
        drop_malformed_o = !is_frame_good || !is_piece_good;
        drop_client_o    = !drop_malformed_o && !is_client_good;
        state = (drop_malformed_o || drop_client_o) ? Release : Look;
      end
      Look:  state = Decide;
      Decide: begin
        state = Release;
        if (is_same) begin
          drop_stale_o = row_hash != hash;
          if (!drop_stale_o) begin
            drop_duplicate_o = is_running_i[slot] || (is_done_i[slot] && is_sending_i[slot]) ||
                               (!is_done_i[slot] && is_here);
            if (!drop_duplicate_o) state = is_done_i[slot] ? Replay : (piece_bytes == '0) ? Mark : Read;
          end
        end else if (is_newer && !is_running_i[slot] && !is_sending_i[slot]) begin
          state = Keep0;
        end else begin
          drop_stale_o = 1'b1;
        end
      end
      Keep0: state = Keep1;
      Keep1: state = (piece_bytes == '0) ? Mark : Read;
      Read:  state = Write;
      Write: if (write_ready_i) state = (line_q + 7'd1 == lines_q) ? Drain : Read;
      Drain: if (lines_left_q == '0) state = Mark;
      Mark:  state = is_whole ? Contract : Release;
      Contract: state = (refusal != '0) ? Refuse : (f_count == '0) ? Accept : Fetch;
      Fetch: state = Compare;
      Compare: state = !admits ? Refuse : ({1'b0, argument_q} + 4'd1 == f_count[3:0]) ? Accept : Fetch;
      Accept: state = operator_is_valid_i ? Release : Refuse;
      Refuse: if (refuse_ready_i) state = Release;
      Replay: if (replay_ready_i) state = Release;
      Release: state = Idle;
      default: state = Idle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) state_q <= Idle;
    else         state_q <= state;
  end
  always_ff @(posedge clk_i) begin
    if (state_q == Get0) head_q <= line_i;
    if (state_q == Get1) frame_q[511:0] <= line_i;
    if (state_q == Get2) frame_q[1023:512] <= line_i;
    if (state_q == Check) lines_q <= 7'((piece_bytes + 13'd63) >> 6);
    if (state_q == Decide) bitmap_q <= is_same ? row_bitmap : '0;
    if (state_q == Decide) begin
      line_q       <= '0;
      lines_left_q <= '0;
    end else begin
      if (state_q == Write && write_ready_i) line_q <= line_q + 1'b1;
      lines_left_q <= lines_left_q + 7'(state_q == Write && write_ready_i) - 7'(written_i);
    end
    if (state_q == Contract)     argument_q <= '0;
    else if (state_q == Compare) argument_q <= argument_q + 1'b1;
    if (state_q == Contract)     refusal_q <= refusal;
    else if (state_q == Compare) refusal_q <= ArgumentRange;
    else if (state_q == Accept)  refusal_q <= UnknownOperator;
  end

  always_comb begin
    unique case (state_q)
      Get0:    line_index_o = 7'd1;
      Get1:    line_index_o = 7'd2;
      Read, Write: line_index_o = line_q + 7'd3;
      default: line_index_o = 7'd0;
    endcase
  end
  assign frame_done_o   = state_q == Release;
  assign renew_o        = state_q == Keep0;
  assign keep_o         = state_q == Keep0 || state_q == Keep1;
  assign keep_half_o    = state_q == Keep1;
  assign keep_line_o    = keep_half_o ? frame_q[1023:512] : frame_q[511:0];
  assign write_valid_o  = state_q == Write;
  assign write_addr_o   = buffers_i + (AddrW'(slot) << 19) + (AddrW'(h_piece[5:0]) << 12) + (AddrW'(line_q) << 6);
  assign write_data_o   = line_i;
  assign write_strobe_o = (line_q + 7'd1 == lines_q && piece_bytes[5:0] != '0) ? ~('1 << piece_bytes[5:0]) : '1;
  assign run_o          = state_q == Accept && operator_is_valid_i;
  assign refuse_valid_o = state_q == Refuse;
  assign refusal_o      = refusal_q;
  assign replay_valid_o = state_q == Replay;
`ifdef TIARA_PROPERTIES
`include "front_properties.svh"
`endif
endmodule
