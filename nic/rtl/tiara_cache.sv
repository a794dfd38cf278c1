// The table cache: words of regions marked cacheable, between a core and memory. Only whole, aligned 8-byte loads are
// kept; direct mapped; what a program or the host writes goes through here and takes the word out, or all of them.
//
// It cannot serve a word that memory has not: a load leaves its word here only if no write was under way when it was
// sent and none was sent until its answer came. A write of one word takes that word out when it is sent; one of many
// bytes, and the host's flush, take all words out, one a cycle, and until that is done nothing is served or kept.
module tiara_cache #(
  parameter int unsigned Contexts = 32,
  parameter int unsigned AddrW    = 48,
  parameter int unsigned IndexW   = 9,    // log2 of the words
  parameter int unsigned DataW    = 64,
  parameter bit          HasCache = 1'b1, // else nothing is kept
  localparam int unsigned CtxW = $clog2(Contexts)
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             flush_i,         // the host has written memory by itself
  input  logic             is_moving_i,     // a bulk write is not complete yet
  // requests of the core; what goes beside them goes around
  input  logic             req_valid_i,
  output logic             req_ready_o,
  input  logic [CtxW-1:0]  req_ctx_i,
  input  logic [AddrW-1:0] req_addr_i,
  input  logic             req_is_word_i,   // a load that may be kept: 8 bytes, aligned, of a cacheable region
  input  logic             req_is_write_i,  // changes at most 8 bytes
  input  logic             req_is_bulk_i,   // changes more, or is not aligned
  input  logic             req_is_end_i,    // is not answered
  // to memory
  output logic             mem_valid_o,
  input  logic             mem_ready_i,
  // answers of memory
  input  logic             ans_valid_i,     // and taken, in this cycle
  input  logic [CtxW-1:0]  ans_ctx_i,
  input  logic [DataW-1:0] ans_data_i,
  input  logic             ans_is_fault_i,
  // answers of its own
  output logic             hit_valid_o,
  input  logic             hit_ready_i,
  output logic [CtxW-1:0]  hit_ctx_o,
  output logic [DataW-1:0] hit_data_o
);
  localparam int unsigned TagW = AddrW - 3 - IndexW;
  (* no_rw_check, ram_style = "block" *) logic [DataW+TagW:0] words_q [0:(1<<IndexW)-1];

  logic [AddrW-4:0]    line_q [0:Contexts-1];         // the word that a context waits for
  logic [Contexts-1:0] keeps_q, writes_q;             // its answer may be kept; it waits for a write
  logic                sweeps_q;
  logic [IndexW-1:0]   sweep_q;
  logic                is_on, takes, is_write, we;
  logic [IndexW-1:0]   index;

  // ------------------------------------------------------------ stage 1: look
  logic             s_valid_q, s_is_word_q, s_is_on_q, s_is_write_q, s_is_end_q, s_is_hit;
  logic [CtxW-1:0]  s_ctx_q;
  logic [AddrW-1:3] s_addr_q;
  logic [DataW+TagW:0] s_word;
  logic             s_goes;
  assign req_ready_o = !s_valid_q || s_goes;
  assign takes       = req_valid_i && req_ready_o;
  assign is_write    = takes && (req_is_write_i || req_is_bulk_i);
  assign is_on       = HasCache && !sweeps_q && !flush_i && !is_moving_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)          s_valid_q <= 1'b0;
    else if (req_ready_o) s_valid_q <= req_valid_i;
  end
  always_ff @(posedge clk_i) begin
    if (req_ready_o) begin
      s_word       <= words_q[req_addr_i[IndexW+2:3]];
      s_is_word_q  <= req_is_word_i;
      s_is_on_q    <= is_on && !(we && index == req_addr_i[IndexW+2:3]);  // a word read while it is written is none
      s_is_write_q <= req_is_write_i || req_is_bulk_i;
      s_is_end_q   <= req_is_end_i;
      s_ctx_q      <= req_ctx_i;
      s_addr_q     <= req_addr_i[AddrW-1:3];
    end else if (!is_on) begin
      s_is_on_q    <= 1'b0;   // what was read before a flush is not served after it
    end
  end

  // ------------------------------------------------------------ stage 2: answer, or ask memory
  logic is_kept, hit_moves, h_valid_q;
  assign s_is_hit    = s_is_word_q && s_is_on_q && is_on && s_word[DataW+TagW] &&
                       s_word[DataW+TagW-1 : DataW] == s_addr_q[AddrW-1 : IndexW+3];
  assign hit_moves   = s_valid_q && s_is_hit && !h_valid_q;
  assign mem_valid_o = s_valid_q && !s_is_hit;
  assign s_goes      = s_is_hit ? !h_valid_q : mem_ready_i;
  assign is_kept     = ans_valid_i && keeps_q[ans_ctx_i] && !ans_is_fault_i && is_on && !is_write;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      keeps_q  <= '0;
      writes_q <= '0;
    end else begin
      if (ans_valid_i) begin
        keeps_q[ans_ctx_i]  <= 1'b0;
        writes_q[ans_ctx_i] <= 1'b0;
      end
      if (mem_valid_o && mem_ready_i && !s_is_end_q) begin
        keeps_q[s_ctx_q]  <= s_is_word_q && s_is_on_q && writes_q == '0;
        writes_q[s_ctx_q] <= s_is_write_q;
      end
      if (is_write || !is_on || (s_valid_q && s_is_write_q)) keeps_q <= '0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (mem_valid_o && mem_ready_i) line_q[s_ctx_q] <= s_addr_q;
  end

  // ------------------------------------------------------------ stage 3
  // An answer waits here, so that whether the core takes it does not decide in the same cycle whether the core's next
  // request is taken.
  logic [CtxW-1:0]  h_ctx_q;
  logic [DataW-1:0] h_data_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)          h_valid_q <= 1'b0;
    else if (hit_moves)   h_valid_q <= 1'b1;
    else if (hit_ready_i) h_valid_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (hit_moves) begin
      h_ctx_q  <= s_ctx_q;
      h_data_q <= s_word[DataW-1:0];
    end
  end
  assign hit_valid_o = h_valid_q;
  assign hit_ctx_o   = h_ctx_q;
  assign hit_data_o  = h_data_q;

  // ------------------------------------------------------------ what is written here
  logic [AddrW-4:0]    line;
  assign line  = line_q[ans_ctx_i];
  assign we    = sweeps_q || is_write || is_kept;
  assign index = sweeps_q ? sweep_q : is_write ? req_addr_i[IndexW+2:3] : line[IndexW-1:0];
  always_ff @(posedge clk_i) begin
    if (we) words_q[index] <= {is_kept && !sweeps_q && !is_write, line[AddrW-4:IndexW], ans_data_i};
  end
  // After reset nothing is known of what stands here.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      sweeps_q <= 1'b1;
      sweep_q  <= '0;
    end else if (flush_i || (takes && req_is_bulk_i)) begin
      sweeps_q <= 1'b1;
      sweep_q  <= '0;
    end else if (sweeps_q) begin
      sweeps_q <= sweep_q != '1;
      sweep_q  <= sweep_q + 1'b1;
    end
  end

`ifdef TIARA_PROPERTIES
  `include "cache_properties.svh"
`endif
endmodule
