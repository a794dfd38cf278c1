// SipHash-2-4 of a sequence of 64-bit words: the code by which the host proves that an operator is the verifier's.
// start_i takes the key; words follow while ready_o; finish_i closes with the length and gives the tag.
module tiara_siphash (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic [127:0] key_i,
  input  logic         start_i,
  input  logic         word_valid_i,
  input  logic [63:0]  word_i,
  input  logic         finish_i,
  output logic         ready_o,
  output logic         valid_o,    // one cycle
  output logic [63:0]  tag_o
);
  logic [63:0] v0_q, v1_q, v2_q, v3_q, word_q, block;
  logic [7:0]  bytes_q;
  logic [2:0]  rounds_q;      // that are left
  logic        absorbs_q, closes_q, ends_q, valid_q;

  assign ready_o = rounds_q == '0 && !closes_q && !ends_q;
  assign block   = word_valid_i ? word_i : {bytes_q, 56'b0};

  // One round.
  logic [63:0] a0, a1, a2, a3, b0, b1, b2, b3, d0, d1, d2, d3, e0, e1, e2, e3;
  always_comb begin
    a0 = v0_q + v1_q;
    a1 = {v1_q[50:0], v1_q[63:51]} ^ a0;
    a2 = v2_q + v3_q;
    a3 = {v3_q[47:0], v3_q[63:48]} ^ a2;
    b0 = {a0[31:0], a0[63:32]};
    b1 = a1;
    b2 = a2;
    b3 = a3;
    d0 = b0 + b3;
    d3 = {b3[42:0], b3[63:43]} ^ d0;
    d2 = b2 + b1;
    d1 = {b1[46:0], b1[63:47]} ^ d2;
    e0 = d0;
    e1 = d1;
    e2 = {d2[31:0], d2[63:32]};
    e3 = d3;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rounds_q  <= '0;
      absorbs_q <= 1'b0;
      closes_q  <= 1'b0;
      ends_q    <= 1'b0;
      valid_q   <= 1'b0;
    end else begin
      valid_q <= 1'b0;
      if (start_i) begin
        rounds_q  <= '0;
        absorbs_q <= 1'b0;
        closes_q  <= 1'b0;
        ends_q    <= 1'b0;
      end else if (rounds_q != '0) begin
        rounds_q <= rounds_q - 1'b1;
        if (rounds_q == 3'd1) begin
          absorbs_q <= 1'b0;
          if (ends_q) begin
            ends_q  <= 1'b0;
            valid_q <= 1'b1;
          end
        end
      end else if (closes_q) begin
        closes_q <= 1'b0;
        ends_q   <= 1'b1;
        rounds_q <= 3'd4;
      end else if (ready_o && (word_valid_i || finish_i)) begin
        rounds_q  <= 3'd2;
        absorbs_q <= 1'b1;
        closes_q  <= !word_valid_i;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      v0_q    <= key_i[63:0]   ^ 64'h736f6d6570736575;
      v1_q    <= key_i[127:64] ^ 64'h646f72616e646f6d;
      v2_q    <= key_i[63:0]   ^ 64'h6c7967656e657261;
      v3_q    <= key_i[127:64] ^ 64'h7465646279746573;
      bytes_q <= '0;
    end else if (rounds_q != '0) begin
      v0_q <= (rounds_q == 3'd1 && absorbs_q) ? e0 ^ word_q : e0;
      v1_q <= e1;
      v2_q <= e2;
      v3_q <= e3;
    end else if (closes_q) begin
      v2_q <= v2_q ^ 64'hff;
    end else if (ready_o && (word_valid_i || finish_i)) begin
      v3_q    <= v3_q ^ block;
      word_q  <= block;
      bytes_q <= bytes_q + 8'd8;
    end
  end
  assign valid_o = valid_q;
  assign tag_o   = v0_q ^ v1_q ^ v2_q ^ v3_q;
endmodule
