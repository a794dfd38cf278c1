// Several cores behind one stream of requests, in which they take turns. Answers find their core by its number; what
// starts goes to the one that the dispatcher names, when no answer is for it.
module tiara_cores #(
  parameter int unsigned Cores    = 2,
  parameter int unsigned Contexts = 8,
  parameter int unsigned StoreW   = 12,
  parameter int unsigned AddrW    = 48,
  parameter int unsigned DomainW  = 5,
  parameter int unsigned TenantW  = 8,
  parameter int unsigned PadW     = 12,
  localparam int unsigned CtxW   = $clog2(Contexts),
  localparam int unsigned CoreW  = (Cores > 1) ? $clog2(Cores) : 1,
  localparam int unsigned IdW    = CoreW + CtxW,
  localparam int unsigned PcW    = StoreW + 2,
  localparam int unsigned EntryW = 1 + ((CtxW + 2 > DomainW + 4) ? CtxW + 2 : DomainW + 4),
  // {op, id, address, length, data, operand, region, is a scatter, is cacheable, status, fault, result, is last, pc,
  // steps, is ahead}, as tiara_core has them
  localparam int unsigned BundleW = 5 + IdW + 64 + AddrW + 128 + 4 + 1 + 1 + 2 + 4 + 2 + 1 + PcW + 32 + 1
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  // all cores have the same programs and regions
  input  logic               store_we_i,
  input  logic [StoreW-1:0]  store_addr_i,
  input  logic [63:0]        store_data_i,
  input  logic               host_entry_i,
  input  logic [DomainW+3:0] host_index_i,
  input  logic [AddrW-1:0]   host_base_i,
  input  logic [AddrW-1:0]   host_size_i,
  input  logic [2:0]         host_permission_i,
  input  logic [TenantW-1:0] host_tenant_i,
  input  logic               host_is_cacheable_i,
  // a context's start: its entries, then arguments
  input  logic [Cores-1:0]   start_core_i,
  input  logic               start_entry_we_i,
  input  logic [EntryW-1:0]  start_entry_index_i,
  input  logic [AddrW-1:0]   start_entry_size_i,
  input  logic [TenantW-1:0] start_tenant_i,
  input  logic               start_valid_i,
  output logic               start_ready_o,
  input  logic [1:0]         start_kind_i,
  input  logic [CtxW-1:0]    start_ctx_i,
  input  logic [63:0]        start_data_i,
  input  logic [4:0]         start_reg_i,
  input  logic [StoreW-1:0]  start_first_i,
  input  logic [StoreW:0]    start_end_i,
  input  logic [DomainW-1:0] start_domain_i,
  input  logic [31:0]        start_steps_i,
  input  logic [31:0]        start_bytes_i,
  // answers: the cache's first
  input  logic               hit_valid_i,
  output logic               hit_ready_o,
  input  logic [IdW-1:0]     hit_id_i,
  input  logic [63:0]        hit_data_i,
  input  logic               ans_valid_i,
  output logic               ans_ready_o,
  input  logic [1:0]         ans_kind_i,
  input  logic [IdW-1:0]     ans_id_i,
  input  logic [63:0]        ans_data_i,
  input  logic [3:0]         ans_fault_i,
  input  logic [4:0]         ans_reg_i,
  // requests
  output logic               req_valid_o,
  input  logic               req_ready_i,
  output logic [BundleW-1:0] req_o
);
  logic [Cores-1:0]   c_in_ready, c_req_valid, c_req_ready, c_start_ready, takes_hit, takes_ans;
  logic [BundleW-1:0] c_bundle [0:Cores-1];
  for (genvar k = 0; k < Cores; k++) begin : gen_cores
    logic [CtxW-1:0]  ctx;
    logic [4:0]       op;
    logic [63:0]      addr, data, operand;
    logic [AddrW-1:0] len;
    logic [3:0]       region, fault;
    logic             is_scatter, is_cacheable, is_last, is_ahead;
    logic [1:0]       status, result;
    logic [PcW-1:0]   pc;
    logic [31:0]      steps;
    assign takes_hit[k] = hit_valid_i && hit_id_i[IdW-1:CtxW] == CoreW'(k);
    assign takes_ans[k] = ans_valid_i && ans_id_i[IdW-1:CtxW] == CoreW'(k) && !takes_hit[k];
    assign c_start_ready[k] = start_core_i[k] && c_in_ready[k] && !takes_hit[k] && !takes_ans[k];
    // verilator lint_off PINCONNECTEMPTY
    tiara_core #(.Contexts(Contexts), .StoreW(StoreW), .AddrW(AddrW), .DomainW(DomainW), .TenantW(TenantW),
                 .PadW(PadW)) u_core (
      .clk_i, .rst_ni, .store_we_i(store_we_i), .store_addr_i(store_addr_i), .store_data_i(store_data_i),
      .entry_we_i(host_entry_i || (start_entry_we_i && start_core_i[k])),
      .entry_index_i(start_entry_we_i ? start_entry_index_i : EntryW'(host_index_i)),
      .entry_base_i(start_entry_we_i ? '0 : host_base_i),
      .entry_size_i(start_entry_we_i ? start_entry_size_i : host_size_i),
      .entry_permission_i(start_entry_we_i ? 3'd0 : host_permission_i),
      .entry_tenant_i(start_entry_we_i ? start_tenant_i : host_tenant_i),
      .entry_is_cacheable_i(!start_entry_we_i && host_is_cacheable_i),
      .in_valid_i(takes_hit[k] || takes_ans[k] || (start_valid_i && start_core_i[k])), .in_ready_o(c_in_ready[k]),
      .in_kind_i(takes_hit[k] ? tiara_pkg::InAnswer : takes_ans[k] ? ans_kind_i : start_kind_i),
      .in_ctx_i(takes_hit[k] ? hit_id_i[CtxW-1:0] : takes_ans[k] ? ans_id_i[CtxW-1:0] : start_ctx_i),
      .in_data_i(takes_hit[k] ? hit_data_i : takes_ans[k] ? ans_data_i : start_data_i),
      .in_fault_i(takes_ans[k] ? ans_fault_i : 4'd0), .in_reg_i(takes_ans[k] ? ans_reg_i : start_reg_i),
      .in_entry_i(start_first_i), .in_end_i(start_end_i), .in_domain_i(start_domain_i), .in_tenant_i(start_tenant_i),
      .in_steps_i(start_steps_i), .in_bytes_i(start_bytes_i),
      .req_valid_o(c_req_valid[k]), .req_ready_i(c_req_ready[k]), .req_op_o(op), .req_ctx_o(ctx), .req_addr_o(addr),
      .req_length_o(len), .req_data_o(data), .req_operand_o(operand), .req_region_o(region),
      .req_is_scatter_o(is_scatter), .req_is_cacheable_o(is_cacheable), .req_status_o(status), .req_fault_o(fault),
      .req_result_o(result), .req_is_last_o(is_last), .req_pc_o(pc), .req_steps_o(steps), .req_is_ahead_o(is_ahead),
      .trc_begin_o(), .trc_ctx_o(), .trc_pc_o(), .trc_write_o(), .trc_write_ctx_o(), .trc_write_reg_o(),
      .trc_write_data_o());
    // verilator lint_on PINCONNECTEMPTY
    assign c_bundle[k] = {op, CoreW'(k), ctx, addr, len, data, operand, region, is_scatter, is_cacheable, status, fault,
                          result, is_last, pc, steps, is_ahead};
  end
  assign hit_ready_o   = (takes_hit & c_in_ready) != '0;
  assign ans_ready_o   = (takes_ans & c_in_ready) != '0;
  assign start_ready_o = c_start_ready != '0;

  // Cores take turns.
  logic [CoreW-1:0]   turn_q, pick;
  always_comb begin
    req_valid_o = 1'b0;
    pick    = '0;
    for (int unsigned i = Cores; i > 0; i--) begin
      if (c_req_valid[(i + 32'(turn_q)) % Cores]) begin
        req_valid_o = 1'b1;
        pick    = CoreW'((i + 32'(turn_q)) % Cores);
      end
    end
    c_req_ready = '0;
    c_req_ready[pick] = req_ready_i;
  end
  assign req_o = c_bundle[pick];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)                   turn_q <= '0;
    else if (req_valid_o && req_ready_i) turn_q <= pick;
  end
endmodule
