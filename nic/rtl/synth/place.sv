// The core for place and route alone: it has about 700 ports, more than any package has pins. Inputs come from one
// shift register, which the store's data, an entry and an answer's data share, and outputs are folded, three at a
// time, into another, so that every port stands behind a flip-flop; an output's path has one exclusive-or more than
// the core's own.
module place #(
  parameter int unsigned Contexts = 2,
  parameter int unsigned StoreW   = 8,
  parameter int unsigned AddrW    = 32,
  parameter int unsigned DomainW  = 1,
  parameter int unsigned TenantW  = 4,
  parameter int unsigned PadW     = 8,
  localparam int unsigned CtxW   = $clog2(Contexts),
  localparam int unsigned PcW    = StoreW + 2,
  localparam int unsigned EntryW = 1 + ((CtxW + 2 > DomainW + 4) ? CtxW + 2 : DomainW + 4),
  localparam int unsigned InW    = 1 + StoreW + 1 + EntryW + 2*AddrW + 3 + TenantW + 1 + 1 + 2 + CtxW + 4 + 5 +
                                   StoreW + StoreW + 1 + DomainW + TenantW + 64 + 1,
  localparam int unsigned OutW   = 1 + 1 + 5 + CtxW + 64 + AddrW + 128 + 4 + 1 + 1 + 2 + 4 + 2 + 1 + PcW + 32 + 1,
  localparam int unsigned FoldW  = (OutW + 2) / 3
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic serial_i,
  output logic serial_o
);
  logic             rst_nq;
  logic [InW-1:0]   in_q;
  logic [OutW-1:0]  out;
  logic [3*FoldW-1:0] padded;
  logic [FoldW-1:0] fold_q;
  assign padded = {{(3*FoldW-OutW){1'b0}}, out};
  always_ff @(posedge clk_i) begin
    rst_nq   <= rst_ni;
    in_q     <= {in_q[InW-2:0], serial_i};
    for (int unsigned i = 0; i < FoldW; i++)
      fold_q[i] <= padded[3*i] ^ padded[3*i+1] ^ padded[3*i+2] ^ ((i == 0) ? serial_i : fold_q[(i == 0) ? 0 : i-1]);
    serial_o <= fold_q[FoldW-1];
  end

  logic               store_we, entry_we, entry_is_cacheable, in_valid, req_ready;
  logic [StoreW-1:0]  store_addr, in_entry;
  logic [63:0]        store_data, in_data;
  logic [EntryW-1:0]  entry_index;
  logic [AddrW-1:0]   entry_base, entry_size;
  logic [2:0]         entry_permission;
  logic [TenantW-1:0] entry_tenant, in_tenant;
  logic [1:0]         in_kind;
  logic [CtxW-1:0]    in_ctx;
  logic [3:0]         in_fault;
  logic [4:0]         in_reg;
  logic [StoreW:0]    in_end;
  logic [DomainW-1:0] in_domain;
  logic [31:0]        in_steps, in_bytes;
  assign store_data = in_data;
  assign in_data    = 64'({entry_base, entry_size});
  assign {store_we, store_addr, entry_we, entry_index, entry_base, entry_size, entry_permission, entry_tenant,
          entry_is_cacheable, in_valid, in_kind, in_ctx, in_fault, in_reg, in_entry, in_end, in_domain, in_tenant,
          in_steps, in_bytes, req_ready} = in_q;

  logic               in_ready, req_valid, req_is_scatter, req_is_cacheable, req_is_last, req_is_ahead;
  logic [4:0]         req_op;
  logic [CtxW-1:0]    req_ctx;
  logic [63:0]        req_addr, req_data, req_operand;
  logic [AddrW-1:0]   req_length;
  logic [3:0]         req_region, req_fault;
  logic [1:0]         req_status, req_result;
  logic [PcW-1:0]     req_pc;
  logic [31:0]        req_steps;
  assign out = {in_ready, req_valid, req_op, req_ctx, req_addr, req_length, req_data, req_operand, req_region,
                req_is_scatter, req_is_cacheable, req_status,
                req_fault, req_result, req_is_last, req_pc, req_steps, req_is_ahead};

  tiara_core #(.Contexts(Contexts), .StoreW(StoreW), .AddrW(AddrW), .DomainW(DomainW), .TenantW(TenantW), .PadW(PadW),
               .HasSplitAdd(1'b1)) u_core (
    .clk_i, .rst_ni(rst_nq), .store_we_i(store_we), .store_addr_i(store_addr), .store_data_i(store_data),
    .entry_we_i(entry_we), .entry_index_i(entry_index), .entry_base_i(entry_base), .entry_size_i(entry_size),
    .entry_permission_i(entry_permission), .entry_tenant_i(entry_tenant),
    .entry_is_cacheable_i(entry_is_cacheable), .in_valid_i(in_valid), .in_ready_o(in_ready), .in_kind_i(in_kind),
    .in_ctx_i(in_ctx), .in_data_i(in_data), .in_fault_i(in_fault),
    .in_reg_i(in_reg), .in_entry_i(in_entry), .in_end_i(in_end), .in_domain_i(in_domain), .in_tenant_i(in_tenant),
    .in_steps_i(in_steps), .in_bytes_i(in_bytes), .req_valid_o(req_valid), .req_ready_i(req_ready),
    .req_op_o(req_op), .req_ctx_o(req_ctx), .req_addr_o(req_addr), .req_length_o(req_length),
    .req_data_o(req_data), .req_operand_o(req_operand), .req_region_o(req_region),
    .req_is_scatter_o(req_is_scatter), .req_is_cacheable_o(req_is_cacheable),
    .req_status_o(req_status), .req_fault_o(req_fault),
    .req_result_o(req_result), .req_is_last_o(req_is_last), .req_pc_o(req_pc), .req_steps_o(req_steps),
    .req_is_ahead_o(req_is_ahead), .trc_begin_o(), .trc_ctx_o(), .trc_pc_o(), .trc_write_o(), .trc_write_ctx_o(),
    .trc_write_reg_o(), .trc_write_data_o());
endmodule
