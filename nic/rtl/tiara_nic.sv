// The NIC: frames of invocations come in on AXI-Stream, frames of replies go out, memory is an AXI4 slave, and the host
// has a port of its own for what only it may do: operators, regions, clients.
//
//   ingress -> front -> dispatch -> cores -> (one stream of requests) -> cache -> memory -> AXI4
//                 |                                                        |
//                 +---- refused, answered before ----+      ends -> finish -+-> egress
//
// docs/nic/rtl.md has the protocols. Host registers are below, where they are written.
module tiara_nic #(
  parameter int unsigned Cores     = 2,
  parameter int unsigned Contexts  = 8,      // of each core
  parameter int unsigned StoreW    = 12,
  parameter int unsigned AddrW     = 48,
  parameter int unsigned OperatorW = 5,      // log2 of the operators, spaces, domains
  parameter int unsigned SpaceW    = 5,
  parameter int unsigned DomainW   = 5,
  parameter int unsigned TenantW   = 8,
  parameter int unsigned ClientW   = 3,      // log2 of the clients, and of each one's window
  parameter int unsigned SlotW     = 5,
  parameter int unsigned ClassW    = 2,      // log2 of the classes that take turns
  parameter int unsigned PadW      = 12,
  parameter int unsigned IndexW    = 9,      // log2 of the table cache's words
  parameter bit          HasCache  = 1'b1,
  parameter int unsigned MulW      = 16,
  parameter bit          HasExclusive = 1'b1, // memory has exclusive accesses; else only the NIC may write to it
  localparam int unsigned AxiIdW   = 10
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  // frames in, a line a beat; not ready for one cycle behind each
  input  logic               s_tvalid_i,
  output logic               s_tready_o,
  input  logic [511:0]       s_tdata_i,
  input  logic [63:0]        s_tkeep_i,
  input  logic               s_tlast_i,
  output logic               s_has_room_o,
  // frames out
  output logic               m_tvalid_o,
  input  logic               m_tready_i,
  output logic [511:0]       m_tdata_o,
  output logic [63:0]        m_tkeep_o,
  output logic               m_tlast_o,
  // AXI4 master: single beats of 64 bytes; atomics lock (an exclusive read and write)
  output logic               ar_valid_o,
  input  logic               ar_ready_i,
  output logic [AddrW-1:0]   ar_addr_o,
  output logic [AxiIdW-1:0]  ar_id_o,
  output logic               ar_lock_o,
  input  logic               r_valid_i,
  output logic               r_ready_o,
  input  logic [AxiIdW-1:0]  r_id_i,
  input  logic [511:0]       r_data_i,
  input  logic [1:0]         r_resp_i,
  output logic               aw_valid_o,
  input  logic               aw_ready_i,
  output logic [AddrW-1:0]   aw_addr_o,
  output logic [AxiIdW-1:0]  aw_id_o,
  output logic               aw_lock_o,
  output logic               w_valid_o,
  input  logic               w_ready_i,
  output logic [511:0]       w_data_o,
  output logic [63:0]        w_strb_o,
  input  logic               b_valid_i,
  output logic               b_ready_o,
  input  logic [AxiIdW-1:0]  b_id_i,
  input  logic [1:0]         b_resp_i,
  // remote requests, for whoever reaches other nodes
  output logic               rmt_valid_o,
  output logic [4:0]         rmt_op_o,
  output logic [7:0]         rmt_slot_o,
  output logic [63:0]        rmt_addr_o,
  output logic [63:0]        rmt_host_o,
  output logic [63:0]        rmt_operand_o,
  output logic [63:0]        rmt_argument_o,
  output logic [3:0]         rmt_region_o,
  input  logic               rmt_answer_i,
  input  logic [63:0]        rmt_data_i,
  input  logic [3:0]         rmt_fault_i,
  // the host's port
  input  logic               host_we_i,
  output logic               host_ready_o,
  input  logic [7:0]         host_addr_i,
  input  logic [63:0]        host_data_i,
  output logic [63:0]        host_data_o      // of host_addr_i, in the same cycle
);
  localparam int unsigned CtxW   = $clog2(Contexts);
  localparam int unsigned CoreW  = (Cores > 1) ? $clog2(Cores) : 1;
  localparam int unsigned IdW    = CoreW + CtxW;
  localparam int unsigned SlotsW = ClientW + SlotW;
  localparam int unsigned Slots  = 1 << SlotsW;
  localparam int unsigned SeqW   = 64 - SlotW;
  localparam int unsigned PcW    = StoreW + 2;
  localparam int unsigned EntryW = 1 + ((CtxW + 2 > DomainW + 4) ? CtxW + 2 : DomainW + 4);
  localparam int unsigned InfoW  = 64 + 13 + 4 + StoreW + StoreW + 1;
  localparam int unsigned CountsW = 5 * 32 + 48;
  localparam int unsigned ContextInfoW = SlotsW + OperatorW + StoreW + 32;

  // ============================================================ the host's port
  localparam logic [7:0] HostKeyLow = 8'h00, HostKeyHigh = 8'h01, HostBegin = 8'h02, HostWord = 8'h03, HostTag = 8'h04,
    HostUnload = 8'h05, HostReclaim = 8'h06, HostEntryBase = 8'h08, HostEntrySize = 8'h09, HostEntry = 8'h0a,
    HostBind = 8'h0c, HostClientMac = 8'h10, HostClientAddress = 8'h11, HostClient = 8'h12, HostMac = 8'h14,
    HostAddress = 8'h15, HostBuffers = 8'h16, HostBounce = 8'h17, HostFlush = 8'h18;
  logic             host_goes, operators_ready, operators_refused, entry_we, sweeps_q, has_bus_error;
  logic [AddrW-1:0] entry_base_q, entry_size_q, buffers_q, bounce_q;
  logic [47:0]      mac_q, new_mac_q, new_address_q;
  logic [31:0]      ip_q;
  logic [15:0]      port_q;
  logic [OperatorW+SpaceW-1:0] sweep_q;
  assign host_ready_o = operators_ready && !entry_we && !sweeps_q;
  assign host_goes    = host_we_i && host_ready_o;
  function automatic logic is_at(logic goes, logic [7:0] address, logic [7:0] wanted);
    is_at = goes && address == wanted;
  endfunction
  always_ff @(posedge clk_i) begin
    if (is_at(host_goes, host_addr_i, HostEntryBase))     entry_base_q  <= host_data_i[AddrW-1:0];
    if (is_at(host_goes, host_addr_i, HostEntrySize))     entry_size_q  <= host_data_i[AddrW-1:0];
    if (is_at(host_goes, host_addr_i, HostClientMac))     new_mac_q     <= host_data_i[47:0];
    if (is_at(host_goes, host_addr_i, HostClientAddress)) new_address_q <= host_data_i[47:0];
    if (is_at(host_goes, host_addr_i, HostMac))           mac_q         <= host_data_i[47:0];
    if (is_at(host_goes, host_addr_i, HostAddress))       {port_q, ip_q} <= host_data_i[47:0];
    if (is_at(host_goes, host_addr_i, HostBuffers))       buffers_q     <= host_data_i[AddrW-1:0];
    if (is_at(host_goes, host_addr_i, HostBounce))        bounce_q      <= host_data_i[AddrW-1:0];
  end

  // Which domain an operator works on in a space: none until the host says so.
  logic [DomainW:0] bindings_q [0:(1<<(OperatorW+SpaceW))-1];
  logic [DomainW:0] binding_q;
  logic [OperatorW-1:0] check_operator;
  logic [SpaceW-1:0]    check_space;
  logic             binds;
  assign binds = is_at(host_goes, host_addr_i, HostBind);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      sweeps_q <= 1'b1;
      sweep_q  <= '0;
    end else if (sweeps_q) begin
      sweep_q  <= sweep_q + 1'b1;
      sweeps_q <= sweep_q != '1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (sweeps_q)   bindings_q[sweep_q] <= '0;
    else if (binds) bindings_q[{host_data_i[0 +: OperatorW], host_data_i[8 +: SpaceW]}] <=
                        {host_data_i[24], host_data_i[16 +: DomainW]};
    binding_q <= bindings_q[{check_operator, check_space}];
  end

  // Clients.
  localparam int unsigned ClientBits = 48 + 48 + TenantW + ClassW;
  logic [ClientBits-1:0]  clients_q [0:(1<<ClientW)-1];
  logic [ClientBits-1:0]  front_row, egress_row;
  logic [(1<<ClientW)-1:0] is_open_q, is_busy;
  logic [ClientW-1:0]     front_client, egress_client, host_client;
  logic                   client_goes, client_opens;
  logic [Slots-1:0]       is_running_q, is_done_q, is_sending;
  assign host_client  = host_data_i[ClientW-1:0];
  assign client_goes  = is_at(host_goes, host_addr_i, HostClient);
  assign client_opens = client_goes && host_data_i[8] && !is_busy[host_client];  // closed first, then idle, then anew
  always_comb begin
    for (int unsigned i = 0; i < (1 << ClientW); i++)
      is_busy[i] = (is_running_q[i*(1<<SlotW) +: (1<<SlotW)] | is_sending[i*(1<<SlotW) +: (1<<SlotW)]) != '0;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)          is_open_q <= '0;
    else if (client_goes) is_open_q[host_client] <= client_opens;
  end
  always_ff @(posedge clk_i) begin
    if (client_opens) clients_q[host_client] <= {host_data_i[12 +: ClassW], host_data_i[16 +: TenantW], new_address_q,
                                                 new_mac_q};
  end
  assign front_row  = clients_q[front_client];
  assign egress_row = clients_q[egress_client];

  // ============================================================ frames in
  logic         frame_valid, frame_done, drop_full, drop_foreign, drop_length, drop_checksum;
  logic [12:0]  frame_bytes;
  logic [6:0]   line_index;
  logic [511:0] line;
  tiara_ingress u_ingress (
    .clk_i, .rst_ni, .mac_i(mac_q), .ip_i(ip_q), .port_i(port_q), .s_tvalid_i, .s_tready_o, .s_tdata_i, .s_tkeep_i,
    .s_tlast_i, .has_room_o(s_has_room_o), .frame_valid_o(frame_valid), .frame_bytes_o(frame_bytes),
    .line_index_i(line_index), .line_o(line), .frame_done_i(frame_done), .drop_full_o(drop_full),
    .drop_foreign_o(drop_foreign), .drop_length_o(drop_length), .drop_checksum_o(drop_checksum));

  logic              operator_is_valid, renew, keep, keep_half, run, refuse_valid, refuse_ready, replay_valid;
  logic              replay_ready, drop_malformed, drop_client, drop_duplicate, drop_stale;
  logic              f_valid, f_ready, f_done;
  logic [3:0]        operator_arguments, refusal;
  logic [2:0]        check_argument;
  logic [191:0]      contract;
  logic [SlotsW-1:0] front_slot;
  logic [511:0]      keep_line, f_data;
  logic [SeqW-1:0]   front_sequence;
  logic [AddrW-1:0]  f_addr;
  logic [63:0]       f_strobe;
  logic [DomainW-1:0] run_domain;
  tiara_front #(.AddrW(AddrW), .ClientW(ClientW), .SlotW(SlotW), .OperatorW(OperatorW), .SpaceW(SpaceW),
                .DomainW(DomainW), .TenantW(TenantW), .MulW(MulW)) u_front (
    .clk_i, .rst_ni, .buffers_i(buffers_q), .frame_valid_i(frame_valid), .frame_bytes_i(frame_bytes),
    .line_index_o(line_index), .line_i(line), .frame_done_o(frame_done), .client_o(front_client),
    .client_is_open_i(is_open_q[front_client]), .client_ip_i(front_row[48 +: 32]), .client_port_i(front_row[80 +: 16]),
    .client_tenant_i(front_row[96 +: TenantW]), .forget_i(client_opens), .forget_client_i(host_client),
    .operator_o(check_operator), .operator_is_valid_i(operator_is_valid), .operator_arguments_i(operator_arguments),
    .argument_o(check_argument), .contract_i(contract), .space_o(check_space),
    .binding_is_valid_i(binding_q[DomainW]), .binding_domain_i(binding_q[DomainW-1:0]),
    .is_running_i(is_running_q), .is_done_i(is_done_q), .is_sending_i(is_sending), .renew_o(renew),
    .slot_o(front_slot), .keep_o(keep), .keep_half_o(keep_half), .keep_line_o(keep_line),
    .sequence_o(front_sequence), .write_valid_o(f_valid), .write_ready_i(f_ready), .write_addr_o(f_addr),
    .write_data_o(f_data), .write_strobe_o(f_strobe), .written_i(f_done), .run_o(run), .domain_o(run_domain),
    .refuse_valid_o(refuse_valid), .refuse_ready_i(refuse_ready), .refusal_o(refusal),
    .replay_valid_o(replay_valid), .replay_ready_i(replay_ready), .drop_malformed_o(drop_malformed),
    .drop_client_o(drop_client), .drop_duplicate_o(drop_duplicate), .drop_stale_o(drop_stale));

  // Invocations and replies of the slots, two lines each; who asked.
  (* no_rw_check, ram_style = "block" *) logic [511:0] kept_q [0:(2*Slots)-1];
  (* no_rw_check, ram_style = "block" *) logic [511:0] replies_q [0:(2*Slots)-1];
  logic [SeqW+95:0]  identity_q [0:Slots-1];
  logic [SeqW+95:0]  finish_identity, egress_identity;
  logic [SlotsW:0]   kept_index, reply_index;
  logic [511:0]      kept_line, reply_line, reply_new;
  logic              reply_we, reply_half, done, free;
  logic [SlotsW-1:0] done_slot, egress_slot;
  always_ff @(posedge clk_i) begin
    if (keep) kept_q[{front_slot, keep_half}] <= keep_line;
    if (keep && !keep_half) identity_q[front_slot] <= {front_sequence, keep_line[8*16 +: 32], keep_line[8*8 +: 64]};
    if (reply_we) replies_q[{done_slot, reply_half}] <= reply_new;
    kept_line  <= kept_q[kept_index];
    reply_line <= replies_q[reply_index];
  end
  assign finish_identity = identity_q[done_slot];
  assign egress_identity = identity_q[egress_slot];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      is_running_q <= '0;
      is_done_q    <= '0;
    end else begin
      // A refusal too is under way until its reply is made.
      if (run || (refuse_valid && refuse_ready)) is_running_q[front_slot] <= 1'b1;
      if (renew) is_done_q[front_slot] <= 1'b0;
      if (done) begin
        is_running_q[done_slot] <= 1'b0;
        is_done_q[done_slot]    <= 1'b1;
      end
    end
  end

  // ============================================================ operators, dispatch
  logic                 store_we, give, clear, core_entry_we, start_valid, start_ready;
  logic [StoreW-1:0]    store_addr;
  logic [63:0]          store_data, start_data;
  logic [OperatorW-1:0] start_operator, give_operator;
  logic [InfoW-1:0]     start_info;
  logic [Cores-1:0]     start_core;
  logic [EntryW-1:0]    start_entry_index;
  logic [AddrW-1:0]     start_entry_size;
  logic [TenantW-1:0]   start_tenant;
  logic [1:0]           start_kind;
  logic [CtxW-1:0]      start_ctx;
  logic [4:0]           start_reg;
  logic [StoreW-1:0]    start_first;
  logic [StoreW:0]      start_end;
  logic [DomainW-1:0]   start_domain;
  logic [31:0]          start_steps, start_bytes;
  logic [IdW-1:0]       clear_id, free_id, end_look, mem_look;
  logic [ContextInfoW-1:0] end_info, mem_info;
  tiara_operators #(.StoreW(StoreW), .OperatorW(OperatorW), .UseW(SlotsW + 1)) u_operators (
    .clk_i, .rst_ni, .key_we_i(is_at(host_goes, host_addr_i, HostKeyLow) || is_at(host_goes, host_addr_i, HostKeyHigh)),
    .key_index_i(host_addr_i[0]), .begin_i(is_at(host_goes, host_addr_i, HostBegin)),
    .word_i(is_at(host_goes, host_addr_i, HostWord)), .tag_i(is_at(host_goes, host_addr_i, HostTag)),
    .unload_i(is_at(host_goes, host_addr_i, HostUnload)), .reclaim_i(is_at(host_goes, host_addr_i, HostReclaim)),
    .data_i(host_data_i), .ready_o(operators_ready), .is_refused_o(operators_refused), .store_we_o(store_we),
    .store_addr_o(store_addr), .store_data_o(store_data), .check_operator_i(check_operator),
    .check_is_valid_o(operator_is_valid), .check_arguments_o(operator_arguments), .check_argument_i(check_argument),
    .check_contract_o(contract), .start_operator_i(start_operator), .start_info_o(start_info), .take_i(run),
    .take_operator_i(check_operator), .give_i(give), .give_operator_i(give_operator));

  tiara_dispatch #(.Cores(Cores), .Contexts(Contexts), .StoreW(StoreW), .AddrW(AddrW), .OperatorW(OperatorW),
                   .DomainW(DomainW), .TenantW(TenantW), .SlotsW(SlotsW), .ClassW(ClassW)) u_dispatch (
    .clk_i, .rst_ni, .push_i(run), .push_slot_i(front_slot), .push_class_i(front_row[96+TenantW +: ClassW]),
    .push_operator_i(check_operator), .push_domain_i(run_domain), .push_tenant_i(front_row[96 +: TenantW]),
    .kept_index_o(kept_index), .kept_line_i(kept_line), .operator_o(start_operator), .info_i(start_info),
    .entry_we_o(core_entry_we), .start_core_o(start_core), .entry_index_o(start_entry_index),
    .entry_size_o(start_entry_size), .tenant_o(start_tenant), .start_valid_o(start_valid),
    .start_ready_i(start_ready), .start_kind_o(start_kind), .start_ctx_o(start_ctx), .start_data_o(start_data),
    .start_reg_o(start_reg), .start_first_o(start_first), .start_end_o(start_end), .start_domain_o(start_domain),
    .start_steps_o(start_steps), .start_bytes_o(start_bytes), .clear_o(clear), .clear_id_o(clear_id),
    .free_i(free), .free_id_i(free_id), .look_a_i(end_look), .look_a_o(end_info), .look_b_i(mem_look),
    .look_b_o(mem_info));
  assign entry_we = core_entry_we;
  assign give     = free;

  // ============================================================ cores, and one stream of their requests
  localparam int unsigned BundleW = 5 + IdW + 64 + AddrW + 128 + 4 + 1 + 1 + 2 + 4 + 2 + 1 + PcW + 32 + 1;
  logic               ans_valid, ans_ready, hit_valid, hit_ready, any_req, req_ready;
  logic [1:0]         ans_kind;
  logic [IdW-1:0]     ans_id, hit_id;
  logic [63:0]        ans_data, hit_data;
  logic [3:0]         ans_fault;
  logic [4:0]         ans_reg;
  logic [BundleW-1:0] bundle, bundle_q;
  tiara_cores #(.Cores(Cores), .Contexts(Contexts), .StoreW(StoreW), .AddrW(AddrW), .DomainW(DomainW),
                .TenantW(TenantW), .PadW(PadW)) u_cores (
    .clk_i, .rst_ni, .store_we_i(store_we), .store_addr_i(store_addr), .store_data_i(store_data),
    .host_entry_i(is_at(host_goes, host_addr_i, HostEntry)), .host_index_i(host_data_i[DomainW+3:0]),
    .host_base_i(entry_base_q), .host_size_i(entry_size_q), .host_permission_i(host_data_i[18:16]),
    .host_tenant_i(host_data_i[24 +: TenantW]), .host_is_cacheable_i(host_data_i[19]), .start_core_i(start_core),
    .start_entry_we_i(core_entry_we), .start_entry_index_i(start_entry_index), .start_entry_size_i(start_entry_size),
    .start_tenant_i(start_tenant), .start_valid_i(start_valid), .start_ready_o(start_ready),
    .start_kind_i(start_kind), .start_ctx_i(start_ctx), .start_data_i(start_data), .start_reg_i(start_reg),
    .start_first_i(start_first), .start_end_i(start_end), .start_domain_i(start_domain),
    .start_steps_i(start_steps), .start_bytes_i(start_bytes), .hit_valid_i(hit_valid), .hit_ready_o(hit_ready),
    .hit_id_i(hit_id), .hit_data_i(hit_data), .ans_valid_i(ans_valid), .ans_ready_o(ans_ready),
    .ans_kind_i(ans_kind), .ans_id_i(ans_id), .ans_data_i(ans_data), .ans_fault_i(ans_fault), .ans_reg_i(ans_reg),
    .req_valid_o(any_req), .req_ready_i(req_ready), .req_o(bundle));

  // ------------------------------------------------------------ the table cache, one for all cores
  logic [4:0]       n_op, q_op;
  logic [IdW-1:0]   n_id, q_id;
  logic [63:0]      n_addr, q_addr, q_data, q_operand;
  logic [AddrW-1:0] n_length, q_length;
  logic             n_is_scatter, n_is_cacheable, q_is_scatter, q_is_cacheable, q_is_last, q_is_ahead;
  logic             n_is_word, n_is_write, n_is_bulk, n_is_atomic, q_valid, q_ready, q_is_end, is_moving;
  logic [3:0]       q_region, q_fault;
  logic [1:0]       q_status, q_result;
  logic [PcW-1:0]   q_pc;
  logic [31:0]      q_steps;
  assign {n_op, n_id, n_addr, n_length} = bundle[BundleW-1 -: 5+IdW+64+AddrW];
  assign {n_is_scatter, n_is_cacheable} = bundle[2+4+2+1+PcW+32+1 +: 2];
  assign {q_op, q_id, q_addr, q_length, q_data, q_operand, q_region, q_is_scatter, q_is_cacheable, q_status, q_fault,
          q_result, q_is_last, q_pc, q_steps, q_is_ahead} = bundle_q;
  assign n_is_word   = n_op == tiara_pkg::OpLoad && n_is_cacheable && n_length == AddrW'(8) && n_addr[2:0] == 3'd0;
  assign n_is_atomic = n_op == tiara_pkg::OpCas || n_op == tiara_pkg::OpFaa || n_op == tiara_pkg::OpSwp;
  assign n_is_write  = n_is_atomic ||
                       (n_op == tiara_pkg::OpStore && n_length[3:0] + {1'b0, n_addr[2:0]} <= 4'd8);
  assign n_is_bulk   = (n_op == tiara_pkg::OpStore && !n_is_write) || n_op == tiara_pkg::OpScatter ||
                       n_op == tiara_pkg::OpFill || n_op == tiara_pkg::OpCopyTo ||
                       (n_op == tiara_pkg::OpElement && n_is_scatter);
  tiara_cache #(.Contexts(1 << IdW), .AddrW(AddrW), .IndexW(IndexW), .HasCache(HasCache)) u_cache (
    .clk_i, .rst_ni, .flush_i(is_at(host_goes, host_addr_i, HostFlush)), .is_moving_i(is_moving),
    .req_valid_i(any_req), .req_ready_o(req_ready), .req_ctx_i(n_id), .req_addr_i(n_addr[AddrW-1:0]),
    .req_is_word_i(n_is_word), .req_is_write_i(n_is_write), .req_is_bulk_i(n_is_bulk),
    .req_is_end_i(n_op >= tiara_pkg::OpEndOk), .mem_valid_o(q_valid), .mem_ready_i(q_ready),
    .ans_valid_i(ans_valid && ans_ready && ans_kind == tiara_pkg::InAnswer), .ans_ctx_i(ans_id),
    .ans_data_i(ans_data), .ans_is_fault_i(ans_fault != 4'd0),
    .hit_valid_o(hit_valid), .hit_ready_i(hit_ready), .hit_ctx_o(hit_id), .hit_data_o(hit_data));
  always_ff @(posedge clk_i) if (req_ready) bundle_q <= bundle;
  assign q_is_end = q_op >= tiara_pkg::OpEndOk;

  // ============================================================ memory, ends
  logic               mem_ready, end_ready, rd_valid, rd_ready, rd_line_ready, mrd_valid, mrd_ready;
  logic               wr_valid, wr_ready, wr_is_fill, wr_done_ready, mwr_valid, mwr_ready, mwr_done_ready;
  logic [AddrW-1:0]   rd_addr, mrd_addr, wr_addr, mwr_addr;
  logic [IdW-1:0]     rd_id, wr_id, rmt_id;
  logic [7:0]         mrd_tag;
  logic [511:0]       wr_data, mwr_data;
  logic [63:0]        wr_strobe, mwr_strobe;
  logic [CountsW-1:0] counts;
  logic [31:0]        reply_bytes;
  logic               core_line, mover_line, packet_line, core_done, fill_done, mover_done;
  logic               rd_is_exclusive, wr_is_exclusive, core_done_is_okay;
  assign q_ready = q_is_end ? end_ready : mem_ready;
  assign mem_look = q_id;
  tiara_memory #(.AddrW(AddrW), .IdW(IdW), .SlotsW(SlotsW), .HasExclusive(HasExclusive)) u_memory (
    .clk_i, .rst_ni, .buffers_i(buffers_q), .bounce_i(bounce_q), .req_valid_i(q_valid && !q_is_end),
    .req_ready_o(mem_ready), .req_op_i(q_op), .req_id_i(q_id), .req_addr_i(q_addr), .req_length_i(q_length),
    .req_data_i(q_data), .req_operand_i(q_operand), .req_region_i(q_region), .req_is_scatter_i(q_is_scatter),
    .req_slot_i(mem_info[ContextInfoW-1 -: SlotsW]), .is_moving_o(is_moving), .ans_valid_o(ans_valid),
    .ans_ready_i(ans_ready), .ans_kind_o(ans_kind), .ans_id_o(ans_id), .ans_data_o(ans_data),
    .ans_fault_o(ans_fault), .ans_reg_o(ans_reg), .clear_i(clear), .clear_id_i(clear_id),
    .hit_i(hit_valid && hit_ready), .hit_id_i(hit_id), .counts_id_i(q_id), .counts_o(counts),
    .reply_bytes_o(reply_bytes), .rmt_valid_o, .rmt_op_o, .rmt_id_o(rmt_id), .rmt_addr_o, .rmt_host_o,
    .rmt_operand_o, .rmt_argument_o, .rmt_region_o, .rmt_answer_i, .rmt_data_i, .rmt_fault_i,
    .rd_valid_o(rd_valid), .rd_ready_i(rd_ready), .rd_addr_o(rd_addr), .rd_id_o(rd_id),
    .rd_is_exclusive_o(rd_is_exclusive), .wr_is_exclusive_o(wr_is_exclusive), .wr_done_is_okay_i(core_done_is_okay),
    .rd_line_valid_i(core_line), .rd_line_ready_o(rd_line_ready),
    .rd_line_id_i(r_id_i[IdW-1:0]), .rd_line_i(r_data_i),
    .mrd_valid_o(mrd_valid), .mrd_ready_i(mrd_ready), .mrd_addr_o(mrd_addr), .mrd_tag_o(mrd_tag),
    .mrd_line_valid_i(mover_line), .mrd_line_tag_i(r_id_i[7:0]),
    .wr_valid_o(wr_valid), .wr_ready_i(wr_ready), .wr_addr_o(wr_addr), .wr_data_o(wr_data), .wr_strobe_o(wr_strobe),
    .wr_id_o(wr_id), .wr_is_fill_o(wr_is_fill), .wr_done_valid_i(core_done),
    .wr_done_ready_o(wr_done_ready), .wr_done_id_i(b_id_i[IdW-1:0]), .fill_done_i(fill_done),
    .mwr_valid_o(mwr_valid), .mwr_ready_i(mwr_ready), .mwr_addr_o(mwr_addr), .mwr_data_o(mwr_data),
    .mwr_strobe_o(mwr_strobe), .mwr_done_valid_i(mover_done),
    .mwr_done_ready_o(mwr_done_ready));

  // The remote port names the slot: the host knows from it whose request that is.
  logic [SlotsW-1:0] rmt_slot_q;
  always_ff @(posedge clk_i) begin
    if (q_valid && q_ready && !q_is_end && !rmt_valid_o) rmt_slot_q <= mem_info[ContextInfoW-1 -: SlotsW];
  end
  assign rmt_slot_o = 8'(rmt_slot_q);

  tiara_finish #(.IdW(IdW), .StoreW(StoreW), .OperatorW(OperatorW), .SlotsW(SlotsW), .MulW(MulW)) u_finish (
    .clk_i, .rst_ni, .end_valid_i(q_valid && q_is_end), .end_ready_o(end_ready), .end_id_i(q_id),
    .end_status_i(q_status), .end_fault_i(q_fault), .end_result_i(q_result), .end_is_last_i(q_is_last),
    .end_code_i(q_length[31:0]), .end_data_i(q_data), .end_pc_i(q_pc), .end_steps_i(q_steps),
    .end_is_ahead_i(q_is_ahead), .look_o(end_look), .look_i(end_info), .counts_i(counts),
    .reply_bytes_i(reply_bytes), .refuse_valid_i(refuse_valid), .refuse_ready_o(refuse_ready),
    .refuse_slot_i(front_slot), .refusal_i(refusal), .slot_o(done_slot), .identity_i(finish_identity[95:0]),
    .reply_we_o(reply_we), .reply_half_o(reply_half), .reply_line_o(reply_new), .done_o(done), .free_o(free),
    .free_id_o(free_id), .free_operator_o(give_operator));

  // ============================================================ frames out
  logic             e_valid, e_ready, m_valid, sent;
  logic [AddrW-1:0] e_addr;
  logic [5:0]       e_tag;
  tiara_egress #(.AddrW(AddrW), .ClientW(ClientW), .SlotW(SlotW)) u_egress (
    .clk_i, .rst_ni, .mac_i(mac_q), .ip_i(ip_q), .port_i(port_q), .buffers_i(buffers_q), .push_i(done),
    .push_slot_i(done_slot), .replay_valid_i(replay_valid), .replay_ready_o(replay_ready), .replay_slot_i(front_slot),
    .is_sending_o(is_sending), .client_o(egress_client), .client_mac_i(egress_row[47:0]),
    .client_ip_i(egress_row[48 +: 32]), .client_port_i(egress_row[80 +: 16]), .slot_o(egress_slot),
    .sequence_i(egress_identity[SeqW+95:96]), .reply_index_o(reply_index), .reply_line_i(reply_line),
    .read_valid_o(e_valid), .read_ready_i(e_ready), .read_addr_o(e_addr), .read_tag_o(e_tag),
    .line_valid_i(packet_line), .line_tag_i(r_id_i[5:0]), .line_data_i(r_data_i),
    .m_tvalid_o(m_valid), .m_tready_i(m_tready_i && !has_bus_error), .m_tdata_o, .m_tkeep_o, .m_tlast_o,
    .sent_o(sent));
  // What memory refused was not ours to ask for, or memory is broken: nothing leaves any more.
  assign m_tvalid_o = m_valid && !has_bus_error;

  // ============================================================ the bus
  tiara_bus #(.AddrW(AddrW), .IdW(IdW), .TagW(6)) u_bus (
    .clk_i, .rst_ni, .core_rd_valid_i(rd_valid), .core_rd_ready_o(rd_ready), .core_rd_addr_i(rd_addr),
    .core_rd_id_i(rd_id), .core_rd_is_exclusive_i(rd_is_exclusive), .core_wr_is_exclusive_i(wr_is_exclusive),
    .core_done_is_okay_o(core_done_is_okay), .mover_rd_valid_i(mrd_valid), .mover_rd_ready_o(mrd_ready),
    .mover_rd_addr_i(mrd_addr), .mover_rd_tag_i(mrd_tag), .packet_rd_valid_i(e_valid), .packet_rd_ready_o(e_ready),
    .packet_rd_addr_i(e_addr), .packet_rd_tag_i(e_tag), .core_line_o(core_line), .core_line_ready_i(rd_line_ready),
    .mover_line_o(mover_line), .packet_line_o(packet_line), .core_wr_valid_i(wr_valid), .core_wr_ready_o(wr_ready),
    .core_wr_addr_i(wr_addr), .core_wr_data_i(wr_data), .core_wr_strobe_i(wr_strobe), .core_wr_id_i(wr_id),
    .core_wr_is_fill_i(wr_is_fill), .mover_wr_valid_i(mwr_valid), .mover_wr_ready_o(mwr_ready),
    .mover_wr_addr_i(mwr_addr), .mover_wr_data_i(mwr_data), .mover_wr_strobe_i(mwr_strobe),
    .packet_wr_valid_i(f_valid), .packet_wr_ready_o(f_ready), .packet_wr_addr_i(f_addr), .packet_wr_data_i(f_data),
    .packet_wr_strobe_i(f_strobe), .core_done_o(core_done), .core_done_ready_i(wr_done_ready), .fill_done_o(fill_done),
    .mover_done_o(mover_done), .mover_done_ready_i(mwr_done_ready), .packet_done_o(f_done),
    .has_error_o(has_bus_error), .ar_valid_o, .ar_ready_i, .ar_addr_o, .ar_id_o, .ar_lock_o, .r_valid_i, .r_ready_o,
    .r_id_i, .r_resp_i, .aw_valid_o, .aw_ready_i, .aw_addr_o, .aw_id_o, .aw_lock_o, .w_valid_o, .w_ready_i, .w_data_o,
    .w_strb_o, .b_valid_i, .b_ready_o, .b_id_i, .b_resp_i);

  // ============================================================ figures, as the host reads them
  localparam int unsigned Figures = 14;
  logic [Figures-1:0] events;
  logic [31:0]        figures_q [0:Figures-1];
  assign events = {hit_valid && hit_ready, free, sent, drop_checksum, drop_length, drop_foreign, drop_full, drop_client,
                   drop_malformed, drop_stale, drop_duplicate, replay_valid && replay_ready,
                   refuse_valid && refuse_ready, run};
  for (genvar n = 0; n < Figures; n++) begin : gen_figures
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni)        figures_q[n] <= '0;
      else if (events[n]) figures_q[n] <= figures_q[n] + 1'b1;
    end
  end
  always_comb begin
    host_data_o = '0;
    if (host_addr_i == 8'h00) host_data_o = {60'd0, frame_valid, has_bus_error, operators_refused, host_ready_o};
    if (host_addr_i == 8'h01) host_data_o = 64'(is_busy);
    if (host_addr_i[7:4] == 4'h1 && host_addr_i[3:0] < 4'(Figures)) host_data_o = {32'd0, figures_q[host_addr_i[3:0]]};
  end
endmodule
