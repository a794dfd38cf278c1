// What each context has done since it started: loads, stores, lines, atomics, bytes moved, remote operations, and
// where its reply ends. Bits say which counters have counted since the start; the others read as zero, so that a start
// has nothing to write.
module tiara_counts #(
  parameter int unsigned IdW = 5,
  localparam int unsigned CountsW = 5 * 32 + 48
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              clear_i,        // a context starts
  input  logic [IdW-1:0]    clear_id_i,
  // a request of id_i goes on
  input  logic [IdW-1:0]    id_i,
  input  logic              load_i,
  input  logic              store_i,
  input  logic              line_i,
  input  logic              atomic_i,
  input  logic              moved_i,
  input  logic [47:0]       moved_bytes_i,
  input  logic              reply_i,
  input  logic [31:0]       reply_end_i,
  input  logic              hit_i,          // a load was answered before it came here
  input  logic [IdW-1:0]    hit_id_i,
  input  logic              remote_i,       // a remote request was answered
  input  logic              far_i,          // it was a gather
  input  logic [IdW-1:0]    remote_id_i,
  input  logic [47:0]       far_bytes_i,
  input  logic [31:0]       far_end_i,
  // read
  input  logic [IdW-1:0]    counts_id_i,
  output logic [CountsW-1:0] counts_o,
  output logic [31:0]       reply_bytes_o
);
  localparam int unsigned Ids = 1 << IdW;
  logic [31:0] loads_q [0:Ids-1];
  logic [31:0] hits_q [0:Ids-1];
  logic [31:0] stores_q [0:Ids-1];
  logic [31:0] lines_q [0:Ids-1];
  logic [31:0] atomics_q [0:Ids-1];
  logic [47:0] moved_q [0:Ids-1];
  logic [31:0] reply_q [0:Ids-1];
  logic [31:0] remotes_q [0:Ids-1];
  logic [47:0] far_q [0:Ids-1];            // moved by remote gathers, and where the reply then ends
  logic [31:0] far_reply_q [0:Ids-1];
  logic [Ids-1:0] f_remotes_q, f_far_q;
  logic [Ids-1:0] f_loads_q, f_hits_q, f_stores_q, f_lines_q, f_atomics_q, f_moved_q, f_reply_q;  // has counted
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_loads_q   <= '0;
      f_hits_q    <= '0;
      f_stores_q  <= '0;
      f_lines_q   <= '0;
      f_atomics_q <= '0;
      f_moved_q   <= '0;
      f_reply_q   <= '0;
      f_remotes_q <= '0;
      f_far_q     <= '0;
    end else begin
      if (load_i)   f_loads_q[id_i]   <= 1'b1;
      if (hit_i)    f_hits_q[hit_id_i]    <= 1'b1;
      if (store_i)  f_stores_q[id_i]  <= 1'b1;
      if (line_i)   f_lines_q[id_i]   <= 1'b1;
      if (atomic_i) f_atomics_q[id_i] <= 1'b1;
      if (moved_i)  f_moved_q[id_i]   <= 1'b1;
      if (reply_i)  f_reply_q[id_i]   <= 1'b1;
      if (remote_i) f_remotes_q[remote_id_i] <= 1'b1;
      if (far_i)    f_far_q[remote_id_i]     <= 1'b1;
      if (clear_i) begin
        f_loads_q[clear_id_i]   <= 1'b0;
        f_hits_q[clear_id_i]    <= 1'b0;
        f_stores_q[clear_id_i]  <= 1'b0;
        f_lines_q[clear_id_i]   <= 1'b0;
        f_atomics_q[clear_id_i] <= 1'b0;
        f_moved_q[clear_id_i]   <= 1'b0;
        f_reply_q[clear_id_i]   <= 1'b0;
        f_remotes_q[clear_id_i] <= 1'b0;
        f_far_q[clear_id_i]     <= 1'b0;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (load_i)   loads_q[id_i]   <= (f_loads_q[id_i] ? loads_q[id_i] : '0) + 1'b1;
    if (hit_i)    hits_q[hit_id_i]    <= (f_hits_q[hit_id_i] ? hits_q[hit_id_i] : '0) + 1'b1;
    if (store_i)  stores_q[id_i]  <= (f_stores_q[id_i] ? stores_q[id_i] : '0) + 1'b1;
    if (line_i)   lines_q[id_i]   <= (f_lines_q[id_i] ? lines_q[id_i] : '0) + 1'b1;
    if (atomic_i) atomics_q[id_i] <= (f_atomics_q[id_i] ? atomics_q[id_i] : '0) + 1'b1;
    if (moved_i)  moved_q[id_i]   <= (f_moved_q[id_i] ? moved_q[id_i] : '0) + moved_bytes_i;
    if (reply_i)  reply_q[id_i]   <= reply_end_i;
    if (remote_i) remotes_q[remote_id_i] <= (f_remotes_q[remote_id_i] ? remotes_q[remote_id_i] : '0) + 1'b1;
    if (far_i) begin
      far_q[remote_id_i]       <= (f_far_q[remote_id_i] ? far_q[remote_id_i] : '0) + far_bytes_i;
      far_reply_q[remote_id_i] <= far_end_i;
    end
  end
  logic [31:0] all_loads;
  assign all_loads = (f_loads_q[counts_id_i] ? loads_q[counts_id_i] : '0) +
                     (f_hits_q[counts_id_i] ? hits_q[counts_id_i] : '0);
  logic [47:0] near_moved, far_moved;
  logic [31:0] near_reply, far_reply;
  assign near_moved = f_moved_q[counts_id_i] ? moved_q[counts_id_i] : '0;
  assign far_moved  = f_far_q[counts_id_i] ? far_q[counts_id_i] : '0;
  assign near_reply = f_reply_q[counts_id_i] ? reply_q[counts_id_i] : '0;
  assign far_reply  = f_far_q[counts_id_i] ? far_reply_q[counts_id_i] : '0;
  assign counts_o   = {f_remotes_q[counts_id_i] ? remotes_q[counts_id_i] : 32'd0, near_moved + far_moved,
                       f_atomics_q[counts_id_i] ? atomics_q[counts_id_i] : 32'd0,
                       f_lines_q[counts_id_i] ? lines_q[counts_id_i] : 32'd0,
                       f_stores_q[counts_id_i] ? stores_q[counts_id_i] : 32'd0, all_loads};
  // A reply only grows.
  assign reply_bytes_o = (near_reply > far_reply) ? near_reply : far_reply;
endmodule
