// XXH3 (64 bits, no seed) of the 120 bytes that a frame's checksum covers: eight folded products of words mixed with
// constants of the algorithm, added up, and one more product. One multiplier, MulW bits of it a cycle.
//
// frame_i must stand still from start_i until valid_o, which holds for one cycle.
module tiara_hash #(
  parameter int unsigned MulW = 16   // 8, 16 or 32: 9 * (64 / MulW + 1) cycles
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          start_i,
  input  logic [1023:0] frame_i,
  output logic          valid_o,
  output logic [63:0]   hash_o
);
  localparam int unsigned Turns = 64 / MulW;
  localparam logic [63:0] Prime = 64'h9E3779B185EBCA87;
  localparam logic [63:0] Mix   = 64'h165667919E3779F9;

  // The products in order: which words of the frame, and what they are mixed with.
  function automatic logic [127:0] operands_of(logic [2:0] number, logic [1023:0] frame);
    unique case (number)
      3'd0: operands_of = frame[64*6  +: 128] ^ 128'h1d4f0bc7c7bbdcf9_3f349ce33f76faa8;
      3'd1: operands_of = frame[64*7  +: 128] ^ 128'h647378d9c97e9fc8_3159b4cd4be0518a;
      3'd2: operands_of = frame[64*4  +: 128] ^ 128'ha32e531b8b65d088_cb00c391bb52283c;
      3'd3: operands_of = frame[64*9  +: 128] ^ 128'hd8acdea946ef1938_4ef90da297486471;
      3'd4: operands_of = frame[64*2  +: 128] ^ 128'h2172ffcc7dd05a82_78e5c0cc4ee679cb;
      3'd5: operands_of = frame[64*11 +: 128] ^ 128'h4c263a81e69035e0_8e2443f7744608b8;
      3'd6: operands_of = frame[64*0  +: 128] ^ 128'h1cad21f72c81017c_be4ba423396cfeb8;
      default: operands_of = frame[64*13 +: 128] ^ 128'h1f67b3b7a4a44072_db979083e96dd4de;
    endcase
  endfunction

  logic                     busy_q, folds_q, valid_q;
  logic [3:0]               step_q;
  logic [$clog2(Turns)-1:0] turn_q;
  logic [63:0]              a_q, high_q, low_q, sum_q, sum, hash;
  logic [63+MulW:0]         partial;
  logic [127:0]             first, next;

  assign partial = {{MulW{1'b0}}, high_q} + {{MulW{1'b0}}, a_q} * {64'b0, low_q[MulW-1:0]};
  assign sum     = sum_q + (high_q ^ low_q);
  assign hash    = low_q ^ {32'b0, low_q[63:32]};
  assign first   = operands_of(3'd0, frame_i);
  assign next    = operands_of(step_q[2:0] + 3'd1, frame_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q  <= 1'b0;
      folds_q <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      valid_q <= 1'b0;
      if (start_i) begin
        busy_q  <= 1'b1;
        folds_q <= 1'b0;
      end else if (busy_q) begin
        if (folds_q) begin
          folds_q <= 1'b0;
          busy_q  <= step_q != 4'd8;
          valid_q <= step_q == 4'd8;
        end else begin
          folds_q <= turn_q == '1;
        end
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      step_q <= '0;
      turn_q <= '0;
      high_q <= '0;
      sum_q  <= 64'd120 * Prime;
      {a_q, low_q} <= first;
    end else if (busy_q && folds_q) begin
      step_q <= step_q + 1'b1;
      high_q <= '0;
      sum_q  <= sum;
      if (step_q == 4'd7) begin
        a_q   <= sum ^ {37'b0, sum[63:37]};
        low_q <= Mix;
      end else if (step_q == 4'd8) begin
        sum_q <= (hash == '0) ? 64'd1 : hash;
      end else begin
        {a_q, low_q} <= next;
      end
    end else if (busy_q) begin
      turn_q <= turn_q + 1'b1;
      high_q <= partial[63+MulW:MulW];
      low_q  <= {partial[MulW-1:0], low_q[63:MulW]};
    end
  end
  assign valid_o = valid_q;
  assign hash_o  = sum_q;
endmodule
