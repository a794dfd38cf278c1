// Rotate right, then keep bits [low, high] and fill the others with zeros, or with the sign of the field above it:
// every shift and bit field of the instruction set is one setting of this. Combinational.
module tiara_shift (
  input  logic [63:0] data_i,
  input  logic [5:0]  rotate_i,      // to the right
  input  logic [5:0]  low_i,         // first bit that is kept
  input  logic [5:0]  high_i,        // last bit that is kept
  input  logic [1:0]  sign_i,        // which bit of a group of four of data_i is the field's sign
  input  logic [15:0] sign_group_i,  // and of which group; of none when zeros fill
  input  logic        is_inverted_i, // in the end
  output logic [63:0] data_o
);
  logic [63:0] by_1, by_4, by_16, is_below, is_above;
  logic [15:0] signs;
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

  // From the input, so that it does not wait for the rotator.
  always_comb begin
    for (int unsigned i = 0; i < 16; i++) begin
      unique case (sign_i)
        2'd0: signs[i] = data_i[4*i];
        2'd1: signs[i] = data_i[4*i+1];
        2'd2: signs[i] = data_i[4*i+2];
        2'd3: signs[i] = data_i[4*i+3];
      endcase
    end
  end
  assign fill = (signs & sign_group_i) != '0;

  // Comparisons with constants, written out: 64 subtractors would take the carry chains of a small part.
  function automatic logic [7:0] under(logic [2:0] n);  // numbers less than n
    under = {1'b0, &n, n[2] & n[1], n[2] & (n[1] | n[0]), n[2], n[2] | (n[1] & n[0]), n[2] | n[1], |n};
  endfunction
  logic [7:0] below_group, below_bit, above_group, above_bit, low_group, high_group;
  assign below_group = under(low_i[5:3]);
  assign below_bit   = under(low_i[2:0]);
  assign above_group = ~(under(high_i[5:3]) << 1 | 8'd1);
  assign above_bit   = ~(under(high_i[2:0]) << 1 | 8'd1);

  always_comb begin
    for (int unsigned i = 0; i < 8; i++) begin
      low_group[i]  = low_i[5:3] == i[2:0];
      high_group[i] = high_i[5:3] == i[2:0];
      is_below[8*i +: 8] = {8{below_group[i]}} | ({8{low_group[i]}} & below_bit);
      is_above[8*i +: 8] = {8{above_group[i]}} | ({8{high_group[i]}} & above_bit);
    end
    data_o = ((by_16 & ~is_below & ~is_above) | ({64{fill}} & is_above)) ^ {64{is_inverted_i}};
  end
endmodule
