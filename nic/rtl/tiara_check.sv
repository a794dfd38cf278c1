// The only way out of the core. Whatever the program and the microcode ask for, a request that leaves here has been
// compared with its entry of the region table: tenant, permission, alignment, [offset, offset + length) inside
// [0, size), and the invocation's budget of bytes. Two elastic stages: compare, then decide.
//
// What does not leave as a request leaves as a local completion: a check that only had to pass, or a fault.
module tiara_check #(
  parameter int unsigned Contexts = 32,
  parameter int unsigned AddrW    = 48,
  parameter int unsigned TenantW  = 8,
  parameter int unsigned CarryW   = 1,   // bits that travel with the request
  localparam int unsigned CtxW = $clog2(Contexts)
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               valid_i,
  output logic               ready_o,
  input  logic [CtxW-1:0]    ctx_i,
  input  logic [63:0]        offset_i,
  input  logic [63:0]        length_i,
  input  logic [AddrW:0]     end_i,          // the sum of their lower bits
  input  logic               is_request_i,   // else only a check
  input  logic               is_posted_i,    // nobody waits for it: no completion, no check
  input  logic               is_local_i,     // not counted against the budget: scratchpad, payload, reply, other nodes
  input  logic               has_entry_i,    // else there is nothing to compare with
  input  logic [2:0]         kind_i,         // of entry, for the reason of a fault
  input  logic [2:0]         permission_i,   // {atomic, write, read} that the access needs
  input  logic               is_aligned_8_i,
  input  logic               is_aligned_64_i,
  input  logic               is_bounded_i,
  input  logic [TenantW-1:0] tenant_i,
  input  logic [CarryW-1:0]  carry_i,
  // the entry, read for this request
  input  logic [AddrW-1:0]   entry_base_i,
  input  logic [AddrW-1:0]   entry_size_i,
  input  logic [2:0]         entry_permission_i,
  input  logic [TenantW-1:0] entry_tenant_i,
  // budgets of bytes
  input  logic               start_i,
  input  logic [CtxW-1:0]    start_ctx_i,
  input  logic [31:0]        start_bytes_i,
  // out
  output logic               req_valid_o,
  input  logic               req_ready_i,
  output logic               done_valid_o,
  input  logic               done_ready_i,
  output logic [3:0]         done_fault_o,
  output logic [CtxW-1:0]    ctx_o,
  output logic [63:0]        addr_o,
  output logic [AddrW-1:0]   length_o,
  output logic [CarryW-1:0]  carry_o
);
  // ------------------------------------------------------------ stage 1: what the comparison needs
  logic               c1_valid_q, c1_is_request_q, c1_is_posted_q, c1_is_charged_q, c1_is_bounded_q;
  logic               c1_permitted_q, c1_aligned_q, c1_small_q, c1_inside_q;
  logic [CtxW-1:0]    c1_ctx_q;
  logic [2:0]         c1_kind_q;
  logic [32:0]        c1_left_q;       // of the budget, afterwards; negative when it does not suffice
  logic [63:0]        c1_addr_q;
  logic [AddrW-1:0]   c1_length_q;
  logic [CarryW-1:0]  c1_carry_q;
  logic               c1_ready;
  logic [31:0]        budget_q [0:Contexts-1];  // a context has one request at most, so that it can be read early
  logic [AddrW-1:0]   base;
  assign ready_o = !c1_valid_q || c1_ready;
  assign base    = has_entry_i ? entry_base_i : '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      c1_valid_q <= 1'b0;
    else if (ready_o) c1_valid_q <= valid_i;
  end
  always_ff @(posedge clk_i) begin
    if (ready_o) begin
      c1_is_request_q <= is_request_i;
      c1_is_posted_q  <= is_posted_i;
      c1_is_charged_q <= is_request_i && !is_local_i;
      c1_is_bounded_q <= is_bounded_i || (is_request_i && has_entry_i);  // whatever the microcode says
      c1_permitted_q  <= !has_entry_i || ((permission_i & ~entry_permission_i) == '0 && entry_tenant_i == tenant_i);
      c1_aligned_q    <= !(is_aligned_8_i && offset_i[2:0] != '0) && !(is_aligned_64_i && offset_i[5:0] != '0);
      c1_small_q      <= offset_i[63:AddrW] == '0 && length_i[63:AddrW] == '0;
      c1_ctx_q        <= ctx_i;
      c1_kind_q       <= kind_i;
      c1_inside_q     <= {1'b0, entry_size_i} >= end_i;
      c1_left_q       <= {1'b0, budget_q[ctx_i]} - {1'b0, length_i[31:0]};
      c1_addr_q       <= {offset_i[63:AddrW], offset_i[AddrW-1:0] + base};
      c1_length_q     <= length_i[AddrW-1:0];
      c1_carry_q      <= carry_i;
    end
  end

  // ------------------------------------------------------------ stage 2: decide
  logic        is_inside, is_affordable, c2_moves, advance;
  logic [3:0]  fault;

  assign is_affordable = !c1_is_charged_q || (!c1_left_q[32] && (c1_length_q >> 32) == '0);
  assign is_inside     = c1_small_q && c1_inside_q;

  always_comb begin
    fault = tiara_pkg::FaultNone;
    if (!c1_is_posted_q) begin
      if (!c1_permitted_q)                    fault = tiara_pkg::FaultRegionPermission;
      else if (!c1_aligned_q)                 fault = tiara_pkg::FaultMisaligned;
      else if (c1_is_bounded_q && !is_inside) begin
        unique case (c1_kind_q)
          tiara_pkg::EntPad:     fault = tiara_pkg::FaultScratchpadBounds;
          tiara_pkg::EntPayload: fault = tiara_pkg::FaultPayloadBounds;
          tiara_pkg::EntReply:   fault = tiara_pkg::FaultReplyBounds;
          default:               fault = tiara_pkg::FaultRegionBounds;
        endcase
      end else if (!is_affordable)            fault = tiara_pkg::FaultStepBudget;
    end
  end

  logic              c2_is_request_q, c2_is_done_q;
  logic [3:0]        c2_fault_q;
  logic [CtxW-1:0]   c2_ctx_q;
  logic [63:0]       c2_addr_q;
  logic [AddrW-1:0]  c2_length_q;
  logic [CarryW-1:0] c2_carry_q;

  // A completion leaves room only one cycle later: whether it is taken depends on what stage R does, which depends
  // on whether there is room here.
  assign c2_moves = !c2_is_done_q && (!c2_is_request_q || req_ready_i);
  assign advance  = c2_moves && !start_i;  // the budgets have one write port
  assign c1_ready = advance;

  // A request that waits here is charged in each cycle, with the same number: nobody else asks for its context. One
  // that has a fault is charged too: it is its program's last.
  always_ff @(posedge clk_i) begin
    if (start_i) budget_q[start_ctx_i] <= start_bytes_i;
    else if (c1_valid_q && c1_is_charged_q && !c1_left_q[32]) budget_q[c1_ctx_q] <= c1_left_q[31:0];
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      c2_is_request_q <= 1'b0;
      c2_is_done_q    <= 1'b0;
    end else if (c2_moves) begin
      c2_is_request_q <= advance && c1_valid_q && c1_is_request_q && fault == '0;
      c2_is_done_q    <= advance && c1_valid_q && !c1_is_posted_q && (!c1_is_request_q || fault != '0);
    end else if (c2_is_done_q && done_ready_i) begin
      c2_is_done_q    <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (c2_moves) begin
      c2_fault_q  <= fault;
      c2_ctx_q    <= c1_ctx_q;
      c2_addr_q   <= c1_addr_q;
      c2_length_q <= c1_length_q;
      c2_carry_q  <= c1_carry_q;
    end
  end

  assign req_valid_o  = c2_is_request_q;
  assign done_valid_o = c2_is_done_q;
  assign done_fault_o = c2_fault_q;
  assign ctx_o        = c2_ctx_q;
  assign addr_o       = c2_addr_q;
  assign length_o     = c2_length_q;
  assign carry_o      = c2_carry_q;

`ifdef TIARA_PROPERTIES
  `include "check_properties.svh"
`endif
endmodule
