#include "tests/fuzz/program_generator.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/check.h"

namespace tiara::nic::fuzz {
namespace {

// A word that is awkward more often than chance would have it.
uint64_t interesting_word(Choices& random) {
  const uint64_t raw = random();
  switch (random() % 8) {
    case 0: return raw % 16;
    case 1: return raw % 4096;
    case 2: return raw % 512 * 8;
    case 3: return raw;
    case 4: return raw >> (random() % 64);
    case 5: return uint64_t{1} << (raw % 64);
    case 6: return ~uint64_t{0} - raw % 16;
    default: return (uint64_t{1} << 63) - 8 + raw % 16;
  }
}

std::vector<Opcode> opcodes_of(Format format) {
  std::vector<Opcode> opcodes;
  for (const InstructionInfo& row : all_instructions()) {
    if (row.format == format) opcodes.push_back(row.opcode);
  }
  return opcodes;
}

// Writes one program, statement by statement.
class Writer {
 public:
  Writer(Choices& random, Style style) : random_(random), is_careful_(style == Style::kCareful) {}

  Program write() {
    program_.name = "fuzz";
    program_.regions = {{.name = "pool", .permission = Permission::kReadWriteAtomic},
                        {.name = "table", .permission = Permission::kRead, .is_cacheable = true},
                        {.name = "peer", .permission = Permission::kReadWriteAtomic, .is_remote = true}};
    program_.results = 4;
    program_.scratchpad_bytes = static_cast<uint16_t>(64 * (2 + pick(3)));
    program_.declared.max_reply_bytes = kReplyBytes;
    declare_arguments();
    prologue();
    block(0, 6 + static_cast<int>(pick(14)));
    end_path();
    return std::move(program_);
  }

 private:
  // A loop that is being written: what `break` and `continue` have to be patched with later.
  struct OpenLoop {
    uint32_t begin;
    std::vector<uint32_t> breaks;
    std::vector<uint32_t> continues;
  };

  uint64_t pick(uint64_t below) { return random_() % below; }
  bool chance(uint64_t percent) { return pick(100) < percent; }
  // Whether care is taken: always, or mostly.
  bool care() { return is_careful_ || chance(85); }

  uint8_t reg() { return static_cast<uint8_t>(pick(kRegisters)); }
  // A register to write: with care, not the cursor of a loop around.
  uint8_t dest() {
    uint8_t r = reg();
    while (is_careful_ && (cursors_ >> r & 1) != 0) r = reg();
    return r;
  }
  // Registers that masks and lengths are put into just before their use.
  uint8_t scratch() { return static_cast<uint8_t>(12 + pick(4)); }
  Opcode any_of(Format format) {
    const auto opcodes = opcodes_of(format);
    return opcodes[pick(opcodes.size())];
  }
  uint32_t here() const { return static_cast<uint32_t>(program_.code.size()); }
  void put(const Instruction& instruction) { program_.code.push_back(instruction); }

  void declare_arguments() {
    const uint64_t count = 1 + pick(4);
    for (uint64_t i = 0; i < count; ++i) {
      ArgumentContract argument{.name = "a" + std::to_string(i)};
      if (chance(70)) {
        argument.min = chance(50) ? 0 : pick(8);
        argument.max = argument.min + (chance(50) ? pick(64) : pick(4096));
      }
      if (chance(20)) argument.known_zero = 7;
      if (argument.known_zero != 0 && argument.max < 8) argument.min = 0;  // 0 must be possible
      program_.arguments.push_back(argument);
    }
  }

  void prologue() {
    for (uint8_t r = static_cast<uint8_t>(program_.arguments.size()); r < kRegisters; ++r) {
      if (care())
        put({.opcode = Opcode::kLi, .rd = r, .imm = static_cast<int32_t>(interesting_word(random_))});
    }
    for (uint32_t pad = 0; pad < program_.scratchpad_bytes; pad += kLineBytes) {
      if (!care()) continue;
      put({.opcode = Opcode::kLi, .rd = 12, .imm = static_cast<int32_t>(64 * pick(32))});
      put({.opcode = Opcode::kLdLine,
           .rs1 = 12,
           .region = pick(2) ? kPoolRegion : kTableRegion,
           .imm = pack_line(pad, 0)});
    }
  }

  // A register that holds at most `mask` with the bits outside it clear, or (without care) anything.
  uint8_t masked(uint64_t mask) {
    const uint8_t to = scratch();
    if (!care()) return to;
    const auto imm = static_cast<int32_t>(mask);
    // Comparing and clamping bound a register as well as masking does, but not its low bits.
    if ((mask & (mask + 1)) == 0 && chance(30))
      put({.opcode = Opcode::kMini, .rd = to, .rs1 = reg(), .imm = imm});
    else if ((mask & (mask + 1)) == 0 && mask != 0 && chance(20))
      put({.opcode = Opcode::kRemui, .rd = to, .rs1 = reg(), .imm = imm});
    else put({.opcode = Opcode::kAndi, .rd = to, .rs1 = reg(), .imm = imm});
    return to;
  }

  uint64_t pool_mask() { return chance(70) ? 0xff8 : chance(50) ? 0x1fff : 0xfc0; }
  uint8_t some_region(bool writes) { return writes || chance(60) ? kPoolRegion : kTableRegion; }
  // The largest mask under which `bytes` fit into the scratchpad.
  uint64_t pad_mask(uint64_t bytes) {
    uint64_t mask = 63;
    while ((mask * 2 + 1) + bytes <= program_.scratchpad_bytes) mask = mask * 2 + 1;
    return mask & ~(bytes - 1);
  }

  void arithmetic() {
    Instruction i{.opcode = Opcode::kLi, .rd = dest(), .rs1 = reg(), .rs2 = reg()};
    const auto imm = static_cast<int32_t>(interesting_word(random_));
    switch (pick(7)) {
      case 0: i = {.opcode = any_of(Format::kRdRsRs), .rd = i.rd, .rs1 = i.rs1, .rs2 = i.rs2}; break;
      case 1:
        i = {.opcode = any_of(Format::kRdRsImm), .rd = i.rd, .rs1 = chance(40) ? i.rd : i.rs1, .imm = imm};
        break;
      case 2:
        i = {.opcode = any_of(Format::kRdRsShift),
             .rd = i.rd,
             .rs1 = i.rs1,
             .imm = static_cast<int32_t>(pick(64))};
        break;
      case 3: i = {.opcode = any_of(Format::kRdRs), .rd = i.rd, .rs1 = i.rs1}; break;
      case 4: {
        const auto lsb = static_cast<uint32_t>(pick(63));
        const auto width = static_cast<uint32_t>(1 + pick(std::min<uint64_t>(63, 64 - lsb)));
        i = {.opcode = any_of(Format::kBitField), .rd = i.rd, .rs1 = i.rs1, .imm = pack_bits(lsb, width)};
        break;
      }
      case 5: i = {.opcode = Opcode::kSel, .rd = i.rd, .rs1 = i.rs1, .rs2 = i.rs2, .rs3 = reg()}; break;
      default:
        i = {.opcode = chance(20)   ? Opcode::kPlen
                       : chance(50) ? Opcode::kLi
                                    : Opcode::kLih,
             .rd = i.rd,
             .imm = imm};
    }
    if (i.opcode == Opcode::kPlen) i.imm = 0;
    put(i);
  }

  void memory() {
    const uint8_t base = masked(pool_mask());
    const bool is_absolute = chance(20);
    Instruction i{.opcode = any_of(Format::kLoad),
                  .rd = dest(),
                  .rs1 = is_absolute ? uint8_t{0} : base,
                  .region = some_region(false),
                  .flags = is_absolute ? uint8_t{1} : uint8_t{0},
                  .imm = static_cast<int32_t>(8 * pick(64))};
    switch (pick(6)) {
      case 0:
        i.opcode = any_of(Format::kStore);
        i.rd = 0;
        i.rs2 = reg();
        i.region = care() ? kPoolRegion : kTableRegion;
        break;
      case 1: {
        const auto width = static_cast<uint32_t>(1 + pick(9));
        i = {
            .opcode = any_of(Format::kLoadIndexed),
            .rd = i.rd,
            .rs1 = base,
            .rs2 = reg(),
            .region = i.region,
            .imm = pack_bits(static_cast<uint32_t>(pick(64 - width)), width, static_cast<uint32_t>(pick(4)))};
        break;
      }
      case 2:
        i = {.opcode = Opcode::kLdLine,
             .rs1 = masked(0xfc0),
             .region = i.region,
             .imm = pack_line(64 * static_cast<uint32_t>(pick(program_.scratchpad_bytes / 64)),
                              static_cast<int32_t>(64 * pick(4)))};
        break;
      case 3:
        i = {.opcode = Opcode::kPrefetch,
             .rs1 = base,
             .region = i.region,
             .imm = static_cast<int32_t>(random_())};
        break;
      case 4: atomic(is_absolute ? 0 : masked(0xff8), is_absolute); return;
      default: break;
    }
    put(i);
  }

  void atomic(uint8_t base, bool is_absolute) {
    const bool is_cas = chance(40);
    put({.opcode = is_cas ? Opcode::kCas : any_of(Format::kAtomic),
         .rd = dest(),
         .rs1 = base,
         .rs2 = reg(),
         .rs3 = is_cas ? reg() : uint8_t{0},
         .region = kPoolRegion,
         .flags = is_absolute ? uint8_t{1} : uint8_t{0},
         .imm = static_cast<int32_t>(8 * pick(32))});
  }

  void scratchpad() {
    const bool is_load = chance(60);
    const Opcode opcode = any_of(is_load ? Format::kPadLoad : Format::kPadStore);
    const uint64_t bytes = info(opcode).access_bytes;
    Instruction i{.opcode = opcode, .imm = 0};
    if (chance(30)) {
      i.flags = 1;
      i.imm = static_cast<int32_t>(bytes * pick(program_.scratchpad_bytes / bytes));
    } else {
      i.rs1 = masked(pad_mask(8));
      if (!care()) i.imm = static_cast<int32_t>(pick(16)) - 8;
    }
    (is_load ? i.rd : i.rs2) = is_load ? dest() : reg();
    put(i);
  }

  void bulk(size_t depth) {
    const uint8_t base = masked(0xff8);
    uint8_t length = masked(chance(50) ? 63 : 7);
    const uint8_t other = reg();
    const uint64_t element = 1 + pick(32);
    const auto bytes = static_cast<int32_t>(element);
    switch (pick(8)) {
      case 0:
        put({.opcode = Opcode::kGather, .rs1 = base, .rs2 = length, .region = some_region(false), .imm = 8});
        break;
      case 1:
        put({.opcode = Opcode::kGatherS,
             .rs1 = base,
             .rs2 = other,
             .rs3 = length,
             .region = kPoolRegion,
             .imm = bytes});
        break;
      case 2:
      case 3: list(base, bytes); break;
      case 4:
        put({.opcode = Opcode::kScatter, .rs1 = base, .rs2 = other, .rs3 = length, .region = kPoolRegion});
        break;
      case 5:
        put({.opcode = Opcode::kScatterS,
             .rd = other,
             .rs1 = base,
             .rs2 = reg(),
             .rs3 = length,
             .region = kPoolRegion,
             .imm = bytes});
        break;
      case 6:
        put({.opcode = Opcode::kFill, .rs1 = base, .rs2 = length, .rs3 = other, .region = kPoolRegion});
        break;
      default:
        put({.opcode = Opcode::kCopy,
             .rs1 = base,
             .rs2 = other,
             .rs3 = length,
             .region = kPoolRegion,
             .flags = some_region(false)});
    }
    if (depth > 1 ? care() : chance(30)) put({.opcode = Opcode::kWait});
  }

  // The list's registers are set next to each other, so that care about one is not undone by the other.
  void list(uint8_t base, int32_t bytes) {
    const auto imm = [](uint64_t value) { return static_cast<int32_t>(value); };
    put({.opcode = Opcode::kAndi, .rd = 10, .rs1 = reg(), .imm = imm(care() ? 0x38 : 0xf8)});
    put({.opcode = Opcode::kAndi, .rd = 11, .rs1 = reg(), .imm = 7});
    const bool gathers = chance(50);
    put({.opcode = gathers ? Opcode::kGatherL : Opcode::kScatterL,
         .rd = gathers ? uint8_t{0} : reg(),
         .rs1 = base,
         .rs2 = 10,
         .rs3 = 11,
         .region = kPoolRegion,
         .imm = bytes});
  }

  void remote() {
    const uint8_t base = masked(0xff8);
    Instruction i{.opcode = any_of(Format::kRemoteAtomic),
                  .rd = dest(),
                  .rs1 = base,
                  .rs2 = reg(),
                  .rs3 = reg(),
                  .region = kPeerRegion};
    switch (pick(5)) {
      case 0:
        i.opcode = Opcode::kRLd8;
        i.rs3 = 0;
        break;
      case 1:
        i.opcode = Opcode::kRSt8;
        i.rd = 0;
        break;
      case 2: i.opcode = Opcode::kRCas; break;
      case 3:
        i = {.opcode = Opcode::kRGather, .rs1 = 10, .rs2 = reg(), .rs3 = 11, .region = kPeerRegion};
        put({.opcode = Opcode::kAndi, .rd = 10, .rs1 = reg(), .imm = 0xff8});
        put({.opcode = Opcode::kAndi, .rd = 11, .rs1 = reg(), .imm = 31});
        break;
      default: break;
    }
    put(i);
  }

  // A conditional branch, its displacement to be patched.
  uint32_t branch(uint8_t pops = 0) {
    const uint32_t pc = here();
    const auto value = static_cast<int16_t>(interesting_word(random_));
    switch (pick(3)) {
      case 0:
        put({.opcode = any_of(Format::kBranch), .rs1 = reg(), .rs2 = reg(), .flags = pops, .imm = 1});
        break;
      case 1:
        put({.opcode = any_of(Format::kBranchImm),
             .rs1 = reg(),
             .flags = pops,
             .imm = pack_branch(1, value)});
        break;
      default:
        put({.opcode = any_of(Format::kBranchBit),
             .rs1 = reg(),
             .flags = pops,
             .imm = pack_branch(1, static_cast<int32_t>(pick(64)))});
    }
    return pc;
  }

  void patch(uint32_t pc) {
    Instruction& i = program_.code[pc];
    const uint32_t displacement = here() - pc;
    TIARA_CHECK(displacement >= 1);
    if (i.opcode == Opcode::kJump || info(i.opcode).format == Format::kBranch)
      i.imm = static_cast<int32_t>(displacement);
    else i.imm = pack_branch(displacement, static_cast<int32_t>(i.bits() >> 16));
  }

  void conditional(size_t depth, int statements) {
    const uint32_t over = branch();
    block(depth, statements);
    if (chance(50)) {
      const uint32_t end = here();
      put({.opcode = Opcode::kJump, .imm = 1});
      patch(over);
      block(depth, statements / 2 + 1);
      patch(end);
    } else {
      patch(over);
    }
  }

  // Values that were compared instead of masked: what a branch teaches has to be right.
  void compared() {
    const uint8_t offset = dest();
    const auto limit = static_cast<int32_t>(program_.scratchpad_bytes - 8);
    std::vector<uint32_t> out;
    const auto skip_if = [&](Opcode opcode, int32_t value) {
      out.push_back(here());
      put({.opcode = opcode, .rs1 = offset, .imm = pack_branch(1, value)});
    };
    switch (pick(3)) {
      case 0: skip_if(Opcode::kBgeui, limit + 1); break;
      case 1:  // both sides of a signed range
        skip_if(Opcode::kBltsi, 0);
        if (care()) skip_if(Opcode::kBgesi, limit + 1);
        break;
      default:
        out.push_back(here());
        put({.opcode = Opcode::kBltu, .rs1 = reg(), .rs2 = offset, .imm = 1});
        skip_if(Opcode::kBgeui, limit + 1);
    }
    if (!care() && chance(50)) put({.opcode = Opcode::kAddi, .rd = offset, .rs1 = offset, .imm = 1});
    put({.opcode = Opcode::kSpLd8, .rd = dest(), .rs1 = offset});
    for (const uint32_t pc : out) patch(pc);
  }

  void loop(size_t depth, int statements) {
    // Deep loops are short, so that the product of all stays within some thousands of rounds.
    static constexpr std::array<uint64_t, kMaxLoopDepth> kTrips = {16, 8, 4, 3};
    const uint64_t trips = kTrips[depth];
    const uint8_t count = scratch();
    if (chance(40)) put({.opcode = Opcode::kLi, .rd = count, .imm = static_cast<int32_t>(pick(trips + 1))});
    else
      put({.opcode = chance(50) ? Opcode::kMini : Opcode::kRemui,
           .rd = count,
           .rs1 = reg(),
           .imm = static_cast<int32_t>(trips)});
    const auto cursor = static_cast<uint8_t>(5 + depth);  // out of reach of dest() while the loop is open
    const bool has_cursor = chance(40);
    const uint16_t cursors_before = cursors_;
    if (has_cursor) {
      put({.opcode = Opcode::kLi, .rd = cursor, .imm = static_cast<int32_t>(pick(8))});
      cursors_ = static_cast<uint16_t>(cursors_ | 1u << cursor);
    }

    loops_.push_back({here(), {}, {}});
    put({.opcode = Opcode::kLoop, .rd = dest(), .rs1 = count, .imm = 0});
    block(depth + 1, statements);
    if (has_cursor) {
      put({.opcode = Opcode::kSpLd1, .rd = dest(), .rs1 = cursor});
      put({.opcode = Opcode::kAddi,
           .rd = cursor,
           .rs1 = cursor,
           .imm = care() ? static_cast<int32_t>(pick(4)) : 8});
    }
    const OpenLoop done = loops_.back();
    loops_.pop_back();
    cursors_ = cursors_before;
    for (const uint32_t pc : done.continues) patch(pc);
    program_.code[done.begin].imm =
        pack_loop(static_cast<uint32_t>(care() ? trips : 1 + pick(trips)), here() - done.begin - 1);
    put({.opcode = Opcode::kEndLoop});
    // A search: what the loop did not find ends here, and only a break goes on.
    if (!done.breaks.empty() && chance(30)) end_path();
    for (const uint32_t pc : done.breaks) patch(pc);
  }

  // Out of, or to the next round of, any of the loops around.
  void leave_loop() {
    const auto levels = static_cast<uint8_t>(1 + pick(loops_.size()));
    OpenLoop& target = loops_[loops_.size() - levels];
    if (chance(50)) target.breaks.push_back(branch(levels));
    else target.continues.push_back(branch(static_cast<uint8_t>(levels - 1)));
  }

  void statement(size_t depth, int statements) {
    const uint64_t kind = pick(100);
    if (kind < 34) arithmetic();
    else if (kind < 52) memory();
    else if (kind < 62) scratchpad();
    else if (kind < 67) bulk(depth);
    else if (kind < 70) remote();
    else if (kind < 74) put({.opcode = Opcode::kEmit, .rs1 = reg()});
    else if (kind < 76)
      put({.opcode = Opcode::kPlLd8,
           .rd = dest(),
           .rs1 = masked(0xf8),
           .imm = static_cast<int32_t>(pick(32))});
    else if (kind < 80) compared();
    else if (kind < 88) conditional(depth, statements);
    else if (kind < 96 && depth < kMaxLoopDepth) loop(depth, statements);
    else if (kind < 98 && !loops_.empty()) leave_loop();
    else if (kind < 99) early_end();
    else put({.opcode = Opcode::kWait});
  }

  void block(size_t depth, int statements) {
    constexpr uint32_t kLongEnough = 400;
    for (int i = 0; i < statements && here() < kLongEnough; ++i) statement(depth, statements / 2);
    if (here() == 0 || statements == 0) arithmetic();  // a block has at least one instruction
  }

  void early_end() {
    const uint32_t over = branch();
    end_path();
    patch(over);
  }

  void end_path() {
    if (chance(85)) put({.opcode = Opcode::kRet, .imm = static_cast<int32_t>(pick(5))});
    else put({.opcode = Opcode::kFail, .imm = static_cast<int32_t>(pick(1000))});
  }

  Choices& random_;
  const bool is_careful_;
  Program program_;
  std::vector<OpenLoop> loops_;
  uint16_t cursors_ = 0;
};

// One field of one instruction becomes something else that still decodes.
void mutate(Choices& random, Program& program) {
  Instruction& target = program.code[random() % program.code.size()];
  for (int attempt = 0; attempt < 16; ++attempt) {
    uint64_t word = encode(target);
    switch (random() % 4) {
      case 0: word ^= uint64_t{1} << (random() % 64); break;
      case 1: word ^= uint64_t{random() % 16} << (8 + 4 * (random() % 6)); break;
      case 2: word = (word & 0xffff'ffff) | interesting_word(random) << 32; break;
      default:
        word = (word & ~uint64_t{0xff}) |
               static_cast<uint64_t>(all_instructions()[random() % all_instructions().size()].opcode);
    }
    if (const auto instruction = decode(word)) {
      target = *instruction;
      return;
    }
  }
}

}  // namespace

Program ProgramGenerator::program(Style style) {
  Program program = Writer(random_, style).write();
  if (style == Style::kMutated) {
    for (uint64_t i = 0, count = 1 + random_() % 4; i < count; ++i) mutate(random_, program);
  }
  TIARA_CHECK(check_well_formed(program).has_value());
  return program;
}

Input ProgramGenerator::input(const Program& program) {
  Input input{.arguments = {}, .payload = std::vector<std::byte>(random_() % 513), .memory_seed = random_()};
  for (const ArgumentContract& contract : program.arguments) {
    const uint64_t span = contract.max - contract.min;
    uint64_t value = contract.min + (span == UINT64_MAX ? interesting_word(random_) : random_() % (span + 1));
    if (random_() % 4 == 0) value = random_() % 2 ? contract.min : contract.max;
    value &= ~contract.known_zero;
    while (!contract.admits(value)) {  // rounded down below the minimum: the next multiple is as good as any
      value = (value | contract.known_zero) + 1;
      if (value > contract.max) value = 0;
    }
    input.arguments.push_back(value);
  }
  fill_memory(random_(), input.payload);
  return input;
}

void fill_memory(uint64_t seed, std::span<std::byte> memory) {
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < memory.size(); at += 8) {
    uint64_t word = random();
    if (word % 4 == 0) word = 0;
    else if (word % 4 == 1) word = word >> 8 & 0xff8;
    else if (word % 4 == 2) word = word >> 8 & 63;
    std::memcpy(&memory[at], &word, std::min<size_t>(8, memory.size() - at));
  }
}

}  // namespace tiara::nic::fuzz
