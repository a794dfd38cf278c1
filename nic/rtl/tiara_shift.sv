// Rotate right, then keep bits [low, high] and fill the others with zeros, or with the sign of the field above it:
// every shift and bit field of the instruction set is one setting of this. Combinational.
module tiara_shift (
  input  logic [63:0] data_i,
  input  logic [5:0]  rotate_i,     // to the right
  input  logic [5:0]  low_i,        // first bit that is kept
  input  logic [5:0]  high_i,       // last bit that is kept
  input  logic [5:0]  sign_i,       // which bit of data_i is the field's sign
  input  logic        is_signed_i,
  output logic [63:0] data_o
);
  logic [63:0] by_1, by_4, by_16;
  logic        fill;

  always_comb begin
    unique case (rotate_i[1:0])
      2'd0: by_1 = data_i;
      2'd1: by_1 = {data_i[0], data_i[63:1]};
      2'd2: by_1 = {data_i[1:0], data_i[63:2]};
      2'd3: by_1 = {data_i[2:0], data_i[63:3]};
    endcase
    unique case (rotate_i[3:2])
      2'd0: by_4 = by_1;
      2'd1: by_4 = {by_1[3:0], by_1[63:4]};
      2'd2: by_4 = {by_1[7:0], by_1[63:8]};
      2'd3: by_4 = {by_1[11:0], by_1[63:12]};
    endcase
    unique case (rotate_i[5:4])
      2'd0: by_16 = by_4;
      2'd1: by_16 = {by_4[15:0], by_4[63:16]};
      2'd2: by_16 = {by_4[31:0], by_4[63:32]};
      2'd3: by_16 = {by_4[47:0], by_4[63:48]};
    endcase
  end

  assign fill = is_signed_i && data_i[sign_i];  // from the input, so that it does not wait for the rotator

  always_comb begin
    for (int unsigned i = 0; i < 64; i++) begin
      if (i[5:0] > high_i)     data_o[i] = fill;
      else if (i[5:0] < low_i) data_o[i] = 1'b0;
      else                     data_o[i] = by_16[i];
    end
  end
endmodule
