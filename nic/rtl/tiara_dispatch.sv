// From a whole request to a running context. Requests wait in one list for each class of tenants; lists take turns, so
// that one tenant's thousand requests do not stand before another's one. Any core with a free context is good.
//
// A slot is in at most one list, so the lists are one table of successors and cannot overflow.
module tiara_dispatch #(
  parameter int unsigned Cores     = 1,
  parameter int unsigned Contexts  = 16,    // of each core
  parameter int unsigned StoreW    = 12,
  parameter int unsigned AddrW     = 48,
  parameter int unsigned OperatorW = 5,
  parameter int unsigned DomainW   = 5,
  parameter int unsigned TenantW   = 8,
  parameter int unsigned SlotsW    = 8,
  parameter int unsigned ClassW    = 2,
  localparam int unsigned CtxW     = $clog2(Contexts),
  localparam int unsigned CoreW    = (Cores > 1) ? $clog2(Cores) : 1,
  localparam int unsigned IdW      = CoreW + CtxW,
  localparam int unsigned EntryW   = 1 + ((CtxW + 2 > DomainW + 4) ? CtxW + 2 : DomainW + 4),
  localparam int unsigned InfoW    = 64 + 13 + 4 + StoreW + StoreW + 1,
  localparam int unsigned ContextInfoW = SlotsW + OperatorW + StoreW + 32
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  // requests that may run
  input  logic                  push_i,
  input  logic [SlotsW-1:0]     push_slot_i,
  input  logic [ClassW-1:0]     push_class_i,
  input  logic [OperatorW-1:0]  push_operator_i,
  input  logic [DomainW-1:0]    push_domain_i,
  input  logic [TenantW-1:0]    push_tenant_i,
  // their invocations: a line is there a cycle later
  output logic [SlotsW:0]       kept_index_o,      // {slot, half}
  input  logic [511:0]          kept_line_i,
  output logic [OperatorW-1:0]  operator_o,
  input  logic [InfoW-1:0]      info_i,            // {steps, bytes, scratchpad, arguments, end, first}
  // to the cores
  output logic                  entry_we_o,
  output logic [Cores-1:0]      start_core_o,      // one bit: whom all of this is for
  output logic [EntryW-1:0]     entry_index_o,
  output logic [AddrW-1:0]      entry_size_o,
  output logic [TenantW-1:0]    tenant_o,
  output logic                  start_valid_o,
  input  logic                  start_ready_i,
  output logic [1:0]            start_kind_o,
  output logic [CtxW-1:0]       start_ctx_o,
  output logic [63:0]           start_data_o,
  output logic [4:0]            start_reg_o,
  output logic [StoreW-1:0]     start_first_o,
  output logic [StoreW:0]       start_end_o,
  output logic [DomainW-1:0]    start_domain_o,
  output logic [31:0]           start_steps_o,
  output logic [31:0]           start_bytes_o,
  output logic                  clear_o,           // counters of clear_id_o begin at 0
  output logic [IdW-1:0]        clear_id_o,
  // contexts
  input  logic                  free_i,
  input  logic [IdW-1:0]        free_id_i,
  input  logic [IdW-1:0]        look_a_i,          // {slot, operator, first word, steps} of a running context
  output logic [ContextInfoW-1:0] look_a_o,
  input  logic [IdW-1:0]        look_b_i,
  output logic [ContextInfoW-1:0] look_b_o
);
  localparam int unsigned Classes = 1 << ClassW;
  typedef enum logic [2:0] {Idle, Ask, First, Second, Entries, Beats} state_e;
  state_e state_q;

  // ============================================================ waiting requests
  logic [SlotsW-1:0]  next_q [0:(1<<SlotsW)-1];
  logic [OperatorW+DomainW+TenantW-1:0] side_q [0:(1<<SlotsW)-1];
  logic [SlotsW-1:0]  heads_q [0:Classes-1];
  logic [SlotsW-1:0]  tails_q [0:Classes-1];
  logic [Classes-1:0] has_q;
  logic [ClassW-1:0]  turn_q, chosen;
  logic               any, pop, is_last;
  logic [SlotsW-1:0]  head;

  always_comb begin
    any    = 1'b0;
    chosen = turn_q;
    for (int unsigned i = Classes; i > 0; i--) begin
      if (has_q[ClassW'(i) + turn_q]) begin
        any    = 1'b1;
        chosen = ClassW'(i) + turn_q;
      end
    end
  end
  assign head    = heads_q[chosen];
  assign is_last = head == tails_q[chosen];

  // ============================================================ free contexts
  logic [Cores*Contexts-1:0] free_q;
  logic [CoreW-1:0] core_turn_q, core_q, core;
  logic [CtxW-1:0]  ctx_q, ctx;
  logic             any_free;
  always_comb begin
    any_free = 1'b0;
    core     = core_turn_q;
    for (int unsigned i = Cores; i > 0; i--) begin
      if (free_q[((i + 32'(core_turn_q)) % Cores) * Contexts +: Contexts] != '0) begin
        any_free = 1'b1;
        core     = CoreW'((i + 32'(core_turn_q)) % Cores);
      end
    end
    ctx = '0;
    for (int unsigned i = Contexts; i > 0; i--)
      if (free_q[32'(core) * Contexts + i - 1]) ctx = CtxW'(i - 1);
  end
  assign pop = state_q == Idle && any && any_free && !push_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      has_q       <= '0;
      turn_q      <= '0;
      core_turn_q <= '0;
      free_q      <= '1;
    end else begin
      if (push_i)              has_q[push_class_i] <= 1'b1;
      else if (pop && is_last) has_q[chosen] <= 1'b0;
      if (pop) begin
        turn_q      <= chosen;
        core_turn_q <= core;
        free_q[32'(core) * Contexts + 32'(ctx)] <= 1'b0;
      end
      if (free_i) free_q[32'(free_id_i)] <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (push_i) begin
      if (!has_q[push_class_i]) heads_q[push_class_i] <= push_slot_i;
      tails_q[push_class_i] <= push_slot_i;
      side_q[push_slot_i]   <= {push_operator_i, push_domain_i, push_tenant_i};
    end else if (pop) begin
      heads_q[chosen] <= next_q[head];
    end
    if (push_i && has_q[push_class_i]) next_q[tails_q[push_class_i]] <= push_slot_i;
  end

  // ============================================================ start
  logic [SlotsW-1:0]    slot_q;
  logic [OperatorW-1:0] operator;
  logic [DomainW-1:0]   domain;
  logic [TenantW-1:0]   tenant;
  logic [383:0]         arguments_q;
  logic [31:0]          payload_q, room_q;
  logic [2:0]           count_q;
  logic [1:0]           entry_q;
  logic [3:0]           beat_q;
  logic                 is_last_beat;
  logic [31:0]          steps, bytes;
  logic [12:0]          pad;
  logic [3:0]           unused_arguments;
  logic [StoreW:0]      code_end;
  logic [StoreW-1:0]    code_first;
  logic [IdW-1:0]       id;
  assign {operator, domain, tenant} = side_q[slot_q];
  assign operator_o = operator;
  assign {steps, bytes, pad, unused_arguments, code_end, code_first} = info_i;
  assign id           = (Cores > 1) ? {core_q, ctx_q} : {1'b0, ctx_q};
  assign is_last_beat = beat_q == {1'b0, count_q} + 4'd1;
  assign kept_index_o = {(state_q == Idle) ? head : slot_q, state_q == Ask};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle:    if (pop) state_q <= Ask;
        Ask:     state_q <= First;
        First:   state_q <= Entries;
        Entries: if (entry_q == 2'd2) state_q <= Beats;
        Beats:   if (start_ready_i && is_last_beat) state_q <= Idle;
        default: state_q <= Idle;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (pop) begin
      slot_q <= head;
      core_q <= core;
      ctx_q  <= ctx;
    end
    if (state_q == Ask) begin     // the first line is there
      count_q             <= kept_line_i[8*6 +: 3];
      payload_q           <= kept_line_i[8*28 +: 32];
      room_q              <= kept_line_i[8*32 +: 32];
      arguments_q[127:0]  <= kept_line_i[8*48 +: 128];
    end
    if (state_q == First) arguments_q[383:128] <= kept_line_i[255:0];
    if (state_q == First)        entry_q <= '0;
    else if (state_q == Entries) entry_q <= entry_q + 1'b1;
    if (state_q == Entries)                     beat_q <= '0;
    else if (state_q == Beats && start_ready_i) begin
      beat_q <= beat_q + 1'b1;
      if (beat_q != '0) arguments_q <= {64'b0, arguments_q[383:64]};
    end
  end

  // Entries of the context's own: scratchpad, payload, reply.
  assign entry_we_o    = state_q == Entries;
  assign start_core_o  = Cores'(1) << core_q;
  always_comb begin
    entry_index_o = '0;
    entry_index_o[EntryW-1] = 1'b1;
    entry_index_o[CtxW+1:0] = {ctx_q, entry_q};
    unique case (entry_q)
      2'd0:    entry_size_o = AddrW'(pad);
      2'd1:    entry_size_o = AddrW'(payload_q);
      default: entry_size_o = AddrW'(room_q);
    endcase
  end
  assign tenant_o       = tenant;
  // Beats: the reply's position, the arguments, the payload's length; the last one starts.
  assign start_valid_o  = state_q == Beats;
  assign start_kind_o   = is_last_beat ? tiara_pkg::InStart : tiara_pkg::InArgument;
  assign start_ctx_o    = ctx_q;
  assign start_reg_o    = (beat_q == '0) ? 5'd21 : is_last_beat ? 5'd22 : {1'b0, beat_q} - 5'd1;
  assign start_data_o   = (beat_q == '0) ? 64'd0 : is_last_beat ? 64'(payload_q) : arguments_q[63:0];
  assign start_first_o  = code_first;
  assign start_end_o    = code_end;
  assign start_domain_o = domain;
  assign start_steps_o  = steps;
  assign start_bytes_o  = bytes;
  assign clear_o        = state_q == Entries && entry_q == '0;
  assign clear_id_o     = id;

  logic [ContextInfoW-1:0] contexts_q [0:(1<<IdW)-1];
  always_ff @(posedge clk_i) begin
    if (clear_o) contexts_q[id] <= {slot_q, operator, code_first, steps};
  end
  assign look_a_o = contexts_q[look_a_i];
  assign look_b_o = contexts_q[look_b_i];
`ifdef TIARA_PROPERTIES
`include "dispatch_properties.svh"
`endif
endmodule
