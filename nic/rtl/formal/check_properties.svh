// Properties of tiara_check, included into it under TIARA_PROPERTIES. What a request was made of goes beside it.
  logic              f1_has_entry_q, f2_has_entry_q, f1_permitted_q, f2_permitted_q;
  logic [63:0]       f1_offset_q, f2_offset_q, f1_length_q, f2_length_q;
  logic [AddrW-1:0]  f1_base_q, f2_base_q, f1_size_q, f2_size_q;
  logic [TenantW-1:0] f1_tenant_q, f2_tenant_q, f1_owner_q, f2_owner_q;
  logic [CtxW-1:0]   f1_ctx_q, f2_ctx_q;
  logic              f1_is_8_q, f2_is_8_q, f1_is_64_q, f2_is_64_q, f2_is_charged_q;
  logic              f1_is_posted_q, f2_is_posted_q;
  logic [31:0]       f1_budget_q, f2_budget_q;
  logic f_runs_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) f_runs_q <= 1'b0;
    else         f_runs_q <= 1'b1;
  end
  always_ff @(posedge clk_i) begin
    if (ready_o) begin
      f1_has_entry_q <= has_entry_i;
      f1_permitted_q <= (permission_i & ~entry_permission_i) == '0;
      f1_offset_q    <= offset_i;
      f1_length_q    <= length_i;
      f1_base_q      <= entry_base_i;
      f1_size_q      <= entry_size_i;
      f1_tenant_q    <= tenant_i;
      f1_owner_q     <= entry_tenant_i;
      f1_ctx_q       <= ctx_i;
      f1_is_8_q      <= is_aligned_8_i;
      f1_is_64_q     <= is_aligned_64_i;
      f1_is_posted_q <= is_posted_i;
      f1_budget_q    <= budget_q[ctx_i];
    end
    if (c2_moves) begin
      f2_has_entry_q  <= f1_has_entry_q;
      f2_permitted_q  <= f1_permitted_q;
      f2_offset_q     <= f1_offset_q;
      f2_length_q     <= f1_length_q;
      f2_base_q       <= f1_base_q;
      f2_size_q       <= f1_size_q;
      f2_tenant_q     <= f1_tenant_q;
      f2_owner_q      <= f1_owner_q;
      f2_ctx_q        <= f1_ctx_q;
      f2_is_8_q       <= f1_is_8_q;
      f2_is_64_q      <= f1_is_64_q;
      f2_is_posted_q  <= f1_is_posted_q;
      f2_is_charged_q <= c1_is_charged_q;
      f2_budget_q     <= f1_budget_q;
    end
  end

  logic [64:0] f2_end;
  logic        f2_is_region;
  assign f2_end       = {1'b0, f2_offset_q} + {1'b0, f2_length_q};
  assign f2_is_region = req_valid_o && f2_has_entry_q && !f2_is_posted_q;
  always_ff @(posedge clk_i) if (f_runs_q) begin
    request_is_inside_its_entry: assert (!f2_is_region || f2_end <= {{(65-AddrW){1'b0}}, f2_size_q});
    request_is_at_base_plus_offset: assert (!f2_is_region ||
        addr_o == {{(64-AddrW){1'b0}}, f2_base_q + f2_offset_q[AddrW-1:0]});
    request_without_entry_is_at_its_offset: assert (!(req_valid_o && !f2_has_entry_q) || addr_o == f2_offset_q);
    request_is_as_long_as_asked: assert (!f2_is_region || {{(64-AddrW){1'b0}}, length_o} == f2_length_q);
    request_is_permitted: assert (!f2_is_region || f2_permitted_q);
    request_is_of_its_tenant: assert (!f2_is_region || f2_tenant_q == f2_owner_q);
    request_is_aligned: assert (!(req_valid_o && !f2_is_posted_q) ||
        (!(f2_is_8_q && f2_offset_q[2:0] != 3'd0) && !(f2_is_64_q && f2_offset_q[5:0] != 6'd0)));
    request_is_affordable: assert (!(req_valid_o && f2_is_charged_q && !f2_is_posted_q) ||
        f2_length_q <= {32'd0, f2_budget_q});
    request_keeps_its_context: assert (!(req_valid_o || done_valid_o) || ctx_o == f2_ctx_q);
    one_of_request_and_completion: assert (!(req_valid_o && done_valid_o));
    completion_of_a_request_is_a_fault: assert (!done_valid_o || !f2_is_posted_q);
  end
