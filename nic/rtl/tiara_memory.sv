// Requests of the cores to an AXI4 memory, and its answers to them. Everything on the bus is one line of 64 bytes; what
// lies across two lines is two accesses with one number, which AXI keeps in order. Answers of different numbers come in
// any order.
//
//   loads, lines    a read with the context's number; a context has one request at most
//   stores, emits   a write, answered when memory has it
//   atomics         one at a time, and only when no write is under way; until it is complete nothing else is written;
//                   read and write are exclusive accesses, again as long as somebody beside the NIC wrote in between
//   bulk            the mover, answered when the last line is written; the bytes of payload and reply are memory too
//   fill            lines of one byte's value
//   copy            the mover; from the end, through a buffer of 4 KiB, when the destination begins inside the source
//   remote          asked of the host's port
module tiara_memory #(
  parameter int unsigned AddrW  = 48,
  parameter int unsigned IdW    = 5,     // contexts of all cores
  parameter int unsigned SlotsW = 8,
  parameter bit          HasExclusive = 1'b1,   // else nobody but the NIC may write what atomics are for
  localparam int unsigned CountsW = 5 * 32 + 48
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic [AddrW-1:0]  buffers_i,
  input  logic [AddrW-1:0]  bounce_i,       // 4 KiB, on a line
  // requests
  input  logic              req_valid_i,
  output logic              req_ready_o,
  input  logic [4:0]        req_op_i,
  input  logic [IdW-1:0]    req_id_i,
  input  logic [63:0]       req_addr_i,
  input  logic [AddrW-1:0]  req_length_i,
  input  logic [63:0]       req_data_i,
  input  logic [63:0]       req_operand_i,
  input  logic [3:0]        req_region_i,
  input  logic              req_is_scatter_i,
  input  logic [SlotsW-1:0] req_slot_i,     // of the request's context
  output logic              is_moving_o,    // a bulk write is not complete
  // answers
  output logic              ans_valid_o,
  input  logic              ans_ready_i,
  output logic [1:0]        ans_kind_o,
  output logic [IdW-1:0]    ans_id_o,
  output logic [63:0]       ans_data_o,
  output logic [3:0]        ans_fault_o,
  output logic [4:0]        ans_reg_o,
  // figures of a context
  input  logic              clear_i,
  input  logic [IdW-1:0]    clear_id_i,
  input  logic              hit_i,          // a load was answered before it came here
  input  logic [IdW-1:0]    hit_id_i,
  input  logic [IdW-1:0]    counts_id_i,
  output logic [CountsW-1:0] counts_o,
  output logic [31:0]       reply_bytes_o,
  // remote requests: one at a time
  output logic              rmt_valid_o,    // until answered
  output logic [4:0]        rmt_op_o,
  output logic [IdW-1:0]    rmt_id_o,
  output logic [63:0]       rmt_addr_o,
  output logic [63:0]       rmt_host_o,
  output logic [63:0]       rmt_operand_o,
  output logic [63:0]       rmt_argument_o, // expected value; position of a gather in the reply
  output logic [3:0]        rmt_region_o,
  input  logic              rmt_answer_i,
  input  logic [63:0]       rmt_data_i,
  input  logic [3:0]        rmt_fault_i,
  // reads: a context's, the mover's
  output logic              rd_valid_o,
  input  logic              rd_ready_i,
  output logic [AddrW-1:0]  rd_addr_o,
  output logic [IdW-1:0]    rd_id_o,
  output logic              rd_is_exclusive_o,
  input  logic              rd_line_valid_i,
  output logic              rd_line_ready_o,
  input  logic [IdW-1:0]    rd_line_id_i,
  input  logic [511:0]      rd_line_i,
  output logic              mrd_valid_o,
  input  logic              mrd_ready_i,
  output logic [AddrW-1:0]  mrd_addr_o,
  output logic [7:0]        mrd_tag_o,
  input  logic              mrd_line_valid_i,
  input  logic [7:0]        mrd_line_tag_i,
  // writes: a context's (or a fill's), the mover's
  output logic              wr_valid_o,
  input  logic              wr_ready_i,
  output logic [AddrW-1:0]  wr_addr_o,
  output logic [511:0]      wr_data_o,
  output logic [63:0]       wr_strobe_o,
  output logic [IdW-1:0]    wr_id_o,
  output logic              wr_is_fill_o,
  output logic              wr_is_exclusive_o,
  input  logic              wr_done_valid_i,
  output logic              wr_done_ready_o,
  input  logic [IdW-1:0]    wr_done_id_i,
  input  logic              wr_done_is_okay_i,  // an exclusive write: not performed
  input  logic              fill_done_i,
  output logic              mwr_valid_o,
  input  logic              mwr_ready_i,
  output logic [AddrW-1:0]  mwr_addr_o,
  output logic [511:0]      mwr_data_o,
  output logic [63:0]       mwr_strobe_o,
  input  logic              mwr_done_valid_i,   // in order
  output logic              mwr_done_ready_o
);
  localparam int unsigned Ids = 1 << IdW;

  // ============================================================ what is asked
  logic is_load, is_payload, is_line, is_store, is_emit, is_atomic, is_gather, is_scatter, is_copy, is_fill, is_remote;
  logic is_bulk, is_empty;
  assign is_payload = req_op_i == tiara_pkg::OpPayloadLoad;
  assign is_load    = req_op_i == tiara_pkg::OpLoad || is_payload;
  assign is_line    = req_op_i == tiara_pkg::OpLine;
  assign is_emit    = req_op_i == tiara_pkg::OpEmit;
  assign is_store   = req_op_i == tiara_pkg::OpStore || is_emit;
  assign is_atomic  = req_op_i == tiara_pkg::OpCas || req_op_i == tiara_pkg::OpFaa || req_op_i == tiara_pkg::OpSwp;
  assign is_gather  = req_op_i == tiara_pkg::OpGather || (req_op_i == tiara_pkg::OpElement && !req_is_scatter_i);
  assign is_scatter = req_op_i == tiara_pkg::OpScatter || (req_op_i == tiara_pkg::OpElement && req_is_scatter_i);
  assign is_copy    = req_op_i == tiara_pkg::OpCopyTo;
  assign is_fill    = req_op_i == tiara_pkg::OpFill;
  assign is_remote  = req_op_i >= tiara_pkg::OpRemoteLoad && req_op_i <= tiara_pkg::OpRemoteGather;
  assign is_bulk    = is_gather || is_scatter || is_copy || is_fill;
  assign is_empty   = is_bulk && req_length_i == '0;

  logic [AddrW-1:0] payload_base, reply_base, address;
  logic [5:0]       offset;
  logic [3:0]       length;
  logic [6:0]       end_offset;
  logic             crosses, half_q;
  assign payload_base = buffers_i + (AddrW'(req_slot_i) << 19);
  assign reply_base   = payload_base + AddrW'(1 << 18);
  assign address      = req_addr_i[AddrW-1:0] + (is_payload ? payload_base : is_emit ? reply_base : '0);
  assign length       = (is_payload || is_emit) ? 4'd8 : req_length_i[3:0];
  assign offset       = address[5:0];
  assign end_offset   = {1'b0, offset} + {3'b0, length};
  assign crosses      = (is_load || is_store) && end_offset > 7'd64;

  // ============================================================ state of atomics, fills, copies
  typedef enum logic [2:0] {AtomicNone, AtomicRead, AtomicWrite, AtomicDone, AtomicAgain} atomic_e;
  typedef enum logic [2:0] {LongNone, LongFill, LongDrain, LongIn, LongInWait, LongOut, LongOutWait} long_e;
  atomic_e          atomic_q;
  long_e            long_q;
  logic [IdW-1:0]   at_id_q, long_id_q;
  logic [4:0]       at_op_q;
  logic [AddrW-1:0] at_addr_q, long_from_q, long_to_q, long_left_q, chunk;
  logic [63:0]      at_data_q, at_operand_q, at_old_q, at_new;
  logic [15:0]      writes_q, moves_q, fills_q;    // under way
  logic             is_quiet, may_write, loc_valid_q, asks_rd, asks_wr, rd_goes, wr_goes, cmd_valid, cmd_ready;
  logic             cmd_goes;
  logic             is_local, local_goes, fill_goes, fill_last, long_starts, is_overlap, bounce_done, takes_atomic;
  logic             goes;
  logic [AddrW-1:0] cmd_from, cmd_to, cmd_length;
  logic [IdW:0]     cmd_id;
  logic [AddrW-1:0] copy_from_q [0:Ids-1];
  logic [63:0]      argument_q [0:Ids-1];
  logic [AddrW-1:0] copy_from;
  logic             rmt_q, rmt_goes;
  assign copy_from = copy_from_q[req_id_i];

  assign is_quiet   = writes_q == '0 && moves_q == '0;
  assign may_write  = atomic_q == AtomicNone && long_q == LongNone;
  assign is_overlap = req_addr_i[AddrW-1:0] > copy_from && req_addr_i[AddrW-1:0] - copy_from < req_length_i;

  // ------------------------------------------------------------ reads
  assign asks_rd = req_valid_i && (is_load || is_line);
  assign takes_atomic = req_valid_i && is_atomic && may_write && is_quiet;
  assign at_again   = atomic_q == AtomicAgain;
  assign rd_valid_o = at_again || asks_rd || takes_atomic;
  assign rd_addr_o  = {at_again ? at_addr_q[AddrW-1:6] : address[AddrW-1:6] + (AddrW-6)'(half_q), 6'd0};
  assign rd_id_o    = at_again ? at_id_q : req_id_i;
  assign rd_goes    = rd_valid_o && rd_ready_i && !at_again;
  assign rd_is_exclusive_o = HasExclusive && (at_again || takes_atomic);
  // ------------------------------------------------------------ writes: an atomic's, a fill's, a store's
  logic [511:0] store_data, fill_data;
  logic [127:0] store_mask;
  logic [1023:0] store_wide;
  logic [6:0]   fill_first, fill_bytes, fill_room;
  assign store_wide = {960'd0, is_emit ? req_operand_i : req_data_i} << {offset, 3'b0};
  assign store_mask = {112'd0, {8'd0, 8'hff >> (4'd8 - length)}} << offset;
  assign store_data = half_q ? store_wide[1023:512] : store_wide[511:0];
  assign fill_data  = {64{at_data_q[7:0]}};
  assign fill_first = {1'b0, long_to_q[5:0]};
  assign fill_room  = 7'd64 - fill_first;
  assign fill_bytes = (long_left_q < AddrW'(fill_room)) ? long_left_q[6:0] : fill_room;
  assign asks_wr    = req_valid_i && is_store && may_write;
  assign wr_valid_o = atomic_q == AtomicWrite || long_q == LongFill || asks_wr;
  assign wr_is_fill_o = long_q == LongFill;
  assign wr_is_exclusive_o = HasExclusive && atomic_q == AtomicWrite;
  always_comb begin
    wr_addr_o   = {address[AddrW-1:6] + (AddrW-6)'(half_q), 6'd0};
    wr_data_o   = store_data;
    wr_strobe_o = half_q ? store_mask[127:64] : store_mask[63:0];
    wr_id_o     = req_id_i;
    if (atomic_q == AtomicWrite) begin
      wr_addr_o   = {at_addr_q[AddrW-1:6], 6'd0};
      wr_data_o   = {8{at_new}};
      wr_strobe_o = 64'hff << at_addr_q[5:0];
      wr_id_o     = at_id_q;
    end else if (long_q == LongFill) begin
      wr_addr_o   = {long_to_q[AddrW-1:6], 6'd0};
      wr_data_o   = fill_data;
      wr_strobe_o = (64'hffff_ffff_ffff_ffff >> (7'd64 - fill_bytes)) << fill_first;
    end
  end
  assign wr_goes   = wr_valid_o && wr_ready_i;
  assign fill_goes = long_q == LongFill && wr_goes;
  assign fill_last = long_left_q == AddrW'(fill_bytes);
  // ------------------------------------------------------------ bulk
  always_comb begin
    cmd_valid  = req_valid_i && (is_gather || is_scatter || (is_copy && !is_overlap)) && !is_empty && may_write;
    cmd_from   = req_addr_i[AddrW-1:0];
    cmd_to     = req_addr_i[AddrW-1:0];
    cmd_length = req_length_i;
    cmd_id     = {1'b0, req_id_i};
    if (is_gather) cmd_to = reply_base + req_data_i[AddrW-1:0];
    else           cmd_from = is_copy ? copy_from : payload_base + req_data_i[AddrW-1:0];
    if (long_q != LongNone) begin
      cmd_valid  = long_q == LongIn || long_q == LongOut;
      cmd_from   = (long_q == LongIn) ? long_from_q + (long_left_q - chunk) : bounce_i;
      cmd_to     = (long_q == LongIn) ? bounce_i : long_to_q + (long_left_q - chunk);
      cmd_length = chunk;
      cmd_id     = {1'b1, long_id_q};
    end
  end
  assign chunk       = (long_left_q > AddrW'(4096)) ? AddrW'(4096) : long_left_q;
  assign cmd_goes    = cmd_valid && cmd_ready;
  assign long_starts = req_valid_i && may_write && !is_empty && (is_fill || (is_copy && is_overlap)) && moves_q == '0;
  // ------------------------------------------------------------ what is answered here
  assign is_local   = is_empty || req_op_i == tiara_pkg::OpFence || req_op_i == tiara_pkg::OpCopyFrom ||
                      req_op_i == tiara_pkg::OpRemoteArgument;
  assign local_goes = req_valid_i && is_local && !loc_valid_q;
  assign rmt_goes   = req_valid_i && is_remote && !rmt_q;

  assign goes = (rd_goes && (half_q || !crosses)) ||
                (asks_wr && wr_goes && (half_q || !crosses)) ||
                (long_q == LongNone && cmd_goes) || long_starts || local_goes || rmt_goes;
  assign req_ready_o = goes;

  logic             long_done;
  logic [IdW-1:0]   loc_id_q;
  assign long_done = (long_q == LongDrain && fills_q == '0) || (long_q == LongOutWait && bounce_done &&
                                                               long_left_q == chunk);
  logic long_wants_q;    // the long one is done, its answer is not taken yet
  logic r_loads_answer, b_loads_answer, m_loads_answer, loc_loads_answer, rmt_loads_answer, long_loads_answer, may_load;
  logic at_loads_answer, at_again, at_fails;
  logic b_is_atomic, r_is_atomic;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      half_q       <= 1'b0;
      atomic_q     <= AtomicNone;
      long_q       <= LongNone;
      writes_q     <= '0;
      moves_q      <= '0;
      fills_q      <= '0;
      loc_valid_q  <= 1'b0;
      long_wants_q <= 1'b0;
      rmt_q        <= 1'b0;
    end else begin
      if (goes) half_q <= 1'b0;
      else if ((asks_rd && rd_goes) || (asks_wr && wr_goes)) half_q <= 1'b1;
      writes_q <= writes_q + 16'(wr_goes && !wr_is_fill_o) - 16'(wr_done_valid_i && wr_done_ready_o);
      fills_q  <= fills_q + 16'(fill_goes) - 16'(fill_done_i);
      moves_q  <= moves_q + 16'(cmd_goes) - 16'(mwr_last_done);
      if (local_goes)            loc_valid_q <= 1'b1;
      else if (loc_loads_answer) loc_valid_q <= 1'b0;
      if (rmt_goes)              rmt_q <= 1'b1;
      else if (rmt_loads_answer) rmt_q <= 1'b0;
      if (long_loads_answer) long_wants_q <= 1'b0;
      else if (long_done)    long_wants_q <= 1'b1;
      unique case (atomic_q)
        AtomicNone:  if (takes_atomic && rd_goes) atomic_q <= AtomicRead;
        AtomicRead:  if (rd_line_valid_i && r_is_atomic) atomic_q <= AtomicWrite;
        AtomicWrite: if (wr_goes) atomic_q <= AtomicDone;
        AtomicDone:  if (at_loads_answer) atomic_q <= AtomicNone;
                     else if (at_fails && wr_done_valid_i) atomic_q <= AtomicAgain;
        default:     if (rd_ready_i) atomic_q <= AtomicRead;
      endcase
      unique case (long_q)
        LongNone:    if (long_starts) long_q <= is_fill ? LongFill : LongIn;
        LongFill:    if (fill_goes && fill_last) long_q <= LongDrain;
        LongIn:      if (cmd_goes) long_q <= LongInWait;
        LongInWait:  if (bounce_done) long_q <= LongOut;
        LongOut:     if (cmd_goes) long_q <= LongOutWait;
        LongOutWait: if (bounce_done && long_left_q != chunk) long_q <= LongIn;
        default: ;
      endcase
      if (long_loads_answer) long_q <= LongNone;
    end
  end
  always_ff @(posedge clk_i) begin
    if (takes_atomic && rd_goes) begin
      at_id_q      <= req_id_i;
      at_op_q      <= req_op_i;
      at_addr_q    <= address;
      at_operand_q <= req_operand_i;
    end
    if ((takes_atomic && rd_goes) || long_starts) at_data_q <= req_data_i;
    if (rd_line_valid_i && r_is_atomic) at_old_q <= rd_line_i[{at_addr_q[5:3], 6'd0} +: 64];
    if (long_starts) begin
      long_id_q   <= req_id_i;
      long_to_q   <= req_addr_i[AddrW-1:0];
      long_from_q <= copy_from;
      long_left_q <= req_length_i;
    end else if (fill_goes) begin
      long_to_q   <= {long_to_q[AddrW-1:6] + 1'b1, 6'd0};
      long_left_q <= long_left_q - AddrW'(fill_bytes);
    end else if (long_q == LongOutWait && bounce_done) begin
      long_left_q <= long_left_q - chunk;
    end
    if (local_goes) loc_id_q <= req_id_i;
    if (local_goes && req_op_i == tiara_pkg::OpCopyFrom)       copy_from_q[req_id_i] <= req_addr_i[AddrW-1:0];
    if (local_goes && req_op_i == tiara_pkg::OpRemoteArgument) argument_q[req_id_i]  <= req_data_i;
    if (rmt_goes) begin
      rmt_op_o       <= req_op_i;
      rmt_id_o       <= req_id_i;
      rmt_addr_o     <= req_addr_i;
      rmt_host_o     <= req_data_i;
      rmt_operand_o  <= req_operand_i;
      rmt_argument_o <= argument_q[req_id_i];
      rmt_region_o   <= req_region_i;
    end
  end
  always_comb begin
    unique case (at_op_q)
      tiara_pkg::OpFaa: at_new = at_old_q + at_data_q;
      tiara_pkg::OpSwp: at_new = at_data_q;
      default:          at_new = (at_old_q == at_data_q) ? at_operand_q : at_old_q;
    endcase
  end
  assign is_moving_o = moves_q != '0 || long_q != LongNone;

  // ============================================================ the mover
  logic         mwr_last_done, done_is_last;
  logic [IdW:0] done_id;
  tiara_moves #(.AddrW(AddrW), .IdW(IdW + 1)) u_moves (
    .clk_i, .rst_ni, .cmd_valid_i(cmd_valid), .cmd_ready_o(cmd_ready), .cmd_from_i(cmd_from), .cmd_to_i(cmd_to),
    .cmd_length_i(cmd_length), .cmd_id_i(cmd_id), .rd_valid_o(mrd_valid_o), .rd_ready_i(mrd_ready_i),
    .rd_addr_o(mrd_addr_o), .rd_tag_o(mrd_tag_o), .line_valid_i(mrd_line_valid_i), .line_tag_i(mrd_line_tag_i),
    .line_i(rd_line_i), .wr_valid_o(mwr_valid_o), .wr_ready_i(mwr_ready_i), .wr_addr_o(mwr_addr_o),
    .wr_data_o(mwr_data_o), .wr_strobe_o(mwr_strobe_o), .wr_done_i(mwr_done_valid_i && mwr_done_ready_o),
    .done_is_last_o(done_is_last), .done_id_o(done_id));
  assign mwr_last_done = mwr_done_valid_i && mwr_done_ready_o && done_is_last;
  assign bounce_done   = mwr_last_done && done_id[IdW];

  // ============================================================ answers: one register, many sources
  logic [13:0]     shape_q [0:Ids-1];      // of a load: {line, crosses, bytes, offset}
  logic [63:0]     part_q [0:Ids-1];
  logic [Ids-1:0]  has_part_q, waits_q;    // the first half has come; the second write's completion is awaited
  logic [Ids-1:0]  two_q;
  logic            a_valid_q;
  logic [1:0]      a_kind_q;
  logic [IdW-1:0]  a_id_q;
  logic [63:0]     a_data_q, loaded, low_part, high_part;
  logic [3:0]      a_fault_q;
  logic [2:0]      a_word_q, fill_word_q;
  logic            r_is_line, r_crosses, r_is_first;
  logic [5:0]      r_offset;
  logic [5:0]      unused_shape;
  logic            fills_done_q;
  assign {unused_shape, r_is_line, r_crosses, r_offset} = shape_q[rd_line_id_i];
  always_ff @(posedge clk_i) begin
    if (rd_goes) shape_q[req_id_i] <= {6'd0, is_line, crosses, offset};
  end
  assign may_load     = !a_valid_q || ans_ready_i;
  assign r_is_atomic  = atomic_q == AtomicRead && rd_line_id_i == at_id_q;
  assign b_is_atomic  = atomic_q == AtomicDone && wr_done_id_i == at_id_q;
  assign r_is_first   = r_crosses && !has_part_q[rd_line_id_i];
  assign low_part     = 64'(rd_line_i >> {r_offset, 3'b0});
  assign high_part    = rd_line_i[63:0] << {6'd0 - r_offset, 3'b0};
  assign loaded   = r_crosses ? part_q[rd_line_id_i] | high_part : low_part;

  // Who loads the answer register: completions first, then what is read.
  logic b_has_answer;
  assign at_fails          = HasExclusive && b_is_atomic && wr_done_is_okay_i;
  assign b_has_answer      = !(two_q[wr_done_id_i] && !waits_q[wr_done_id_i]) && !at_fails;
  assign loc_loads_answer  = may_load && loc_valid_q;
  assign long_loads_answer = may_load && !loc_valid_q && long_wants_q;
  assign rmt_loads_answer  = may_load && !loc_valid_q && !long_wants_q && rmt_q && rmt_answer_i;
  logic is_taken;
  assign is_taken          = loc_valid_q || long_wants_q || (rmt_q && rmt_answer_i);
  assign m_loads_answer    = may_load && !is_taken && mwr_done_valid_i && done_is_last && !done_id[IdW];
  assign mwr_done_ready_o  = !(done_is_last && !done_id[IdW]) || (may_load && !is_taken);
  assign b_loads_answer    = may_load && !is_taken && !m_loads_answer && wr_done_valid_i && b_has_answer;
  assign wr_done_ready_o   = !b_has_answer || (may_load && !is_taken && !m_loads_answer);
  assign at_loads_answer   = b_loads_answer && b_is_atomic;
  assign r_loads_answer    = may_load && !is_taken && !m_loads_answer && !b_loads_answer && rd_line_valid_i &&
                             !r_is_atomic && !r_is_first;
  assign rd_line_ready_o   = r_is_atomic || (r_is_first && !r_is_line) ||
                             (r_loads_answer && (!r_is_line || fills_done_q));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      a_valid_q    <= 1'b0;
      has_part_q   <= '0;
      waits_q      <= '0;
      two_q        <= '0;
      fill_word_q  <= '0;
      fills_done_q <= 1'b0;
    end else begin
      if (may_load) a_valid_q <= loc_loads_answer || long_loads_answer || rmt_loads_answer || m_loads_answer ||
                                 b_loads_answer || r_loads_answer;
      if (rd_line_valid_i && rd_line_ready_o && !r_is_atomic && r_crosses) has_part_q[rd_line_id_i] <= r_is_first;
      if (wr_done_valid_i && wr_done_ready_o && two_q[wr_done_id_i]) waits_q[wr_done_id_i] <= !waits_q[wr_done_id_i];
      if (wr_goes && !wr_is_fill_o) two_q[wr_id_o] <= atomic_q != AtomicWrite && crosses;
      if (r_loads_answer && r_is_line) begin
        fill_word_q <= fills_done_q ? 3'd0 : fill_word_q + 1'b1;
        fills_done_q <= !fills_done_q && fill_word_q == 3'd7;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (rd_line_valid_i && r_is_first) part_q[rd_line_id_i] <= low_part;
    if (may_load) begin
      a_kind_q  <= (r_loads_answer && r_is_line && !fills_done_q) ? tiara_pkg::InFill : tiara_pkg::InAnswer;
      a_fault_q <= rmt_loads_answer ? rmt_fault_i : 4'd0;
      a_word_q  <= fill_word_q;
      a_id_q    <= loc_loads_answer ? loc_id_q : long_loads_answer ? long_id_q : rmt_loads_answer ? rmt_id_o
                 : m_loads_answer ? done_id[IdW-1:0] : b_loads_answer ? wr_done_id_i : rd_line_id_i;
      a_data_q  <= rmt_loads_answer ? rmt_data_i : b_loads_answer ? at_old_q
                 : (r_is_line && !fills_done_q) ? rd_line_i[{fill_word_q, 6'd0} +: 64] : loaded;
    end
  end
  assign ans_valid_o = a_valid_q;
  assign ans_kind_o  = a_kind_q;
  assign ans_id_o    = a_id_q;
  assign ans_data_o  = a_data_q;
  assign ans_fault_o = a_fault_q;
  assign ans_reg_o   = {2'b0, a_word_q};
  assign rmt_valid_o = rmt_q;

  // ============================================================ figures
  tiara_counts #(.IdW(IdW)) u_counts (
    .clk_i, .rst_ni, .clear_i, .clear_id_i, .id_i(req_id_i), .load_i(goes && req_op_i == tiara_pkg::OpLoad),
    .store_i(goes && req_op_i == tiara_pkg::OpStore), .line_i(goes && is_line), .atomic_i(goes && is_atomic),
    .moved_i(goes && is_bulk), .moved_bytes_i(req_length_i[47:0]), .reply_i(goes && (is_emit || is_gather)),
    .reply_end_i(is_emit ? req_addr_i[31:0] + 32'd8 : req_data_i[31:0] + req_length_i[31:0]), .hit_i, .hit_id_i,
    .remote_i(rmt_loads_answer && rmt_fault_i == '0),
    .far_i(rmt_loads_answer && rmt_fault_i == '0 && rmt_op_o == tiara_pkg::OpRemoteGather), .remote_id_i(rmt_id_o),
    .far_bytes_i(rmt_operand_o[47:0]), .far_end_i(rmt_argument_o[31:0] + rmt_operand_o[31:0]), .counts_id_i,
    .counts_o, .reply_bytes_o);

`ifdef TIARA_PROPERTIES
`include "memory_properties.svh"
`endif
endmodule
