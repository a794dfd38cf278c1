// The operator store: which programs there are, where they stand in the cores' program stores, and what their callers
// must keep to. Only the host's port loads, and only what carries the tag of who holds the key: a host that the
// verifier does not speak for cannot make a program run.
//
// A load is a sequence of words: begin, then
//   {steps u32, bytes u32}                       budgets of an invocation
//   {zero, scratchpad bytes [44:32], arguments [27:24], block [23:16], words [12:0]}   of code, from that block
//   for each argument: min, max, bits that must be 0
//   the code
// and SipHash-2-4 of {operator number} and all of these. The words go into the program store as they come, but never
// into a block of 32 words that an operator owns; the operator is there when the tag is right, and not before.
module tiara_operators #(
  parameter int unsigned StoreW    = 12,
  parameter int unsigned OperatorW = 5,
  parameter int unsigned UseW      = 9,      // of the count of invocations under way
  localparam int unsigned BlockW   = StoreW - 5,
  localparam int unsigned Operators = 1 << OperatorW,
  localparam int unsigned InfoW    = 64 + 13 + 4 + StoreW + StoreW + 1
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // host
  input  logic                 key_we_i,
  input  logic                 key_index_i,     // writing 1 closes it until reset
  input  logic                 begin_i,
  input  logic                 word_i,
  input  logic                 tag_i,
  input  logic                 unload_i,        // no new invocation of it begins
  input  logic                 reclaim_i,       // its number and its blocks are free, when nothing runs
  input  logic [63:0]          data_i,          // begin, unload, reclaim: the operator
  output logic                 ready_o,
  output logic                 is_refused_o,    // the last load or reclaim was
  // program stores of the cores
  output logic                 store_we_o,
  output logic [StoreW-1:0]    store_addr_o,
  output logic [63:0]          store_data_o,
  // contracts
  input  logic [OperatorW-1:0] check_operator_i,
  output logic                 check_is_valid_o,
  output logic [3:0]           check_arguments_o,
  input  logic [2:0]           check_argument_i, // its contract is there a cycle later
  output logic [191:0]         check_contract_o, // {bits that must be 0, max, min}
  // what a start needs
  input  logic [OperatorW-1:0] start_operator_i,
  output logic [InfoW-1:0]     start_info_o,     // {steps, bytes, scratchpad, arguments, end, first}
  // invocations under way
  input  logic                 take_i,
  input  logic [OperatorW-1:0] take_operator_i,
  input  logic                 give_i,
  input  logic [OperatorW-1:0] give_operator_i
);
  typedef enum logic [2:0] {Idle, Budgets, Shape, Contracts, Code, Tag, Wait, Free} state_e;
  state_e               state_q;
  logic [127:0]         key_q;
  logic                 is_key_closed_q, is_bad_q, is_refused_q;
  logic [OperatorW-1:0] operator_q;
  logic [31:0]          steps_q, bytes_q;
  logic [12:0]          pad_q, left_q, words_q;
  logic [3:0]           arguments_q;
  logic [BlockW-1:0]    block_q, free_block_q, free_last_q;
  logic [StoreW:0]      address_q;
  logic [2:0]           argument_q;
  logic [1:0]           part_q;
  logic [63:0]          tag_q;
  logic [(1<<BlockW)-1:0] owned_q, claimed_q;
  logic [Operators-1:0] is_valid_q, is_taken_q;
  logic [UseW-1:0]      uses_q [0:Operators-1];
  logic [InfoW-1:0]     info_q [0:Operators-1];
  (* no_rw_check *) logic [63:0] min_q  [0:(8*Operators)-1];
  (* no_rw_check *) logic [63:0] max_q  [0:(8*Operators)-1];
  (* no_rw_check *) logic [63:0] zero_q [0:(8*Operators)-1];

  logic        sip_ready, sip_valid, sip_start, sip_word, sip_finish, is_wide;
  logic [63:0] sip_tag, sip_data;
  logic        begins, takes, code_goes, in_use;
  logic [OperatorW-1:0] data_operator;
  assign data_operator = data_i[OperatorW-1:0];
  assign is_wide = (data_i >> OperatorW) != '0;
  assign in_use  = uses_q[data_operator] != '0;
  // The number itself is the first word of what the tag covers.
  logic owes_number_q;
  assign ready_o      = sip_ready && !owes_number_q && state_q != Wait && state_q != Free;
  assign is_refused_o = is_refused_q;
  assign begins       = begin_i && ready_o;
  assign takes        = word_i && ready_o && (state_q == Budgets || state_q == Shape || state_q == Contracts ||
                                              state_q == Code);
  assign sip_start    = begins;
  assign sip_word     = takes || (owes_number_q && sip_ready);
  assign sip_data     = owes_number_q ? 64'(operator_q) : data_i;
  assign sip_finish   = tag_i && ready_o && state_q == Tag;

  tiara_siphash u_siphash (.clk_i, .rst_ni, .key_i(key_q), .start_i(sip_start), .word_valid_i(sip_word),
    .word_i(sip_data), .finish_i(sip_finish), .ready_o(sip_ready), .valid_o(sip_valid), .tag_o(sip_tag));

  logic [BlockW-1:0] block;
  assign block        = address_q[StoreW-1:5];
  assign code_goes    = takes && state_q == Code && !address_q[StoreW] && !owned_q[block] && !is_bad_q;
  assign store_we_o   = code_goes;
  assign store_addr_o = address_q[StoreW-1:0];
  assign store_data_o = data_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q         <= Idle;
      is_key_closed_q <= 1'b0;
      is_refused_q    <= 1'b0;
      owes_number_q   <= 1'b0;
      is_valid_q      <= '0;
      is_taken_q      <= '0;
      owned_q         <= '0;
    end else begin
      if (key_we_i && key_index_i) is_key_closed_q <= 1'b1;
      if (owes_number_q && sip_ready) owes_number_q <= 1'b0;
      if (unload_i && ready_o && !is_wide) is_valid_q[data_operator] <= 1'b0;
      if (begins) begin
        state_q       <= Budgets;
        owes_number_q <= 1'b1;
        is_refused_q  <= 1'b0;
      end else begin
        unique case (state_q)
          Budgets: if (takes) state_q <= Shape;
          Shape: if (takes) state_q <= (data_i[27:24] == '0) ? Code : Contracts;
          Contracts: if (takes && part_q == 2'd2 && {1'b0, argument_q} + 4'd1 == arguments_q) state_q <= Code;
          Code: if (takes && left_q <= 13'd1) state_q <= Tag;
          Tag: if (sip_finish) state_q <= Wait;
          Wait: if (sip_valid) begin
            state_q <= Idle;
            is_refused_q <= is_bad_q || sip_tag != tag_q;
            if (!is_bad_q && sip_tag == tag_q) begin
              is_valid_q[operator_q] <= 1'b1;
              is_taken_q[operator_q] <= 1'b1;
              owned_q <= owned_q | claimed_q;
            end
          end
          Free: begin
            owned_q[free_block_q] <= 1'b0;
            if (free_block_q == free_last_q) state_q <= Idle;
          end
          default: ;
        endcase
        if (reclaim_i && ready_o) begin
          is_refused_q <= is_wide || is_valid_q[data_operator] || !is_taken_q[data_operator] || in_use;
          if (!is_wide && !is_valid_q[data_operator] && is_taken_q[data_operator] && !in_use) begin
            is_taken_q[data_operator] <= 1'b0;
            state_q <= Free;
          end
        end
      end
    end
  end

  logic [StoreW:0] old_end;
  logic [StoreW-1:0] old_first;
  assign {old_end, old_first} = info_q[data_operator][2*StoreW:0];
  always_ff @(posedge clk_i) begin
    if (key_we_i && !is_key_closed_q) begin
      if (key_index_i) key_q[127:64] <= data_i;
      else             key_q[63:0]   <= data_i;
    end
    if (begins) begin
      operator_q <= data_operator;
      is_bad_q   <= is_wide || !is_key_closed_q || is_taken_q[data_operator] || in_use;
      claimed_q  <= '0;
      argument_q <= '0;
      part_q     <= '0;
    end
    if (takes && state_q == Budgets) {steps_q, bytes_q} <= data_i;
    if (takes && state_q == Shape) begin
      pad_q       <= data_i[44:32];
      arguments_q <= data_i[27:24];
      block_q     <= data_i[16 +: BlockW];
      words_q     <= data_i[12:0];
      left_q      <= data_i[12:0];
      address_q   <= {1'b0, data_i[16 +: BlockW], 5'b0};
      if (data_i[27:24] > 4'd8 || data_i[12:0] == '0 || (data_i[23:16] >> BlockW) != '0) is_bad_q <= 1'b1;
    end
    if (takes && state_q == Contracts) begin
      part_q <= (part_q == 2'd2) ? 2'd0 : part_q + 1'b1;
      if (part_q == 2'd2) argument_q <= argument_q + 1'b1;
    end
    if (takes && state_q == Code) begin
      left_q    <= left_q - 1'b1;
      address_q <= address_q[StoreW] ? address_q : address_q + 1'b1;
      if (code_goes) claimed_q[block] <= 1'b1;
      else           is_bad_q <= 1'b1;
    end
    if (sip_finish) tag_q <= data_i;
    if (reclaim_i && ready_o) begin
      free_block_q <= old_first[StoreW-1:5];
      free_last_q  <= BlockW'((old_end - 1'b1) >> 5);
    end else if (state_q == Free) begin
      free_block_q <= free_block_q + 1'b1;
    end
    // A number that is taken is not written: is_bad_q.
    if (takes && state_q == Contracts && !is_bad_q) begin
      if (part_q == 2'd0) min_q[{operator_q, argument_q}]  <= data_i;
      if (part_q == 2'd1) max_q[{operator_q, argument_q}]  <= data_i;
      if (part_q == 2'd2) zero_q[{operator_q, argument_q}] <= data_i;
    end
    if (sip_finish && !is_bad_q)
      info_q[operator_q] <= {steps_q, bytes_q, pad_q, arguments_q,
                             {1'b0, block_q, 5'b0} + (StoreW+1)'(words_q), block_q, 5'b0};
    check_contract_o <= {zero_q[{check_operator_i, check_argument_i}], max_q[{check_operator_i, check_argument_i}],
                         min_q[{check_operator_i, check_argument_i}]};
  end

  // ============================================================ how many invocations of each are under way
  logic is_same;
  assign is_same = take_i && give_i && take_operator_i == give_operator_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Operators; i++) uses_q[i] <= '0;
    end else if (!is_same) begin
      if (take_i) uses_q[take_operator_i] <= uses_q[take_operator_i] + 1'b1;
      if (give_i) uses_q[give_operator_i] <= uses_q[give_operator_i] - 1'b1;
    end
  end

  logic [InfoW-1:0] check_info;
  assign check_info        = info_q[check_operator_i];
  assign check_is_valid_o  = is_valid_q[check_operator_i];
  assign check_arguments_o = check_info[2*StoreW+1 +: 4];
  assign start_info_o      = info_q[start_operator_i];
`ifdef TIARA_PROPERTIES
`include "operators_properties.svh"
`endif
endmodule
