// Queue of contexts that may issue. A context is in it at most once, so that a queue as deep as there are contexts
// cannot overflow; first in, first out is fair: no ready context waits longer than one turn of all others.
module tiara_ready #(
  parameter int unsigned Contexts = 32,
  localparam int unsigned CtxW = $clog2(Contexts)
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic            push_i,
  input  logic [CtxW-1:0] push_ctx_i,
  input  logic            pop_i,
  output logic            valid_o,
  output logic [CtxW-1:0] ctx_o
);
  logic [CtxW-1:0] queue_q [0:Contexts-1];
  logic [CtxW:0]   write_q, read_q;  // one bit more than the index: equal means empty

  assign valid_o = write_q != read_q;
  assign ctx_o   = queue_q[read_q[CtxW-1:0]];

  always_ff @(posedge clk_i) begin
    if (push_i) queue_q[write_q[CtxW-1:0]] <= push_ctx_i;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q  <= '0;
    end else begin
      if (push_i) write_q <= write_q + 1'b1;
      if (pop_i)  read_q  <= read_q + 1'b1;
    end
  end

`ifdef TIARA_PROPERTIES
  `include "ready_properties.svh"
`endif
endmodule
