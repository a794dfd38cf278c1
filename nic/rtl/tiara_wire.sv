// What stands where in the line of 64 bytes that a frame begins with (nic/wire/ethernet.h): Ethernet, IPv4 without
// options, UDP, and 22 bytes of ours. Byte offsets; Ethernet's, IPv4's and UDP's fields are big-endian, ours are not.
package tiara_wire;
  localparam int unsigned AtToMac = 0, AtFromMac = 6, AtType = 12;
  localparam int unsigned AtIp = 14, AtIpBytes = 16, AtFragment = 20, AtTimeToLive = 22, AtProtocol = 23, AtIpSum = 24,
    AtFromIp = 26, AtToIp = 30;
  localparam int unsigned AtFromPort = 34, AtToPort = 36, AtUdpBytes = 38, AtUdpSum = 40;
  localparam int unsigned AtMagic = 42, AtClient = 46, AtSequence = 48, AtPiece = 56, AtPieces = 58, AtBytes = 60;

  localparam int unsigned EthernetBytes = 14, IpBytes = 20, UdpBytes = 8, HeaderBytes = 64;
  localparam int unsigned FrameBytes = 128, PieceBytes = 4096;  // an invocation or a reply; the bytes behind it
  localparam logic [15:0] TypeIpv4   = 16'h0800;
  localparam logic [7:0]  Ipv4       = 8'h45;         // version 4, five words
  localparam logic [7:0]  Udp        = 8'd17;
  localparam logic [15:0] IsFragment = 16'hffbf;      // of AtFragment: everything but "do not fragment"
  localparam logic [15:0] DoNotFragment = 16'h0040;
  localparam logic [7:0]  TimeToLive = 8'd64;
  localparam logic [31:0] Request = {8'd1, 8'd1, 8'h4e, 8'h54};  // kind, version 1, "TN"
  localparam logic [31:0] Reply   = {8'd2, 8'd1, 8'h4e, 8'h54};

  // Big-endian fields and back.
  function automatic logic [15:0] swapped(logic [15:0] word);
    swapped = {word[7:0], word[15:8]};
  endfunction
  function automatic logic [31:0] swapped_32(logic [31:0] word);
    swapped_32 = {word[7:0], word[15:8], word[23:16], word[31:24]};
  endfunction
  function automatic logic [47:0] swapped_48(logic [47:0] word);
    swapped_48 = {word[7:0], word[15:8], word[23:16], word[31:24], word[39:32], word[47:40]};
  endfunction
  // Sum of the big-endian words of a line whose bytes are kept, and a sum folded into 16 bits.
  function automatic logic [20:0] sum_of(logic [511:0] data, logic [63:0] keep);
    logic [20:0] total;
    total = '0;
    for (int unsigned i = 0; i < 32; i++)
      total = total + {5'b0, data[16*i +: 8] & {8{keep[2*i]}}, data[16*i+8 +: 8] & {8{keep[2*i+1]}}};
    sum_of = total;
  endfunction
  function automatic logic [15:0] folded(logic [31:0] sum);
    logic [16:0] once;
    once   = {1'b0, sum[15:0]} + {1'b0, sum[31:16]};
    folded = once[15:0] + {15'b0, once[16]};
  endfunction
  // Which bytes of the first line a checksum covers: IPv4's header; of UDP's, what begins with the addresses.
  localparam logic [63:0] IpCovers  = 64'h0000_0003_ffff_c000;
  localparam logic [63:0] UdpCovers = 64'hffff_ffff_fc00_0000;
endpackage
