// From the end of an invocation, or a refusal, to a reply: the frame of nic/wire/frame.h, its checksum, and what
// follows from it: the slot is done, the context is free, the reply is sent. One at a time; results of others are
// kept meanwhile.
module tiara_finish #(
  parameter int unsigned IdW       = 4,
  parameter int unsigned StoreW    = 12,
  parameter int unsigned OperatorW = 5,
  parameter int unsigned SlotsW    = 8,
  parameter int unsigned MulW      = 16,
  localparam int unsigned PcW      = StoreW + 2,
  localparam int unsigned CountsW  = 5 * 32 + 48,
  localparam int unsigned ContextInfoW = SlotsW + OperatorW + StoreW + 32
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // ends, a result a beat
  input  logic                 end_valid_i,
  output logic                 end_ready_o,
  input  logic [IdW-1:0]       end_id_i,
  input  logic [1:0]           end_status_i,
  input  logic [3:0]           end_fault_i,
  input  logic [1:0]           end_result_i,
  input  logic                 end_is_last_i,
  input  logic [31:0]          end_code_i,         // ok: how many results; failed: the reason
  input  logic [63:0]          end_data_i,
  input  logic [PcW-1:0]       end_pc_i,
  input  logic [31:0]          end_steps_i,
  input  logic                 end_is_ahead_i,
  output logic [IdW-1:0]       look_o,
  input  logic [ContextInfoW-1:0] look_i,
  input  logic [CountsW-1:0]   counts_i,           // {remote, bytes moved, atomics, lines, stores, loads} of look_o
  input  logic [31:0]          reply_bytes_i,
  // refusals
  input  logic                 refuse_valid_i,
  output logic                 refuse_ready_o,
  input  logic [SlotsW-1:0]    refuse_slot_i,
  input  logic [3:0]           refusal_i,
  // who asked
  output logic [SlotsW-1:0]    slot_o,
  input  logic [95:0]          identity_i,         // {tenant, request id} of slot_o
  // the reply's two lines
  output logic                 reply_we_o,
  output logic                 reply_half_o,
  output logic [511:0]         reply_line_o,
  output logic                 done_o,             // one cycle: slot_o is done and may be sent
  output logic                 free_o,             // and its context, if it had one, is free
  output logic [IdW-1:0]       free_id_o,
  output logic [OperatorW-1:0] free_operator_o
);
  typedef enum logic [2:0] {Idle, Build, Start, Hash, Write0, Write1, Done} state_e;
  state_e               state_q;
  logic [63:0]          results_q [0:(4<<IdW)-1];
  logic [IdW-1:0]       id_q;
  logic [SlotsW-1:0]    slot_q, info_slot;
  logic [OperatorW-1:0] operator_q, info_operator;
  logic [StoreW-1:0]    info_first;
  logic [31:0]          info_steps, pc, steps, reply_bytes_q, steps_q, pc_q;
  logic [15:0]          code;
  logic [1:0]           status;
  logic [1:0]           status_q, result_q;
  logic [15:0]          code_q;
  logic [2:0]           wanted_q;
  logic [CountsW-1:0]   counts_q;
  logic [255:0]         gathered_q;
  logic                 is_refusal_q, takes_end, takes_refusal, hash_valid;
  logic [63:0]          hash;
  logic [1023:0]        frame_q, frame;

  assign look_o = end_id_i;
  assign {info_slot, info_operator, info_first, info_steps} = look_i;
  assign end_ready_o    = state_q == Idle || !end_is_last_i;
  assign takes_end      = end_valid_i && end_is_last_i && state_q == Idle;
  assign refuse_ready_o = state_q == Idle && !(end_valid_i && end_is_last_i);
  assign takes_refusal  = refuse_valid_i && refuse_ready_o;
  assign status         = end_status_i;
  assign pc             = 32'(end_pc_i) - 32'(info_first) - 32'(end_is_ahead_i);
  // RET and FAIL retire too; an instruction that faulted does not.
  assign steps          = info_steps - end_steps_i + 32'(status != 2'd2) - 32'(end_is_ahead_i);
  assign code           = (status == 2'd1) ? end_code_i[15:0] : (status == 2'd2) ? {12'b0, end_fault_i} : 16'd0;

  always_ff @(posedge clk_i) begin
    if (end_valid_i && end_ready_o) results_q[{end_id_i, end_result_i}] <= end_data_i;
    if (takes_end) begin
      id_q          <= end_id_i;
      slot_q        <= info_slot;
      operator_q    <= info_operator;
      status_q      <= status;
      code_q        <= code;
      pc_q          <= pc;
      wanted_q      <= (status == 2'd0) ? end_code_i[2:0] : 3'd0;
      steps_q       <= steps;
      counts_q      <= counts_i;
      reply_bytes_q <= reply_bytes_i;
      is_refusal_q  <= 1'b0;
    end else if (takes_refusal) begin
      slot_q        <= refuse_slot_i;
      status_q      <= 2'd3;
      code_q        <= {12'b0, refusal_i};
      pc_q          <= '0;
      wanted_q      <= '0;
      steps_q       <= '0;
      counts_q      <= '0;
      reply_bytes_q <= '0;
      is_refusal_q  <= 1'b1;
    end
    if (state_q == Idle) begin
      result_q <= '0;
    end else if (state_q == Build) begin
      result_q   <= result_q + 1'b1;
      gathered_q <= {({1'b0, result_q} < wanted_q) ? results_q[{id_q, result_q}] : 64'd0, gathered_q[255:64]};
    end
    if (state_q == Start) frame_q <= frame;
  end

  logic [31:0] loads, stores, lines, atomics, remotes;
  logic [47:0] moved;
  assign {remotes, moved, atomics, lines, stores, loads} = counts_q;
  assign frame = {64'd0, 32'd0, remotes, 16'd0, moved, 32'd0, atomics, 32'd0, lines, 32'd0, stores, 32'd0, loads,
                  32'd0, steps_q,
                  gathered_q, reply_bytes_q, 16'd0, code_q, pc_q, identity_i[95:64], identity_i[63:0],
                  8'd0, 6'd0, status_q, 8'd2, 8'd1, 32'h52414954};
  logic starts_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) starts_q <= 1'b0;
    else         starts_q <= state_q == Start;
  end
  tiara_hash #(.MulW(MulW)) u_hash (.clk_i, .rst_ni, .start_i(starts_q), .frame_i(frame_q),
                                    .valid_o(hash_valid), .hash_o(hash));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle:   if (takes_end || takes_refusal) state_q <= Build;
        Build:  if (result_q == 2'd3) state_q <= Start;
        Start:  state_q <= Hash;
        Hash:   if (hash_valid) state_q <= Write0;
        Write0: state_q <= Write1;
        Write1: state_q <= Done;
        default: state_q <= Idle;
      endcase
    end
  end
  assign slot_o          = slot_q;
  assign reply_we_o      = state_q == Write0 || state_q == Write1;
  assign reply_half_o    = state_q == Write1;
  assign reply_line_o    = reply_half_o ? {hash, frame_q[959:512]} : frame_q[511:0];
  assign done_o          = state_q == Done;
  assign free_o          = state_q == Done && !is_refusal_q;
  assign free_id_o       = id_q;
  assign free_operator_o = operator_q;
`ifdef TIARA_PROPERTIES
`include "finish_properties.svh"
`endif
endmodule
