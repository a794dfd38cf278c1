// One engine core: many contexts, one pipeline of micro-operations.
//
//   F  a ready context leaves the queue; its state and its program word are read
//   D  the word names the registers; its opcode (or the context's place in a sequence) names the microcode row
//   E  operands and control word arrive; the shifter's setting is computed
//   X  rotate and mask; what is subtracted is inverted
//   Y  add, logic; is the sum zero
//   Z  the condition; is it an instruction that may go on; where a request ends
//   R  retire: does it go on, and where; memory goes on to tiara_check
//   W  write back; return to the queue
//
// A context has one micro-operation in flight, so there are no hazards and nothing to forward. One that must wait
// (memory, the serial unit) sleeps; the answer writes its register and puts it back into the queue, in a cycle in
// which stage W needs neither. What cannot go on is not held but tried again on the context's next turn.
// docs/nic/rtl.md has the block diagram and the protocols.
module tiara_core #(
  parameter int unsigned Contexts    = 32,
  parameter int unsigned StoreW      = 12,   // log2 of the program store's words
  parameter int unsigned AddrW       = 48,   // bits of a memory address, 32 to 63
  parameter int unsigned DomainW     = 4,    // log2 of the region tables
  parameter int unsigned TenantW     = 8,
  parameter int unsigned PadW        = 12,   // log2 of one context's scratchpad bytes
  parameter bit          HasSplitAdd = 1'b0, // halve the carry chain, where carries are slow
  localparam int unsigned CtxW   = $clog2(Contexts),
  localparam int unsigned PcW    = StoreW + 2,  // a branch may point behind the store: it faults when it gets there
  localparam int unsigned EntryW = 1 + ((CtxW + 2 > DomainW + 4) ? CtxW + 2 : DomainW + 4)
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  // host: program store and region table
  input  logic               store_we_i,
  input  logic [StoreW-1:0]  store_addr_i,
  input  logic [63:0]        store_data_i,
  input  logic               entry_we_i,
  input  logic [EntryW-1:0]  entry_index_i,      // {0, domain, region} or {1, context, kind}
  input  logic [AddrW-1:0]   entry_base_i,
  input  logic [AddrW-1:0]   entry_size_i,
  input  logic [2:0]         entry_permission_i, // {atomic, write, read}
  input  logic [TenantW-1:0] entry_tenant_i,
  input  logic               entry_is_cacheable_i,
  // in: answers of memory, words of line loads, and what starts an invocation
  input  logic               in_valid_i,
  output logic               in_ready_o,
  input  logic [1:0]         in_kind_i,
  input  logic [CtxW-1:0]    in_ctx_i,
  input  logic [63:0]        in_data_i,          // right-justified
  input  logic [3:0]         in_fault_i,         // InAnswer
  input  logic [4:0]         in_reg_i,           // InArgument, InStart; InFill: word of the line
  input  logic [StoreW-1:0]  in_entry_i,         // InStart: first word of the program
  input  logic [StoreW:0]    in_end_i,           // InStart: the word behind its last
  input  logic [DomainW-1:0] in_domain_i,
  input  logic [TenantW-1:0] in_tenant_i,
  input  logic [31:0]        in_steps_i,         // InStart: budgets
  input  logic [31:0]        in_bytes_i,
  // out: requests to memory, parts of the reply, and the end of an invocation
  output logic               req_valid_o,
  input  logic               req_ready_i,
  output logic [4:0]         req_op_o,
  output logic [CtxW-1:0]    req_ctx_o,
  output logic [63:0]        req_addr_o,
  output logic [AddrW-1:0]   req_length_o,
  output logic [63:0]        req_data_o,
  output logic [63:0]        req_operand_o,
  output logic [3:0]         req_region_o,
  output logic               req_is_scatter_o,
  output logic               req_is_cacheable_o, // its region is
  output logic [1:0]         req_status_o,       // OpEnd: status and fault
  output logic [3:0]         req_fault_o,
  output logic [1:0]         req_result_o,       // OpEnd: which result
  output logic               req_is_last_o,      // OpEnd: the context is free
  output logic [PcW-1:0]     req_pc_o,
  output logic [31:0]        req_steps_o,        // of the budget that are left
  output logic               req_is_ahead_o,     // pc and steps already include the instruction that faulted
  // retirement, for co-simulation
  output logic               trc_begin_o,        // an instruction begins
  output logic [CtxW-1:0]    trc_ctx_o,
  output logic [PcW-1:0]     trc_pc_o,
  output logic               trc_write_o,        // a register is written
  output logic [CtxW-1:0]    trc_write_ctx_o,
  output logic [4:0]         trc_write_reg_o,
  output logic [63:0]        trc_write_data_o
);
  localparam int unsigned StateW = PcW + 8 + 5 + 5 + 3 + 3;

  // ============================================================ memories
  (* no_rw_check, ram_style = "block" *) logic [63:0] store_q [0:(1<<StoreW)-1];
  (* no_rw_check, ram_style = "block" *) logic [2*AddrW+TenantW+3:0] entries_q [0:(1<<EntryW)-1];
  (* no_rw_check, ram_style = "block" *) logic [63:0] regs_a_q [0:(32<<CtxW)-1];   // two copies: two read ports
  (* no_rw_check, ram_style = "block" *) logic [63:0] regs_b_q [0:(32<<CtxW)-1];
  (* no_rw_check, ram_style = "block" *) logic [tiara_pkg::UopW-1:0] rom_q [0:255];
  logic [StateW-1:0]                   state_q  [0:Contexts-1];
  logic [StoreW+DomainW+TenantW:0]     bound_q  [0:Contexts-1];  // {tenant, domain, end}: for the invocation's life
  logic [31:0]                         steps_q  [0:Contexts-1];
  logic [63:0]                         operand_q[0:Contexts-1];  // third operand of a request
  logic [3:0]                          fault_q  [0:Contexts-1];  // of the last answer
  logic [7:0]                          answer_q [0:Contexts-1];  // where the next answer goes
  logic [5:0]                          line_q   [0:Contexts-1];  // and the words of a line

  initial begin
    `include "tiara_rom.svh"
  end

  always_ff @(posedge clk_i) begin
    if (store_we_i) store_q[store_addr_i] <= store_data_i;
    if (entry_we_i) entries_q[entry_index_i] <=
        {entry_is_cacheable_i, entry_tenant_i, entry_permission_i, entry_size_i, entry_base_i};
  end

  // ============================================================ F: next context
  logic            push, ready_valid, pop, hold_q;
  logic [CtxW-1:0] push_ctx, f_ctx;
  logic [StateW-1:0] f_state;
  logic [PcW-1:0]  f_pc;
  logic [StoreW+DomainW+TenantW:0] f_bound;

  tiara_ready #(.Contexts(Contexts)) u_ready (
    .clk_i, .rst_ni, .push_i(push), .push_ctx_i(push_ctx), .pop_i(pop), .valid_o(ready_valid), .ctx_o(f_ctx));

  assign pop     = ready_valid && !hold_q;
  assign f_state = state_q[f_ctx];
  assign f_pc    = f_state[StateW-1 -: PcW];
  assign f_bound = bound_q[f_ctx];

  // ============================================================ D: registers and row
  logic             d_valid_q, d_is_first_q, d_is_outside_q, d_is_other_q;
  logic [CtxW-1:0]  d_ctx_q;
  logic [PcW-1:0]   d_pc_q;
  logic [7:0]       d_other_q;
  logic [4:0]       d_sel_a_q, d_sel_b_q;
  logic [2:0]       d_depth_q;
  logic             d_flag_q, d_is_ahead_q;
  logic [3:0]       d_fault_q;
  logic [DomainW-1:0] d_domain_q;
  logic [TenantW-1:0] d_tenant_q;
  logic [63:0]      d_word;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) d_valid_q <= 1'b0;
    else         d_valid_q <= pop;
  end
  // Which row comes: the word's, or another one, which is known here.
  logic [7:0] f_upc;
  logic       f_is_first, f_is_spent;
  logic [3:0] f_fault;
  assign f_upc      = f_state[StateW-1-PcW -: 8];
  assign f_is_first = f_upc == '0;
  assign f_is_spent = f_state[0];
  assign f_fault    = fault_q[f_ctx];
  always_ff @(posedge clk_i) begin
    d_word  <= store_q[f_pc[StoreW-1:0]];
    d_ctx_q <= f_ctx;
    d_pc_q  <= f_pc;
    {d_sel_a_q, d_sel_b_q, d_depth_q, d_flag_q, d_is_ahead_q} <= f_state[StateW-PcW-9 : 1];
    d_is_first_q             <= f_is_first;
    d_is_outside_q           <= f_pc >= {1'b0, f_bound[StoreW:0]} && f_is_first && f_fault == '0;
    d_is_other_q             <= f_fault != '0 || !f_is_first || f_is_spent;
    d_other_q                <= (f_fault != '0) ? tiara_pkg::RowFault : f_is_first ? tiara_pkg::RowSpent : f_upc;
    {d_tenant_q, d_domain_q} <= f_bound[StoreW+DomainW+TenantW : StoreW+1];
    d_fault_q                <= f_fault;
  end

  // Register numbers: a field of the word, a temporary, or a loop frame (temporaries 0 to 4).
  function automatic logic [4:0] frame_before(logic [2:0] depth);  // {2'b10, depth} - 1, without a carry chain
    frame_before = {|depth, !(|depth), depth[2] ^ !(depth[1] | depth[0]), depth[1] ^ !depth[0], !depth[0]};
  endfunction
  function automatic logic [4:0] register_of(logic [4:0] sel, logic [63:0] word, logic [2:0] depth);
    logic [4:0] field;
    unique case (sel[2:0])
      3'd0:    field = {1'b0, word[15:12]};
      3'd1:    field = {1'b0, word[19:16]};
      3'd2:    field = {1'b0, word[23:20]};
      3'd3:    field = {1'b0, word[11:8]};
      3'd4:    field = frame_before(depth);
      default: field = {2'b10, depth};
    endcase
    if (sel[4])      register_of = sel;
    else if (sel[3]) register_of = {3'b000, sel[1:0]};
    else             register_of = field;
  endfunction

  logic [7:0] d_row;
  assign d_row = d_is_outside_q ? tiara_pkg::RowIllegal : d_is_other_q ? d_other_q : d_word[7:0];

  // ============================================================ E: operands
  logic             e_valid_q, e_is_word_q;
  logic [CtxW-1:0]  e_ctx_q;
  logic [PcW-1:0]   e_pc_q;
  logic [63:8]      e_word_q;
  logic [2:0]       e_depth_q;
  logic             e_flag_q, e_is_ahead_q, e_bulk_q;
  logic [3:0]       e_fault_q;
  logic [DomainW-1:0] e_domain_q;
  logic [TenantW-1:0] e_tenant_q;
  logic [63:0]      e_a, e_b;
  tiara_pkg::uop_t  e_u;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) e_valid_q <= 1'b0;
    else         e_valid_q <= d_valid_q;
  end
  logic [4:0] d_reg_a, d_reg_b;
  assign d_reg_a = (d_is_first_q && d_word[7:0] == tiara_pkg::OpcodeEndLoop)
      ? register_of(tiara_pkg::SelFrame, d_word, d_depth_q) : register_of(d_sel_a_q, d_word, d_depth_q);
  assign d_reg_b = register_of(d_sel_b_q, d_word, d_depth_q);
  // Settings of the shifter that only the word decides: of fields, and of indexed addresses.
  logic [31:0] d_imm;
  logic [5:0]  e_field_high_q, e_field_sign_q, e_index_rotate_q;
  logic [6:0]  e_index_high_q;
  assign d_imm = d_word[63:32];
  always_ff @(posedge clk_i) begin
    e_a          <= regs_a_q[{d_ctx_q, d_reg_a}];
    e_b          <= regs_b_q[{d_ctx_q, d_reg_b}];
    e_u          <= rom_q[d_row];
    e_is_word_q  <= !d_is_other_q && !d_is_outside_q;
    {e_ctx_q, e_pc_q, e_depth_q, e_flag_q, e_fault_q, e_domain_q, e_tenant_q} <=
    {d_ctx_q, d_pc_q, d_depth_q, d_flag_q, d_fault_q, d_domain_q, d_tenant_q};
    e_word_q     <= d_word[63:8];
    e_bulk_q     <= d_word[2];
    e_is_ahead_q <= d_is_ahead_q && d_fault_q != '0;  // of no meaning otherwise
    e_field_high_q   <= d_imm[13:8] - 6'd1;
    e_field_sign_q   <= d_imm[5:0] + d_imm[13:8] - 6'd1;
    e_index_rotate_q <= d_imm[5:0] - {3'b0, d_imm[18:16]};
    e_index_high_q   <= {1'b0, d_imm[13:8]} + {4'b0, d_imm[18:16]} - 7'd1;
  end

  logic [31:0] e_imm;
  logic [7:0]  e_const;
  assign e_imm   = e_word_q[63:32];
  assign e_const = {e_u.permission, e_u.align, e_u.length};  // rows that compute have no use for these

  logic [63:0] e_operand_a, e_operand_b;
  always_comb begin
    e_operand_a = e_a;
    if (e_u.is_frame) e_operand_a = {7'b0, e_word_q[11:8], 13'(e_pc_q) + 13'd1, 40'b0};
    if (e_u.is_a_zero || (e_u.is_absolute && e_word_q[28]) || (e_u.is_choice && !e_flag_q)) e_operand_a = '0;
    unique case (e_u.b)
      tiara_pkg::BRegA: e_operand_b = e_a;
      tiara_pkg::BRegB: e_operand_b = e_b;
      tiara_pkg::BImm:  e_operand_b = {{32{e_imm[31]}}, e_imm};
      default:          e_operand_b = {56'b0, e_const};
    endcase
    if (e_u.is_choice && e_flag_q) e_operand_b = '0;
  end

  // The shifter's setting.
  function automatic logic [5:0] negative_of(logic [5:0] x);  // no carry chain, whose way in and out is long
    negative_of[0] = x[0];
    for (int unsigned i = 1; i < 6; i++) negative_of[i] = x[i] ^ |(x & 6'((1 << i) - 1));
  endfunction

  logic [5:0] e_amount, e_rotate, e_word_rotate, e_low, e_high, e_sign;
  logic       e_is_signed, e_is_left, e_is_by_b;
  assign e_is_left = e_u.shift == tiara_pkg::ShLeft;
  assign e_is_by_b = e_u.amount == 2'd0 && (e_is_left || e_u.shift == tiara_pkg::ShRight ||
                     e_u.shift == tiara_pkg::ShArith || e_u.shift == tiara_pkg::ShBit);
  always_comb begin
    unique case (e_u.amount)
      2'd0:    e_amount = e_b[5:0];
      2'd1:    e_amount = e_imm[5:0];
      default: e_amount = e_imm[21:16];
    endcase
    unique case (e_u.shift)
      tiara_pkg::ShLeft:                       e_word_rotate = negative_of(e_imm[5:0]);
      tiara_pkg::ShRight, tiara_pkg::ShArith,
      tiara_pkg::ShField, tiara_pkg::ShFieldS: e_word_rotate = e_imm[5:0];
      tiara_pkg::ShBit:                        e_word_rotate = e_imm[21:16];
      tiara_pkg::ShIndex:                      e_word_rotate = e_index_rotate_q;
      tiara_pkg::ShHigh16:                     e_word_rotate = 6'd16;
      tiara_pkg::ShUp32, tiara_pkg::ShDown32:  e_word_rotate = 6'd32;
      tiara_pkg::ShUp20:                       e_word_rotate = -6'd20;
      tiara_pkg::ShUp3:                        e_word_rotate = -6'd3;
      default:                                 e_word_rotate = '0;
    endcase
    e_rotate = !e_is_by_b ? e_word_rotate : e_is_left ? negative_of(e_b[5:0]) : e_b[5:0];
    e_low       = '0;
    e_high      = 6'd63;
    unique case (e_u.shift)
      tiara_pkg::ShLeft:                                           e_low = e_amount;
      tiara_pkg::ShRight, tiara_pkg::ShArith:                      e_high = ~e_amount;
      tiara_pkg::ShField, tiara_pkg::ShFieldS:                     e_high = e_field_high_q;
      tiara_pkg::ShIndex: begin
        e_low  = {3'b0, e_imm[18:16]};
        e_high = e_index_high_q[6] ? 6'd63 : e_index_high_q[5:0];
      end
      tiara_pkg::ShBit:                                            e_high = 6'd0;
      tiara_pkg::ShHigh16, tiara_pkg::ShLow16:                     e_high = 6'd15;
      tiara_pkg::ShLow20:                                          e_high = 6'd19;
      tiara_pkg::ShLow32, tiara_pkg::ShDown32:                     e_high = 6'd31;
      tiara_pkg::ShUp32:                                           e_low = 6'd32;
      tiara_pkg::ShUp20:                                           e_low = 6'd20;
      tiara_pkg::ShUp3:                                            e_low = 6'd3;
      default: ;
    endcase
  end
  // The highest bit that is kept, as it is numbered before the rotation.
  assign e_is_signed = e_u.shift == tiara_pkg::ShArith || e_u.shift == tiara_pkg::ShFieldS ||
                       e_u.shift == tiara_pkg::ShHigh16;
  assign e_sign = (e_u.shift == tiara_pkg::ShArith)  ? 6'd63
                : (e_u.shift == tiara_pkg::ShHigh16) ? 6'd31 : e_field_sign_q;

  // Where the result goes, and which entry a request is checked against.
  logic [4:0]        e_dst;
  logic              e_has_dst;
  logic [EntryW-1:0] e_entry;
  always_comb begin
    e_has_dst = e_u.dst != tiara_pkg::DstNone;
    unique case (e_u.dst)
      tiara_pkg::DstRd:   e_dst = {1'b0, e_word_q[11:8]};
      tiara_pkg::DstTemp: e_dst = {1'b1, e_u.temp};
      default: unique case (e_u.temp[1:0])
        2'd0:    e_dst = {2'b10, e_depth_q};
        2'd1:    e_dst = frame_before(e_depth_q);
        default: e_dst = {1'b0, e_a[56:53]};
      endcase
    endcase
    e_entry = '0;
    if (e_u.kind[2]) begin
      e_entry[EntryW-1]  = 1'b1;
      e_entry[CtxW+1:0]  = {e_ctx_q, e_u.kind[1:0]};
    end else begin
      e_entry[DomainW+3:0] = {e_domain_q, e_u.kind[0] ? e_word_q[31:28] : e_word_q[27:24]};
    end
  end

  // ============================================================ X: rotate
  logic             x_valid_q, x_is_first_q, x_is_bad_q, x_bulk_q;
  logic [CtxW-1:0]  x_ctx_q;
  logic [PcW-1:0]   x_pc_q, x_target_q;
  logic [31:0]      x_imm_q;
  logic [3:0]       x_pops_q, x_region_q;
  logic [2:0]       x_depth_q;
  logic             x_is_ahead_q, x_flag_q, x_has_dst_q;
  logic [3:0]       x_fault_q;
  logic [TenantW-1:0] x_tenant_q;
  logic [63:0]      x_a_q, x_b_q, x_data_q, x_shifted;
  logic [5:0]       x_rotate_q, x_low_q, x_high_q;
  logic [1:0]       x_sign_q;
  logic [15:0]      x_sign_group_q;
  logic [4:0]       x_dst_q;
  logic [EntryW-1:0] x_entry_q;
  tiara_pkg::uop_t  x_u_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) x_valid_q <= 1'b0;
    else         x_valid_q <= e_valid_q;
  end
  always_ff @(posedge clk_i) begin
    x_u_q         <= e_u;
    x_is_first_q  <= e_is_word_q;
    x_flag_q      <= e_flag_q;
    {x_ctx_q, x_pc_q, x_depth_q, x_is_ahead_q, x_fault_q, x_tenant_q} <=
    {e_ctx_q, e_pc_q, e_depth_q, e_is_ahead_q, e_fault_q, e_tenant_q};
    x_is_bad_q    <= e_is_word_q && !e_u.is_instruction;  // no instruction has this opcode
    x_target_q    <= e_pc_q + ((e_u.pc == tiara_pkg::PcLoop) ? PcW'(e_imm[31:20]) + PcW'(2) : PcW'(e_imm[12:0]));
    x_imm_q       <= e_imm;
    x_pops_q      <= e_word_q[31:28];
    x_region_q    <= e_word_q[27:24];
    x_bulk_q      <= e_bulk_q;
    x_a_q         <= e_operand_a;
    x_b_q         <= e_operand_b;
    x_data_q      <= e_b;
    {x_rotate_q, x_low_q, x_high_q} <= {e_rotate, e_low, e_high};
    x_sign_q      <= e_sign[1:0];
    x_sign_group_q <= 16'(e_is_signed) << e_sign[5:2];
    x_dst_q       <= e_dst;
    x_has_dst_q   <= e_has_dst;
    x_entry_q     <= e_entry;
  end

  tiara_shift u_shift (.data_i(x_b_q), .rotate_i(x_rotate_q), .low_i(x_low_q), .high_i(x_high_q), .sign_i(x_sign_q),
                       .sign_group_i(x_sign_group_q), .is_inverted_i(x_u_q.alu == tiara_pkg::AluSub),
                       .data_o(x_shifted));

  // ============================================================ Y: add, logic
  logic             y_valid_q, y_is_first_q, y_is_bad_q, y_bulk_q, y_carry_in_q;
  logic [CtxW-1:0]  y_ctx_q;
  logic [PcW-1:0]   y_pc_q, y_target_q;
  logic [31:0]      y_imm_q;
  logic [3:0]       y_pops_q, y_region_q;
  logic [2:0]       y_depth_q;
  logic             y_is_ahead_q, y_flag_q, y_has_dst_q;
  logic [3:0]       y_fault_q;
  logic [TenantW-1:0] y_tenant_q;
  logic [63:0]      y_a_q, y_b_q, y_data_q;
  logic [4:0]       y_dst_q;
  logic [EntryW-1:0] y_entry_q;
  tiara_pkg::uop_t  y_u_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) y_valid_q <= 1'b0;
    else         y_valid_q <= x_valid_q;
  end
  always_ff @(posedge clk_i) begin
    {y_u_q, y_is_first_q, y_is_bad_q, y_ctx_q, y_pc_q, y_target_q, y_imm_q, y_pops_q, y_region_q, y_bulk_q,
     y_depth_q, y_is_ahead_q, y_flag_q, y_fault_q, y_tenant_q, y_data_q, y_dst_q, y_has_dst_q, y_entry_q} <=
    {x_u_q, x_is_first_q, x_is_bad_q, x_ctx_q, x_pc_q, x_target_q, x_imm_q, x_pops_q, x_region_q, x_bulk_q,
     x_depth_q, x_is_ahead_q, x_flag_q, x_fault_q, x_tenant_q, x_data_q, x_dst_q, x_has_dst_q, x_entry_q};
    y_a_q        <= x_a_q;
    y_b_q        <= x_shifted;
    y_carry_in_q <= x_u_q.alu == tiara_pkg::AluSub || x_u_q.alu == tiara_pkg::AluInc;
  end

  // One carry chain for sums, differences and comparisons: the carry enters as an extra low bit. What is subtracted
  // came out of the shifter inverted.
  logic        y_carry, y_is_zero, y_is_last;
  logic [63:0] y_sum, y_logic;
  // Whether the sum is zero, without waiting for it: if so, the carry into each bit is what both bits below say.
  assign y_is_zero = (y_a_q ^ y_b_q) == {y_a_q[62:0] | y_b_q[62:0], y_carry_in_q};
  // Likewise whether a frame's index, in b and counted up by the carry, is its trip count.
  assign y_is_last = (y_b_q[19:0] ^ y_b_q[39:20]) == {y_b_q[18:0] & ~y_b_q[38:20], y_carry_in_q};
  if (HasSplitAdd) begin : gen_split_add
    logic [33:0] low, high_0, high_1;
    assign low    = {1'b0, y_a_q[31:0], 1'b1} + {1'b0, y_b_q[31:0], y_carry_in_q};
    assign high_0 = {1'b0, y_a_q[63:32], 1'b1} + {1'b0, y_b_q[63:32], 1'b0};
    assign high_1 = {1'b0, y_a_q[63:32], 1'b1} + {1'b0, y_b_q[63:32], 1'b1};
    assign y_sum   = {low[33] ? high_1[32:1] : high_0[32:1], low[32:1]};
    assign y_carry = low[33] ? high_1[33] : high_0[33];
  end else begin : gen_add
    logic [65:0] wide;
    assign wide    = {1'b0, y_a_q, 1'b1} + {1'b0, y_b_q, y_carry_in_q};
    assign y_sum   = wide[64:1];
    assign y_carry = wide[65];
  end
  always_comb begin
    unique case (y_u_q.alu)
      tiara_pkg::AluAnd: y_logic = y_a_q & y_b_q;
      tiara_pkg::AluOr:  y_logic = y_a_q | y_b_q;
      default:           y_logic = y_a_q ^ y_b_q;
    endcase
  end

  logic            ser_ready, ser_start, ser_valid, ser_accept;
  logic [CtxW-1:0] ser_ctx;
  logic [4:0]      ser_reg;
  logic [63:0]     ser_data;
  assign ser_start = y_valid_q && y_u_q.unit == tiara_pkg::UnitSerial && !y_is_bad_q && ser_ready;
  tiara_serial #(.Contexts(Contexts), .HasSplitAdd(HasSplitAdd)) u_serial (
    .clk_i, .rst_ni, .start_i(ser_start), .ready_o(ser_ready), .op_i(y_u_q.op[2:0]), .ctx_i(y_ctx_q),
    .reg_i(y_dst_q), .a_i(y_a_q), .b_i(y_b_q), .valid_o(ser_valid), .accept_i(ser_accept), .ctx_o(ser_ctx),
    .reg_o(ser_reg), .data_o(ser_data));

  // ============================================================ Z: the condition
  logic             z_valid_q, z_is_first_q, z_is_bad_q, z_bulk_q, z_has_serial_q;
  logic [CtxW-1:0]  z_ctx_q;
  logic [PcW-1:0]   z_pc_q, z_target_q;
  logic [31:0]      z_imm_q;
  logic [3:0]       z_pops_q, z_region_q;
  logic [2:0]       z_depth_q;
  logic             z_is_ahead_q, z_flag_q, z_has_dst_q, z_carry_q, z_is_zero_q, z_sign_a_q, z_sign_b_q;
  logic             z_holds_q, z_if_zero_q, z_if_less_q, z_is_signed_q, z_is_illegal_q, z_take_is_illegal_q;
  logic             z_is_operand_long_q, z_is_imm_long_q;
  logic [6:0]       z_low_length_q;  // when it is not the operand
  logic [3:0]       z_fault_q;
  logic [TenantW-1:0] z_tenant_q;
  logic [63:0]      z_sum_q, z_logic_q, z_data_q, z_operand_q, z_result;
  logic             z_is_logic_q;
  logic [4:0]       z_dst_q;
  logic [EntryW-1:0] z_entry_q;
  tiara_pkg::uop_t  z_u_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) z_valid_q <= 1'b0;
    else         z_valid_q <= y_valid_q;
  end
  always_ff @(posedge clk_i) begin
    {z_u_q, z_is_first_q, z_is_bad_q, z_ctx_q, z_pc_q, z_target_q, z_imm_q, z_pops_q, z_region_q, z_bulk_q,
     z_depth_q, z_is_ahead_q, z_flag_q, z_fault_q, z_tenant_q, z_data_q, z_dst_q, z_has_dst_q, z_entry_q} <=
    {y_u_q, y_is_first_q, y_is_bad_q, y_ctx_q, y_pc_q, y_target_q, y_imm_q, y_pops_q, y_region_q, y_bulk_q,
     y_depth_q, y_is_ahead_q, y_flag_q, y_fault_q, y_tenant_q, y_data_q, y_dst_q, y_has_dst_q, y_entry_q};
    z_has_serial_q <= ser_start;
    z_sum_q        <= y_sum;
    z_logic_q      <= y_logic;
    z_is_logic_q   <= y_u_q.alu == tiara_pkg::AluAnd || y_u_q.alu == tiara_pkg::AluOr ||
                      y_u_q.alu == tiara_pkg::AluXor;
    z_operand_q    <= operand_q[y_ctx_q];  // one operation of a context is in flight: it is there already
    z_carry_q      <= y_carry;
    z_is_zero_q    <= y_is_zero;
    // The condition is one of these three or of two of them; and what makes an instruction illegal.
    z_holds_q      <= y_u_q.condition == tiara_pkg::CondAlways ||
                      (y_u_q.condition == tiara_pkg::CondFrame && !y_is_last) ||   // iterations are left
                      (y_u_q.condition == tiara_pkg::CondBulk && y_bulk_q);        // the opcode is a scatter's
    z_if_zero_q    <= y_u_q.condition == tiara_pkg::CondZero || y_u_q.condition == tiara_pkg::CondLeu ||
                      y_u_q.condition == tiara_pkg::CondLes;
    z_if_less_q    <= y_u_q.condition == tiara_pkg::CondLtu || y_u_q.condition == tiara_pkg::CondLeu ||
                      y_u_q.condition == tiara_pkg::CondLts || y_u_q.condition == tiara_pkg::CondLes;
    z_is_signed_q  <= y_u_q.condition == tiara_pkg::CondLts || y_u_q.condition == tiara_pkg::CondLes;
    z_is_illegal_q <= y_is_bad_q || (y_u_q.pc == tiara_pkg::PcEndLoop && y_depth_q == 3'd0);
    z_take_is_illegal_q <= (y_u_q.pc == tiara_pkg::PcBranch && y_pops_q > {1'b0, y_depth_q}) ||
                           (y_u_q.pc == tiara_pkg::PcLoop && y_depth_q[2]);
    z_is_operand_long_q <= y_u_q.length == tiara_pkg::LenOperand;
    z_is_imm_long_q     <= y_u_q.length == tiara_pkg::LenImm;
    z_low_length_q      <= (y_u_q.length == tiara_pkg::LenLine) ? 7'd64
                         : (y_u_q.length == tiara_pkg::LenImm)  ? y_imm_q[6:0]
                         : y_u_q.length[2] ? 7'd0 : 7'd1 << y_u_q.length[1:0];
    z_sign_a_q     <= y_a_q[63];
    z_sign_b_q     <= !y_b_q[63];  // of rows that subtract
  end

  logic z_is_less, z_take, z_illegal, z_is_memory, z_is_serial;
  assign z_is_less   = (z_is_signed_q && z_sign_a_q != z_sign_b_q) ? z_sign_a_q : !z_carry_q;
  assign z_take      = z_u_q.is_inverted ^ (z_holds_q || (z_if_zero_q && z_is_zero_q) || (z_if_less_q && z_is_less));
  assign z_illegal   = z_is_illegal_q || (z_take_is_illegal_q && z_take);
  assign z_is_memory = z_u_q.unit == tiara_pkg::UnitMemory && !z_illegal;
  assign z_is_serial = z_u_q.unit == tiara_pkg::UnitSerial && !z_illegal;
  assign z_result    = z_is_logic_q ? z_logic_q : z_sum_q;
  // How long a request is.
  logic [63:0] z_length;
  assign z_length = ({64{z_is_operand_long_q}} & z_operand_q) |
                    {32'b0, {25{z_is_imm_long_q}} & z_imm_q[31:7], z_low_length_q};

  // ============================================================ R: retire
  logic             r_valid_q, r_is_first_q, r_bulk_q, r_take_q, r_illegal_q, r_is_memory_q, r_is_end_q;
  logic             r_is_asking_q, r_is_turned_away_q, r_sleeps_q, r_ends_q, r_advances_q, r_frees_q,
                    r_writes_q, r_has_entry_q, r_to_target_q, r_to_result_q;
  logic [CtxW-1:0]  r_ctx_q;
  logic [PcW-1:0]   r_pc_q, r_pc_next_q, r_target_q;
  logic [31:0]      r_imm_q, r_steps_q;
  logic [3:0]       r_region_q;
  logic [2:0]       r_pops_q, r_depth_q;
  logic             r_is_ahead_q, r_flag_q, r_has_dst_q;
  logic [3:0]       r_fault_q;
  logic [TenantW-1:0] r_tenant_q;
  logic [63:0]      r_result_q, r_data_q, r_length_q, r_operand_q;
  logic [AddrW:0]   r_end_q;
  logic [4:0]       r_dst_q;
  logic [2*AddrW+TenantW+3:0] r_entry_q;
  tiara_pkg::uop_t  r_u_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      r_valid_q <= 1'b0;
      r_frees_q <= 1'b1;
    end else begin
      r_valid_q <= z_valid_q;
      r_frees_q <= !z_valid_q || (z_is_serial && z_has_serial_q);  // write port and queue, in any case
    end
  end
  always_ff @(posedge clk_i) begin
    {r_u_q, r_is_first_q, r_ctx_q, r_pc_q, r_target_q, r_imm_q, r_region_q, r_bulk_q, r_depth_q, r_is_ahead_q,
     r_flag_q, r_fault_q, r_tenant_q, r_data_q, r_dst_q, r_has_dst_q} <=
    {z_u_q, z_is_first_q, z_ctx_q, z_pc_q, z_target_q, z_imm_q, z_region_q, z_bulk_q, z_depth_q, z_is_ahead_q,
     z_flag_q, z_fault_q, z_tenant_q, z_data_q, z_dst_q, z_has_dst_q};
    r_pc_next_q    <= z_pc_q + PcW'(1);
    r_steps_q      <= steps_q[z_ctx_q];
    r_pops_q       <= z_pops_q[2:0];
    r_result_q     <= z_result;
    r_operand_q    <= z_operand_q;
    r_length_q     <= z_length;
    r_end_q        <= {1'b0, z_sum_q[AddrW-1:0]} + {1'b0, z_length[AddrW-1:0]};  // all addresses are sums
    r_has_entry_q  <= z_u_q.kind != tiara_pkg::EntNone;
    r_writes_q     <= z_valid_q && z_u_q.unit != tiara_pkg::UnitMemory && z_u_q.unit != tiara_pkg::UnitSerial &&
                      !z_illegal;
    r_entry_q      <= entries_q[z_entry_q];
    r_take_q       <= z_take;
    r_to_target_q  <= z_u_q.pc == (z_take ? tiara_pkg::PcBranch : tiara_pkg::PcLoop);
    r_to_result_q  <= z_u_q.pc == tiara_pkg::PcEndLoop && z_take;
    r_illegal_q    <= z_illegal;
    // What becomes of it, but for whether there is room.
    r_is_memory_q      <= z_is_memory;
    r_is_end_q         <= z_u_q.unit == tiara_pkg::UnitEnd && !z_illegal;
    r_is_asking_q      <= z_is_memory || (z_u_q.unit == tiara_pkg::UnitEnd && !z_illegal);
    r_is_turned_away_q <= z_is_serial && !z_has_serial_q;
    r_sleeps_q         <= z_is_memory || z_is_serial;
    r_ends_q           <= z_u_q.unit == tiara_pkg::UnitEnd && !z_illegal &&
                          (z_u_q.op[1:0] != 2'd0 || {1'b0, z_u_q.temp[1:0]} + 3'd1 >= z_imm_q[2:0]);
    r_advances_q       <= z_u_q.pc != tiara_pkg::PcHold && !z_illegal;
  end

  // ------------------------------------------------------------ what becomes of the micro-operation
  logic check_ready, r_retry, r_goes;
  assign r_retry = (r_is_asking_q && !check_ready) || r_is_turned_away_q;
  assign r_goes  = r_valid_q && !r_retry;

  // ------------------------------------------------------------ the context's next state
  logic [PcW-1:0] r_next_pc;
  logic [7:0]     r_next_upc;
  logic [2:0]     r_next_depth;
  logic           r_next_flag;
  logic           r_is_spent;
  assign r_is_spent   = r_steps_q[31:1] == '0 && (r_advances_q || !r_steps_q[0]);  // none is left
  assign r_next_pc    = !r_advances_q ? r_pc_q : r_to_target_q ? r_target_q
                      : r_to_result_q ? PcW'(r_result_q[52:40]) : r_pc_next_q;
  always_comb begin
    r_next_depth = r_depth_q;
    unique case (r_u_q.pc)
      tiara_pkg::PcBranch:  if (r_take_q) r_next_depth = r_depth_q - r_pops_q;
      tiara_pkg::PcLoop:    if (r_take_q) r_next_depth = r_depth_q + 3'd1;
      tiara_pkg::PcEndLoop: if (!r_take_q) r_next_depth = r_depth_q - 3'd1;
      default: ;
    endcase
    r_next_upc  = r_u_q.next | {7'b0, r_u_q.is_fork && r_take_q};
    if (r_illegal_q)   r_next_upc = tiara_pkg::RowIllegal;
    r_next_flag = r_u_q.sets_flag ? r_take_q : 1'b0;
    if (!r_u_q.sets_flag) r_next_flag = r_flag_q;
  end

  // ============================================================ W: write back
  logic              w_valid_q, w_frees_q, w_back_q, w_goes_q, w_advances_q, w_sleeps_q, w_sets_operand_q, w_writes_q;
  logic [CtxW-1:0]   w_ctx_q;
  logic [StateW-1:0] w_state_q;
  logic [31:0]       w_steps_q;
  logic [63:0]       w_data_q;
  logic [4:0]        w_dst_q;
  logic [7:0]        w_answer_q;
  logic [5:0]        w_line_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {w_valid_q, w_back_q, w_goes_q} <= '0;
      w_frees_q <= 1'b1;
    end else begin
      w_valid_q <= r_valid_q;
      w_back_q  <= r_valid_q && (r_retry || (!r_sleeps_q && !r_ends_q));
      w_goes_q  <= r_goes;
      w_frees_q <= r_frees_q || (r_is_memory_q && check_ready);  // write port and queue
    end
  end
  always_ff @(posedge clk_i) begin
    {w_ctx_q, w_advances_q, w_sleeps_q, w_dst_q} <= {r_ctx_q, r_advances_q, r_sleeps_q, r_dst_q};
    w_state_q        <= {r_next_pc, r_advances_q ? 8'd0 : r_next_upc, r_advances_q ? tiara_pkg::SelRs1 : r_u_q.sel_a,
                         r_advances_q ? tiara_pkg::SelRs2 : r_u_q.sel_b, r_next_depth, r_next_flag,
                         r_advances_q && r_sleeps_q, r_is_spent};
    w_steps_q        <= r_steps_q - 32'd1;
    w_sets_operand_q <= r_u_q.sets_operand;
    w_writes_q       <= r_writes_q && r_has_dst_q;
    w_data_q         <= r_u_q.is_flag_result ? {63'b0, r_take_q && r_u_q.sets_flag} : r_result_q;
    w_answer_q       <= {r_u_q.is_signed, r_u_q.length[1:0], r_has_dst_q ? r_dst_q : 5'd31};
    w_line_q         <= r_imm_q[11:6];
  end

  // ------------------------------------------------------------ answers, and what starts an invocation
  // One of them at a time waits here for a cycle in which W leaves the write port and the queue free.
  logic            pad_valid, done_valid, done_accept, pad_accept, fill_ready;
  logic [CtxW-1:0] pad_ctx, done_ctx;
  logic [63:0]     pad_data;
  logic [3:0]      done_fault;
  logic            in_is_answer, in_is_write, in_is_start, in_first, in_accept, start, ans_ready, ans_go;
  logic            ans_valid_q, ans_wakes_q, ans_is_load_q, ans_is_write_q;
  logic [CtxW-1:0] ans_ctx_q;
  logic [4:0]      ans_reg_q;
  logic [3:0]      ans_fault_q;
  logic [63:0]     ans_data_q;
  assign in_is_answer = in_kind_i == tiara_pkg::InAnswer;
  assign in_is_start  = in_kind_i == tiara_pkg::InStart;
  assign in_is_write  = in_kind_i == tiara_pkg::InArgument || in_is_start;
  assign ans_go       = ans_valid_q && w_frees_q;
  assign ans_ready    = !ans_valid_q || w_frees_q;
  assign done_accept  = ans_ready;
  assign ser_accept   = ans_ready && !done_valid && ser_valid;
  assign pad_accept   = ans_ready && !done_valid && !ser_valid && pad_valid;
  assign in_first     = !done_valid && !ser_valid && !pad_valid && in_valid_i;
  // A start also writes the context's state, which a sleeping context's W does too.
  assign start        = in_first && in_is_start && !w_valid_q;
  assign in_accept    = start || (in_first && (in_is_answer || in_kind_i == tiara_pkg::InArgument) && ans_ready);
  assign in_ready_o   = (in_kind_i == tiara_pkg::InFill) ? fill_ready : in_accept;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)        ans_valid_q <= 1'b0;
    else if (ans_ready) ans_valid_q <= done_valid || ser_valid || pad_valid || in_accept;
  end
  always_ff @(posedge clk_i) begin
    if (ans_ready) begin
      ans_ctx_q      <= done_valid ? done_ctx : ser_valid ? ser_ctx : pad_valid ? pad_ctx : in_ctx_i;
      ans_data_q     <= (pad_valid && !ser_valid) ? pad_data : ser_valid ? ser_data : in_data_i;
      ans_reg_q      <= ser_valid ? ser_reg : in_reg_i;
      ans_fault_q    <= done_valid ? done_fault : (!ser_valid && !pad_valid && in_is_answer) ? in_fault_i : 4'd0;
      ans_wakes_q    <= done_valid || ser_valid || pad_valid || in_kind_i != tiara_pkg::InArgument;
      ans_is_load_q  <= !done_valid && !ser_valid && (pad_valid || in_is_answer);
      ans_is_write_q <= !done_valid && (ser_valid || (!pad_valid && in_is_write));
    end
  end
  // Make a hole for who waits, when the pipeline has none on its way.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) hold_q <= 1'b0;
    else         hold_q <= (ans_valid_q ? !w_frees_q : in_valid_i && in_is_start && !start) && !hold_q &&
                           d_valid_q && e_valid_q && x_valid_q && y_valid_q && z_valid_q && r_valid_q;
  end

  // ------------------------------------------------------------ the register file's write port
  logic        write;
  logic [CtxW-1:0] write_ctx;
  logic [4:0]  write_reg;
  logic [63:0] write_data, loaded;
  logic [7:0]  answer;
  logic        sign;
  assign answer     = answer_q[ans_ctx_q];
  // Loads: zeros or the sign above the bytes that were asked for.
  always_comb begin
    unique case (answer[6:5])
      2'd0:    sign = ans_data_q[7];
      2'd1:    sign = ans_data_q[15];
      default: sign = ans_data_q[31];
    endcase
    sign   = sign && answer[7];
    loaded = ans_data_q;
    if (ans_is_load_q) begin
      if (answer[6:5] == 2'd0) loaded[15:8]  = {8{sign}};
      if (!answer[6])          loaded[31:16] = {16{sign}};
      if (answer[6:5] != 2'd3) loaded[63:32] = {32{sign}};
    end
  end
  assign write      = !w_frees_q ? w_writes_q
                    : ans_valid_q && (ans_is_write_q || (ans_is_load_q && answer[4:0] != '1 && ans_fault_q == '0));
  assign write_ctx  = !w_frees_q ? w_ctx_q : ans_ctx_q;
  assign write_reg  = !w_frees_q ? w_dst_q : ans_is_load_q ? answer[4:0] : ans_reg_q;
  assign write_data = !w_frees_q ? w_data_q : loaded;
  // Whoever is pushed now reads its registers in stage D, two cycles from here.
  always_ff @(posedge clk_i) begin
    if (write) begin
      regs_a_q[{write_ctx, write_reg}] <= write_data;
      regs_b_q[{write_ctx, write_reg}] <= write_data;
    end
  end

  assign push     = w_back_q || (ans_go && ans_wakes_q);
  assign push_ctx = w_back_q ? w_ctx_q : ans_ctx_q;

  // ------------------------------------------------------------ context state
  logic [CtxW-1:0] state_ctx;
  assign state_ctx = start ? in_ctx_i : w_ctx_q;
  always_ff @(posedge clk_i) begin
    if (start || w_goes_q) state_q[state_ctx] <=
        start ? {2'b00, in_entry_i, 8'd0, tiara_pkg::SelRs1, tiara_pkg::SelRs2, 6'd0} : w_state_q;
    if (start || (w_goes_q && w_advances_q)) steps_q[state_ctx] <= start ? in_steps_i : w_steps_q;
    if (start) bound_q[in_ctx_i] <= {in_tenant_i, in_domain_i, in_end_i};
    if (w_goes_q && w_sets_operand_q) operand_q[w_ctx_q] <= w_data_q;
    if (w_goes_q && w_sleeps_q) begin
      answer_q[w_ctx_q] <= w_answer_q;
      line_q[w_ctx_q]   <= w_line_q;
    end
    if (ans_go) fault_q[ans_ctx_q] <= ans_fault_q;
  end

  // ============================================================ requests
  localparam int unsigned CarryW = 1 + 1 + 5 + 64 + 64 + 4 + 1 + 2 + 4 + 2 + 1 + PcW + 32 + 1 + 2;
  logic [2:0]        r_permission;
  logic [CarryW-1:0] r_carry, c_carry;
  logic              c_valid, c_ready, c_is_pad, pad_ready, pad_is_store;
  logic [CtxW-1:0]   c_ctx;
  logic [63:0]       c_addr, c_data;
  logic [AddrW-1:0]  c_length;
  logic [4:0]        c_op;
  logic [1:0]        c_size;
  assign r_permission = (r_u_q.permission == tiara_pkg::PermBulk) ? (r_bulk_q ? 3'b010 : 3'b001) : r_u_q.permission;
  assign r_carry = {r_u_q.op == tiara_pkg::OpPadLoad || r_u_q.op == tiara_pkg::OpPadStore,
                    r_entry_q[2*AddrW+TenantW+3] && !r_u_q.kind[2], r_u_q.op, r_data_q, r_operand_q, r_region_q,
                    r_bulk_q, r_u_q.op[1:0],
                    r_fault_q | {r_u_q.permission, r_u_q.align[1]}, r_u_q.temp[1:0], r_ends_q, r_pc_q, r_steps_q,
                    r_is_ahead_q, r_u_q.length[1:0]};

  tiara_check #(.Contexts(Contexts), .AddrW(AddrW), .TenantW(TenantW), .CarryW(CarryW)) u_check (
    .clk_i, .rst_ni,
    .valid_i(r_valid_q && r_is_asking_q), .ready_o(check_ready), .ctx_i(r_ctx_q),
    .offset_i(r_result_q), .length_i(r_length_q), .end_i(r_end_q),
    .is_request_i(r_is_end_q || r_u_q.op != tiara_pkg::OpCheck),
    .is_posted_i(r_is_end_q), .is_local_i(r_u_q.kind[2]), .has_entry_i(r_has_entry_q),
    .kind_i(r_u_q.kind), .permission_i(r_u_q.kind[2] ? 3'b000 : r_permission),
    .is_aligned_8_i(r_u_q.align[0]), .is_aligned_64_i(r_u_q.align[1]), .is_bounded_i(r_u_q.is_bounded),
    .tenant_i(r_tenant_q), .carry_i(r_carry),
    .entry_base_i(r_entry_q[AddrW-1:0]), .entry_size_i(r_entry_q[2*AddrW-1:AddrW]),
    .entry_permission_i(r_entry_q[2*AddrW+2:2*AddrW]), .entry_tenant_i(r_entry_q[2*AddrW+TenantW+2:2*AddrW+3]),
    .start_i(start), .start_ctx_i(in_ctx_i), .start_bytes_i(in_bytes_i),
    .req_valid_o(c_valid), .req_ready_i(c_ready), .done_valid_o(done_valid), .done_ready_i(done_accept),
    .done_fault_o(done_fault), .ctx_o(c_ctx), .addr_o(c_addr), .length_o(c_length), .carry_o(c_carry));

  assign done_ctx = c_ctx;
  assign {c_is_pad, req_is_cacheable_o, c_op, c_data, req_operand_o, req_region_o, req_is_scatter_o, req_status_o,
          req_fault_o, req_result_o,
          req_is_last_o, req_pc_o, req_steps_o, req_is_ahead_o, c_size} = c_carry;

  // The scratchpad is a memory of the core's own.
  assign pad_is_store = c_op == tiara_pkg::OpPadStore;
  assign c_ready      = c_is_pad ? pad_ready : req_ready_i;
  tiara_pad #(.AddrW(PadW + CtxW), .CtxW(CtxW)) u_pad (
    .clk_i, .rst_ni, .valid_i(c_valid && c_is_pad), .ready_o(pad_ready), .is_store_i(pad_is_store), .ctx_i(c_ctx),
    .addr_i({c_ctx, c_addr[PadW-1:0]}), .bytes_i(4'd1 << c_size), .data_i(c_data),
    .valid_o(pad_valid), .accept_i(pad_accept), .ctx_o(pad_ctx), .data_o(pad_data),
    .fill_i(in_valid_i && in_kind_i == tiara_pkg::InFill), .fill_ready_o(fill_ready),
    .fill_word_i({in_ctx_i, (PadW-3)'({line_q[in_ctx_i], in_reg_i[2:0]})}), .fill_data_i(in_data_i));

  assign req_valid_o  = c_valid && !c_is_pad;
  assign req_op_o     = c_op;
  assign req_ctx_o    = c_ctx;
  assign req_addr_o   = c_addr;
  assign req_length_o = c_length;
  assign req_data_o   = c_data;

  // ============================================================ trace
  assign trc_begin_o      = r_goes && r_is_first_q;
  assign trc_ctx_o        = r_ctx_q;
  assign trc_pc_o         = r_pc_q;
  assign trc_write_o      = write;
  assign trc_write_ctx_o  = write_ctx;
  assign trc_write_reg_o  = write_reg;
  assign trc_write_data_o = write_data;

`ifdef TIARA_PROPERTIES
  `include "core_properties.svh"
`endif
endmodule
