// A core with the table cache between it and memory: the core's own ports, and the host's flush.
module tiara_cached #(
  parameter int unsigned Contexts = 64,
  parameter int unsigned StoreW   = 12,
  parameter int unsigned AddrW    = 48,
  parameter int unsigned DomainW  = 4,
  parameter int unsigned TenantW  = 8,
  parameter int unsigned PadW     = 12,
  parameter int unsigned IndexW   = 9,
  parameter bit          HasCache = 1'b1,
  localparam int unsigned CtxW   = $clog2(Contexts),
  localparam int unsigned PcW    = StoreW + 2,
  localparam int unsigned EntryW = 1 + ((CtxW + 2 > DomainW + 4) ? CtxW + 2 : DomainW + 4)
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               flush_i,        // the host has written memory by itself
  input  logic               is_moving_i,    // a bulk write that was taken is not complete yet
  input  logic               store_we_i,
  input  logic [StoreW-1:0]  store_addr_i,
  input  logic [63:0]        store_data_i,
  input  logic               entry_we_i,
  input  logic [EntryW-1:0]  entry_index_i,
  input  logic [AddrW-1:0]   entry_base_i,
  input  logic [AddrW-1:0]   entry_size_i,
  input  logic [2:0]         entry_permission_i,
  input  logic [TenantW-1:0] entry_tenant_i,
  input  logic               entry_is_cacheable_i,
  input  logic               in_valid_i,
  output logic               in_ready_o,
  input  logic [1:0]         in_kind_i,
  input  logic [CtxW-1:0]    in_ctx_i,
  input  logic [63:0]        in_data_i,
  input  logic [3:0]         in_fault_i,
  input  logic [4:0]         in_reg_i,
  input  logic [StoreW-1:0]  in_entry_i,
  input  logic [StoreW:0]    in_end_i,
  input  logic [DomainW-1:0] in_domain_i,
  input  logic [TenantW-1:0] in_tenant_i,
  input  logic [31:0]        in_steps_i,
  input  logic [31:0]        in_bytes_i,
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
  output logic               req_is_cacheable_o,
  output logic [1:0]         req_status_o,
  output logic [3:0]         req_fault_o,
  output logic [1:0]         req_result_o,
  output logic               req_is_last_o,
  output logic [PcW-1:0]     req_pc_o,
  output logic [31:0]        req_steps_o,
  output logic               req_is_ahead_o,
  output logic               hit_o,           // a load was answered here
  output logic [CtxW-1:0]    hit_ctx_o,
  output logic               trc_begin_o,
  output logic [CtxW-1:0]    trc_ctx_o,
  output logic [PcW-1:0]     trc_pc_o,
  output logic               trc_write_o,
  output logic [CtxW-1:0]    trc_write_ctx_o,
  output logic [4:0]         trc_write_reg_o,
  output logic [63:0]        trc_write_data_o
);
  localparam int unsigned BundleW = 5 + CtxW + 64 + AddrW + 128 + 4 + 1 + 1 + 2 + 4 + 2 + 1 + PcW + 32 + 1;
  logic               c_valid, c_ready, c_in_valid, c_in_ready, hit_valid, c_is_scatter, c_is_cacheable, c_is_last;
  logic               c_is_ahead, is_word, is_write, is_bulk, is_small;
  logic [1:0]         c_in_kind, c_status, c_result;
  logic [CtxW-1:0]    c_in_ctx, c_ctx, hit_ctx;
  logic [63:0]        c_in_data, hit_data, c_addr, c_data, c_operand;
  logic [3:0]         c_in_fault, c_region, c_fault;
  logic [4:0]         c_op;
  logic [AddrW-1:0]   c_length;
  logic [PcW-1:0]     c_pc;
  logic [31:0]        c_steps;
  logic [BundleW-1:0] bundle_q;

  tiara_core #(.Contexts(Contexts), .StoreW(StoreW), .AddrW(AddrW), .DomainW(DomainW), .TenantW(TenantW),
               .PadW(PadW)) u_core (
    .clk_i, .rst_ni, .store_we_i, .store_addr_i, .store_data_i, .entry_we_i, .entry_index_i, .entry_base_i,
    .entry_size_i, .entry_permission_i, .entry_tenant_i, .entry_is_cacheable_i,
    .in_valid_i(c_in_valid), .in_ready_o(c_in_ready), .in_kind_i(c_in_kind), .in_ctx_i(c_in_ctx),
    .in_data_i(c_in_data), .in_fault_i(c_in_fault), .in_reg_i, .in_entry_i, .in_end_i, .in_domain_i, .in_tenant_i,
    .in_steps_i, .in_bytes_i,
    .req_valid_o(c_valid), .req_ready_i(c_ready), .req_op_o(c_op), .req_ctx_o(c_ctx), .req_addr_o(c_addr),
    .req_length_o(c_length), .req_data_o(c_data), .req_operand_o(c_operand), .req_region_o(c_region),
    .req_is_scatter_o(c_is_scatter), .req_is_cacheable_o(c_is_cacheable), .req_status_o(c_status),
    .req_fault_o(c_fault), .req_result_o(c_result), .req_is_last_o(c_is_last), .req_pc_o(c_pc),
    .req_steps_o(c_steps), .req_is_ahead_o(c_is_ahead),
    .trc_begin_o, .trc_ctx_o, .trc_pc_o, .trc_write_o, .trc_write_ctx_o, .trc_write_reg_o, .trc_write_data_o);

  assign is_word  = c_op == tiara_pkg::OpLoad && c_is_cacheable && c_length == AddrW'(8) && c_addr[2:0] == 3'd0;
  // Atomics are aligned; a store that lies in two words counts as many bytes.
  assign is_small = c_op == tiara_pkg::OpCas || c_op == tiara_pkg::OpFaa || c_op == tiara_pkg::OpSwp;
  assign is_write = is_small || (c_op == tiara_pkg::OpStore && c_length[3:0] + {1'b0, c_addr[2:0]} <= 4'd8);
  assign is_bulk  = (c_op == tiara_pkg::OpStore && !is_write) || c_op == tiara_pkg::OpScatter ||
                    c_op == tiara_pkg::OpFill || c_op == tiara_pkg::OpCopyTo ||
                    (c_op == tiara_pkg::OpElement && c_is_scatter);

  tiara_cache #(.Contexts(Contexts), .AddrW(AddrW), .IndexW(IndexW), .HasCache(HasCache)) u_cache (
    .clk_i, .rst_ni, .flush_i, .is_moving_i,
    .req_valid_i(c_valid), .req_ready_o(c_ready), .req_ctx_i(c_ctx), .req_addr_i(c_addr[AddrW-1:0]),
    .req_is_word_i(is_word), .req_is_write_i(is_write), .req_is_bulk_i(is_bulk),
    .req_is_end_i(c_op >= tiara_pkg::OpEndOk),
    .mem_valid_o(req_valid_o), .mem_ready_i(req_ready_i),
    .ans_valid_i(in_valid_i && in_ready_o && in_kind_i == tiara_pkg::InAnswer), .ans_ctx_i(in_ctx_i),
    .ans_data_i(in_data_i), .ans_is_fault_i(in_fault_i != 4'd0),
    .hit_valid_o(hit_valid), .hit_ready_i(c_in_ready), .hit_ctx_o(hit_ctx), .hit_data_o(hit_data));

  always_ff @(posedge clk_i) begin
    if (c_ready)
      bundle_q <= {c_op, c_ctx, c_addr, c_length, c_data, c_operand, c_region, c_is_scatter, c_is_cacheable, c_status,
                   c_fault, c_result, c_is_last, c_pc, c_steps, c_is_ahead};
  end
  assign {req_op_o, req_ctx_o, req_addr_o, req_length_o, req_data_o, req_operand_o, req_region_o, req_is_scatter_o,
          req_is_cacheable_o, req_status_o, req_fault_o, req_result_o, req_is_last_o, req_pc_o, req_steps_o,
          req_is_ahead_o} = bundle_q;

  // What the cache answers goes first: the context that asked is one of few, and the core takes an answer soon.
  assign c_in_valid = hit_valid || in_valid_i;
  assign c_in_kind  = hit_valid ? tiara_pkg::InAnswer : in_kind_i;
  assign c_in_ctx   = hit_valid ? hit_ctx : in_ctx_i;
  assign c_in_data  = hit_valid ? hit_data : in_data_i;
  assign c_in_fault = hit_valid ? 4'd0 : in_fault_i;
  assign in_ready_o = c_in_ready && !hit_valid;
  assign hit_o      = hit_valid && c_in_ready;
  assign hit_ctx_o  = hit_ctx;
endmodule
