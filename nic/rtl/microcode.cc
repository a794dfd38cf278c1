#include "nic/rtl/microcode.h"

#include "nic/isa/opcode.h"
#include "nic/isa/outcome.h"
#include "runtime/base/check.h"

namespace tiara::nic::rtl {
namespace {

// Which frame a result goes to.
enum FrameDestination : uint8_t { kNextFrame, kTopFrame, kRdOfFrame };

constexpr uint8_t kAlign8 = 1, kAlign64 = 2;

// The rows that compute and the rows that ask memory, without what differs.
constexpr Uop with_constant(Uop row, uint8_t value) {
  row.b = kBConst;
  row.permission = value >> 5;
  row.align = value >> 3 & 3;
  row.length = value & 7;
  return row;
}
constexpr Uop to_temp(Uop row, Temp number) {
  row.dst = kDstTemp;
  row.temp = number;
  return row;
}
constexpr Uop then(Uop row, uint8_t next, uint8_t sel_a = kRs1, uint8_t sel_b = kRs2) {
  row.next = next;
  row.sel_a = sel_a;
  row.sel_b = sel_b;
  return row;
}
// To `next` when the condition does not hold, else to next + 1.
constexpr Uop fork(Uop row, uint8_t next, uint8_t sel_a = kRs1, uint8_t sel_b = kRs2) {
  row.is_fork = 1;
  return then(row, next, sel_a, sel_b);
}
constexpr Uop faulting(Fault fault) {
  const auto code = static_cast<uint8_t>(fault);
  return {.unit = kUnitEnd, .kind = kEntNone, .op = kOpEndFault, .permission = static_cast<uint8_t>(code >> 1),
          .align = static_cast<uint8_t>(code << 1 & 2)};
}

constexpr uint8_t kFirstFree = 1;

class Assembler {
 public:
  Microcode run() {
    endings();
    moves();
    arithmetic();
    branches();
    loops();
    memory();
    reply_and_payload();
    bulk();
    elements();
    remote();
    return code_;
  }

 private:
  void set(uint8_t row, const Uop& uop) {
    TIARA_CHECK(!code_.is_used[row]);
    code_.rows[row] = uop;
    code_.is_used[row] = true;
  }
  void at(Opcode opcode, Uop uop) {
    uop.is_instruction = 1;
    set(static_cast<uint8_t>(opcode), uop);
  }
  bool is_free(uint32_t row) const {
    return !is_taken_[row] && find_instruction(static_cast<uint8_t>(row)) == nullptr;
  }
  uint8_t allocate() {
    uint32_t row = kFirstFree;
    while (!is_free(row)) ++row;
    TIARA_CHECK(row < code_.rows.size());
    is_taken_[row] = true;
    return static_cast<uint8_t>(row);
  }
  // The even one of two.
  uint8_t allocate_pair() {
    uint32_t row = kFirstFree + 1;
    while (!is_free(row) || !is_free(row + 1)) row += 2;
    TIARA_CHECK(row + 1 < code_.rows.size());
    is_taken_[row] = is_taken_[row + 1] = true;
    return static_cast<uint8_t>(row);
  }
  uint8_t add(const Uop& uop) {
    const uint8_t row = allocate();
    set(row, uop);
    return row;
  }

  void endings();
  void moves();
  void arithmetic();
  void branches();
  void loops();
  void memory();
  void reply_and_payload();
  void bulk();
  void elements();
  void remote();

  Microcode code_;
  std::array<bool, 257> is_taken_{};
  uint8_t choose_reg_ = 0, choose_imm_ = 0;  // rd = flag ? a : b
};

void Assembler::endings() {
  code_.fault = add({.unit = kUnitEnd, .kind = kEntNone, .op = kOpEndFault});
  code_.illegal = add(faulting(Fault::kIllegalInstruction));
  code_.spent = add(faulting(Fault::kStepBudget));
  // One result a row; the core stops after the last that is wanted. The first one's register field is r0. How many are
  // wanted goes along as the length, as the reason of FAIL does.
  uint8_t next = 0;
  for (uint8_t result = 3; result > 0; --result) {
    const Uop row{.unit = kUnitEnd, .temp = result, .kind = kEntNone, .op = kOpEndOk, .length = kLenImm};
    next = add(then(row, next, kRs1, static_cast<uint8_t>(kR0 + result + 1)));
  }
  at(Opcode::kRet, then({.unit = kUnitEnd, .kind = kEntNone, .op = kOpEndOk, .length = kLenImm}, next, kRs1, kR1));
  at(Opcode::kFail, {.unit = kUnitEnd, .kind = kEntNone, .op = kOpEndFailed, .length = kLenImm});
  at(Opcode::kWait, {.unit = kUnitMemory, .pc = kPcNext, .kind = kEntNone, .op = kOpFence});
}

void Assembler::moves() {
  const Uop value{.is_a_zero = 1, .b = kBRegA, .dst = kDstRd, .pc = kPcNext};
  const auto shifted = [&](ShCode shift) {
    Uop row = value;
    row.shift = shift;
    return row;
  };
  Uop immediate = value;
  immediate.b = kBImm;
  at(Opcode::kLi, immediate);
  at(Opcode::kMov, value);
  at(Opcode::kBfx, shifted(kShField));
  at(Opcode::kBfxs, shifted(kShFieldS));
  const uint8_t merge = add({.b = kBRegB, .shift = kShLow32, .dst = kDstRd, .pc = kPcNext});
  at(Opcode::kLih, then(to_temp({.is_a_zero = 1, .b = kBImm, .shift = kShUp32}, kScratch), merge,
      temp(kScratch), kRd));
  const uint8_t copy = add(value);
  at(Opcode::kPlen, then({}, copy, temp(kPayloadBytes)));
  choose_reg_ = add({.is_choice = 1, .b = kBRegB, .dst = kDstRd, .pc = kPcNext});
  choose_imm_ = add({.is_choice = 1, .b = kBImm, .dst = kDstRd, .pc = kPcNext});
  at(Opcode::kSel, then(with_constant({.condition = kCondZero, .is_inverted = 1, .sets_flag = 1}, 0),
      choose_reg_, kRs2, kRs3));
}

void Assembler::arithmetic() {
  const auto both = [&](Opcode opcode, Uop row) {
    row.b = kBRegB;
    at(opcode, row);
    row.b = kBImm;
    if (row.next == choose_reg_) row.next = choose_imm_;
    at(static_cast<Opcode>(static_cast<uint8_t>(opcode) + 0x20), row);
  };
  const auto plain = [&](Opcode opcode, AluCode alu) { both(opcode, {.alu = alu, .dst = kDstRd, .pc = kPcNext}); };
  plain(Opcode::kAdd, kAluAdd);
  plain(Opcode::kSub, kAluSub);
  plain(Opcode::kAnd, kAluAnd);
  plain(Opcode::kOr, kAluOr);
  plain(Opcode::kXor, kAluXor);

  const auto shift = [&](Opcode opcode, ShCode how) {
    Uop row{.is_a_zero = 1, .b = kBRegA, .shift = how, .dst = kDstRd, .pc = kPcNext};
    at(opcode, row);
    row.amount = 1;
    at(static_cast<Opcode>(static_cast<uint8_t>(opcode) + 0x20), row);
  };
  shift(Opcode::kShl, kShLeft);
  shift(Opcode::kShr, kShRight);
  shift(Opcode::kSar, kShArith);

  // The smaller or larger one takes two turns: compare, then choose.
  const auto choose = [&](Opcode opcode, CondCode condition, uint8_t is_inverted) {
    both(opcode, then({.alu = kAluSub, .condition = condition, .is_inverted = is_inverted, .sets_flag = 1},
        choose_reg_));
  };
  choose(Opcode::kMin, kCondLtu, 0);
  choose(Opcode::kMax, kCondLtu, 1);
  choose(Opcode::kMins, kCondLts, 0);
  choose(Opcode::kMaxs, kCondLts, 1);

  const auto compare = [&](Opcode opcode, CondCode condition, uint8_t is_inverted) {
    both(opcode, {.alu = kAluSub, .condition = condition, .is_inverted = is_inverted, .dst = kDstRd,
        .is_flag_result = 1,
                  .sets_flag = 1, .pc = kPcNext});
  };
  compare(Opcode::kSeteq, kCondZero, 0);
  compare(Opcode::kSetne, kCondZero, 1);
  compare(Opcode::kSetltu, kCondLtu, 0);
  compare(Opcode::kSetleu, kCondLeu, 0);
  compare(Opcode::kSetlts, kCondLts, 0);
  compare(Opcode::kSetles, kCondLes, 0);

  const auto serial = [&](Opcode opcode, SerCode job) {
    both(opcode, {.unit = kUnitSerial, .dst = kDstRd, .pc = kPcNext, .op = job});
  };
  serial(Opcode::kMul, kSerMul);
  serial(Opcode::kDivu, kSerDivu);
  serial(Opcode::kRemu, kSerRemu);
  const auto count = [&](Opcode opcode, SerCode job) {
    at(opcode, with_constant({.unit = kUnitSerial, .dst = kDstRd, .pc = kPcNext, .op = job}, 1));
  };
  count(Opcode::kPopcnt, kSerPopcnt);
  count(Opcode::kCtz, kSerCtz);
  count(Opcode::kClz, kSerClz);
}

void Assembler::branches() {
  at(Opcode::kJump, {.condition = kCondAlways, .pc = kPcBranch});
  const auto both = [&](Opcode opcode, CondCode condition, uint8_t is_inverted) {
    Uop row{.b = kBRegB, .alu = kAluSub, .condition = condition, .is_inverted = is_inverted, .pc = kPcBranch};
    at(opcode, row);
    row.b = kBImm;
    row.shift = kShHigh16;
    at(static_cast<Opcode>(static_cast<uint8_t>(opcode) + 8), row);
  };
  both(Opcode::kBeq, kCondZero, 0);
  both(Opcode::kBne, kCondZero, 1);
  both(Opcode::kBltu, kCondLtu, 0);
  both(Opcode::kBgeu, kCondLtu, 1);
  both(Opcode::kBlts, kCondLts, 0);
  both(Opcode::kBges, kCondLts, 1);
  const auto bit = [&](Opcode opcode, uint8_t is_inverted) {
    Uop row{.is_a_zero = 1, .b = kBRegA, .shift = kShBit, .condition = kCondZero,
        .is_inverted = is_inverted, .pc = kPcBranch};
    at(opcode, row);
    row.amount = 2;
    at(static_cast<Opcode>(static_cast<uint8_t>(opcode) + 8), row);
  };
  bit(Opcode::kBset, 1);
  bit(Opcode::kBclr, 0);
}

void Assembler::loops() {
  // The frame is written before rd, which may be the register of the trip count.
  const uint8_t enter = add({.is_a_zero = 1, .b = kBRegA, .condition = kCondFrame, .dst = kDstRd, .is_flag_result = 1,
                             .pc = kPcLoop});
  const uint8_t in_bound = allocate_pair();
  Uop frame{.is_frame = 1, .b = kBRegA, .shift = kShUp20, .dst = kDstFrame};
  frame.temp = kNextFrame;
  set(in_bound, then(frame, enter, kFrameNext));
  set(in_bound + 1, faulting(Fault::kLoopBound));
  at(Opcode::kLoop, fork({.b = kBImm, .shift = kShLow20, .alu = kAluSub, .condition = kCondLeu,
      .is_inverted = 1}, in_bound));

  const uint8_t repeat = add({.is_a_zero = 1, .b = kBRegA, .alu = kAluInc, .condition = kCondFrame, .dst = kDstFrame,
                              .temp = kTopFrame, .pc = kPcEndLoop});
  at(Opcode::kEndLoop, then({.is_a_zero = 1, .b = kBRegA, .shift = kShLow20, .alu = kAluInc, .dst = kDstFrame,
                             .temp = kRdOfFrame}, repeat, kFrame));
}

void Assembler::memory() {
  const Uop region{.unit = kUnitMemory, .is_absolute = 1, .b = kBImm, .pc = kPcNext, .kind = kEntRegion,
      .is_bounded = 1};
  const auto load = [&](Opcode opcode, LenCode length, uint8_t is_signed, bool is_indexed) {
    Uop row = region;
    row.dst = kDstRd;
    row.op = kOpLoad;
    row.permission = kPermRead;
    row.length = length;
    row.is_signed = is_signed;
    if (is_indexed) {
      row.is_absolute = 0;
      row.b = kBRegB;
      row.shift = kShIndex;
    }
    at(opcode, row);
  };
  load(Opcode::kLd1, kLen1, 0, false);
  load(Opcode::kLd2, kLen2, 0, false);
  load(Opcode::kLd4, kLen4, 0, false);
  load(Opcode::kLd8, kLen8, 0, false);
  load(Opcode::kLds1, kLen1, 1, false);
  load(Opcode::kLds2, kLen2, 1, false);
  load(Opcode::kLds4, kLen4, 1, false);
  load(Opcode::kLd1x, kLen1, 0, true);
  load(Opcode::kLd2x, kLen2, 0, true);
  load(Opcode::kLd4x, kLen4, 0, true);
  load(Opcode::kLd8x, kLen8, 0, true);

  const auto store = [&](Opcode opcode, LenCode length) {
    Uop row = region;
    row.op = kOpStore;
    row.permission = kPermWrite;
    row.length = length;
    at(opcode, row);
    row.kind = kEntPad;
    row.op = kOpPadStore;
    row.permission = kPermNone;
    at(static_cast<Opcode>(static_cast<uint8_t>(opcode) + 8), row);  // the scratchpad's
  };
  store(Opcode::kSt1, kLen1);
  store(Opcode::kSt2, kLen2);
  store(Opcode::kSt4, kLen4);
  store(Opcode::kSt8, kLen8);

  const auto pad_load = [&](Opcode opcode, LenCode length) {
    Uop row = region;
    row.dst = kDstRd;
    row.kind = kEntPad;
    row.op = kOpPadLoad;
    row.length = length;
    at(opcode, row);
  };
  pad_load(Opcode::kSpLd1, kLen1);
  pad_load(Opcode::kSpLd2, kLen2);
  pad_load(Opcode::kSpLd4, kLen4);
  pad_load(Opcode::kSpLd8, kLen8);

  // A line: permission and alignment, then the scratchpad's bounds, then the region's.
  const Uop line{.unit = kUnitMemory, .b = kBImm, .shift = kShHigh16, .kind = kEntRegion, .permission = kPermRead,
                 .align = kAlign64, .length = kLenLine};
  Uop last = line;
  last.pc = kPcNext;
  last.op = kOpLine;
  last.is_bounded = 1;
  const uint8_t load_line = add(last);
  const uint8_t check_pad = add(then({.unit = kUnitMemory, .is_a_zero = 1, .b = kBImm, .shift = kShLow16,
      .kind = kEntPad,
                                      .is_bounded = 1, .length = kLenLine}, load_line));
  at(Opcode::kLdLine, then(line, check_pad));

  // Atomics have three operands besides the immediate at most: the third goes first.
  Uop atomic = region;
  atomic.dst = kDstRd;
  atomic.permission = kPermAtomic;
  atomic.align = kAlign8;
  atomic.length = kLen8;
  atomic.op = kOpFaa;
  at(Opcode::kFaa, atomic);
  atomic.op = kOpSwp;
  at(Opcode::kSwp, atomic);
  atomic.op = kOpCas;
  const uint8_t cas = add(atomic);
  const uint8_t desired = add(then({.is_a_zero = 1, .b = kBRegA, .sets_operand = 1}, cas));
  at(Opcode::kCas, then({}, desired, kRs3));

  at(Opcode::kPrefetch, {.pc = kPcNext});  // a hint to a cache that is not there
}

void Assembler::reply_and_payload() {
  at(Opcode::kPlLd8, {.unit = kUnitMemory, .is_absolute = 1, .b = kBImm, .dst = kDstRd, .pc = kPcNext,
      .kind = kEntPayload,
                      .op = kOpPayloadLoad, .is_bounded = 1, .length = kLen8});
  Uop longer = with_constant(to_temp({}, kReplyPosition), 8);
  longer.pc = kPcNext;
  const uint8_t advance = add(longer);
  const uint8_t append = add(then({.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegA, .kind = kEntReply, .op = kOpEmit,
                                   .is_bounded = 1, .length = kLen8}, advance, temp(kReplyPosition)));
  at(Opcode::kEmit, then({.is_a_zero = 1, .b = kBRegA, .sets_operand = 1}, append, temp(kReplyPosition)));
}

void Assembler::bulk() {
  const Uop region{.unit = kUnitMemory, .is_absolute = 1, .b = kBImm, .kind = kEntRegion, .is_bounded = 1,
      .length = kLenOperand};
  const auto request = [&](OpCode op, uint8_t permission) {
    Uop row = region;
    row.op = op;
    row.permission = permission;
    return row;
  };
  // What only has to be permitted; register b becomes the length of what follows.
  const auto permitted = [](uint8_t permission) {
    return Uop{.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegB, .sets_operand = 1, .kind = kEntRegion,
        .permission = permission};
  };
  // gather: permission, room in the reply, bounds; then the reply is longer.
  Uop longer = to_temp({.b = kBRegB}, kReplyPosition);
  longer.pc = kPcNext;
  const uint8_t gather_end = add(longer);
  const uint8_t gather = add(then(request(kOpGather, kPermRead), gather_end, temp(kReplyPosition), kRs2));
  const uint8_t gather_room = add(then({.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegA,
      .kind = kEntReply, .is_bounded = 1,
                                        .length = kLenOperand}, gather, kRs1, temp(kReplyPosition)));
  at(Opcode::kGather, then(permitted(kPermRead), gather_room, temp(kReplyPosition)));

  // scatter: permission, payload, bounds.
  Uop scatter_last = request(kOpScatter, kPermWrite);
  scatter_last.pc = kPcNext;
  const uint8_t scatter = add(scatter_last);
  const uint8_t scatter_from = add(then({.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegB, .kind = kEntPayload,
                                         .is_bounded = 1, .length = kLenOperand}, scatter));
  const uint8_t scatter_length = add(then({.is_a_zero = 1, .b = kBRegA, .sets_operand = 1}, scatter_from));
  at(Opcode::kScatter, then(permitted(kPermWrite), scatter_length, kRs3));

  Uop fill_last = request(kOpFill, kPermWrite);
  fill_last.pc = kPcNext;
  const uint8_t fill = add(fill_last);
  at(Opcode::kFill, then(permitted(kPermWrite), fill, kRs1, kRs3));

  // copy: both permissions, both bounds, then the two ends of it.
  const auto at_a = [&](Uop row) {
    row.is_absolute = 0;
    row.is_a_zero = 1;
    row.b = kBRegA;
    return row;
  };
  Uop to = at_a(request(kOpCopyTo, kPermWrite));
  to.pc = kPcNext;
  const uint8_t copy_to = add(to);
  Uop from = at_a(request(kOpCopyFrom, kPermRead));
  from.kind = kEntSource;
  const uint8_t copy_from = add(then(from, copy_to));
  const uint8_t check_to = add(then(at_a(request(kOpCheck, kPermWrite)), copy_from, kRs2));
  Uop source = permitted(kPermRead);
  source.kind = kEntSource;
  const uint8_t check_from = add(then(source, check_to));
  at(Opcode::kCopy, then(permitted(kPermWrite), check_from, kRs1, kRs3));
}

// Strided and listed operations: permission; all of it fits the reply or lies in the payload; the list lies in the
// scratchpad; every element is inside the region; only then does the first one move.
void Assembler::elements() {
  const auto take = [](Temp number) { return to_temp({.is_a_zero = 1, .b = kBRegA}, number); };
  const Uop one_less = with_constant(to_temp({.alu = kAluSub, .condition = kCondZero}, kCount), 1);
  Uop counted = take(kCount);
  counted.condition = kCondZero;
  const Uop element{.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegA, .kind = kEntRegion, .is_bounded = 1,
                    .permission = kPermBulk, .length = kLenImm};
  Uop move = element;
  move.op = kOpElement;  // the opcode says which way: see req_is_scatter_o
  const Uop step = to_temp({.b = kBRegB}, kOffset);
  const Uop further = to_temp({.b = kBImm}, kPosition);
  const Uop listed = to_temp({.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegA, .kind = kEntPad, .op = kOpPadLoad,
                              .is_bounded = 1, .length = kLen8}, kListed);
  const Uop next_listed = with_constant(to_temp({}, kList), 8);

  // At the end a gather has made the reply longer.
  const uint8_t finish = allocate_pair();
  Uop longer = to_temp({.is_a_zero = 1, .b = kBRegB}, kReplyPosition);
  longer.pc = kPcNext;
  set(finish, longer);
  set(finish + 1, {.pc = kPcNext});
  const Uop done = fork({.condition = kCondBulk}, finish, kRs1, temp(kPosition));

  // Strided.
  const uint8_t s_move = allocate_pair();   // and what follows when none is left
  const uint8_t s_check = allocate_pair();  // and what follows when all are right
  const uint8_t s_moved = add(fork(one_less, s_move, temp(kOffset), temp(kPosition)));
  const uint8_t s_next = add(then(step, s_moved, temp(kCount)));
  const uint8_t s_further = add(then(further, s_next, temp(kOffset), kRs2));
  set(s_move, then(move, s_further, temp(kPosition)));
  set(s_move + 1, done);
  const uint8_t s_recount = add(fork(counted, s_move, temp(kOffset), temp(kPosition)));
  set(s_check + 1, then(to_temp({.is_a_zero = 1, .b = kBRegB}, kOffset), s_recount, kRs3));
  const uint8_t s_checked = add(fork(one_less, s_check, temp(kOffset), kRs1));
  const uint8_t s_check_next = add(then(step, s_checked, temp(kCount)));
  set(s_check, then(element, s_check_next, temp(kOffset), kRs2));
  const uint8_t s_count = add(fork(counted, s_check, temp(kOffset), kRs1));

  // Listed.
  const uint8_t l_move = allocate_pair();
  const uint8_t l_check = allocate_pair();
  const uint8_t l_moved = add(fork(one_less, l_move, temp(kList), temp(kPosition)));
  const uint8_t l_next = add(then(next_listed, l_moved, temp(kCount)));
  const uint8_t l_further = add(then(further, l_next, temp(kList)));
  const uint8_t l_issue = add(then(move, l_further, temp(kPosition)));
  const uint8_t l_add = add(then(step, l_issue, temp(kOffset), temp(kPosition)));
  set(l_move, then(listed, l_add, kRs1, temp(kListed)));
  set(l_move + 1, done);
  const uint8_t l_recount = add(fork(counted, l_move, temp(kList)));
  set(l_check + 1, then(to_temp({.is_a_zero = 1, .b = kBRegB}, kList), l_recount, kRs3));
  const uint8_t l_checked = add(fork(one_less, l_check, temp(kList), kRs2));
  const uint8_t l_check_next = add(then(next_listed, l_checked, temp(kCount)));
  Uop sum = element;
  sum.is_a_zero = 0;
  sum.b = kBRegB;
  const uint8_t l_element = add(then(sum, l_check_next, temp(kList)));
  set(l_check, then(listed, l_element, kRs1, temp(kListed)));
  const uint8_t l_count = add(fork(counted, l_check, temp(kList), kRs2));
  const uint8_t l_begin = add(then(take(kList), l_count, kRs3));
  const uint8_t l_bounds = add(then({.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegA, .kind = kEntPad,
      .is_bounded = 1,
                                     .length = kLenOperand}, l_begin, kRs2));

  // Which of the two; the flag says it.
  const uint8_t kinds = allocate_pair();
  set(kinds, then(take(kOffset), s_count, kRs3));
  set(kinds + 1, then({.is_a_zero = 1, .b = kBRegB, .shift = kShUp3, .sets_operand = 1}, l_bounds, kRs2));
  // The flag as a condition: choose between 0 and 1, and look.
  const uint8_t which = add(fork(with_constant({.is_a_zero = 1, .is_choice = 1, .condition = kCondZero,
      .is_inverted = 1},
                                               1), kinds, kRs1, kRs3));
  const uint8_t from = add(then(take(kPosition), which));

  const uint8_t room = allocate_pair();
  const Uop total{.unit = kUnitMemory, .is_a_zero = 1, .kind = kEntReply, .is_bounded = 1, .length = kLenOperand};
  Uop in_reply = total;
  in_reply.b = kBRegA;
  Uop in_payload = total;
  in_payload.b = kBRegB;
  in_payload.kind = kEntPayload;
  set(room, then(in_reply, from, temp(kReplyPosition)));
  set(room + 1, then(in_payload, from, kRd));
  const uint8_t length = add(fork({.is_a_zero = 1, .b = kBRegA, .condition = kCondBulk, .sets_operand = 1}, room,
                                  temp(kReplyPosition), kRd));
  // More than 2^32 elements fit nowhere, and their product might wrap.
  const uint8_t none_fit = allocate_pair();
  set(none_fit, faulting(Fault::kReplyBounds));
  set(none_fit + 1, faulting(Fault::kPayloadBounds));
  const uint8_t many = allocate_pair();
  set(many, then(to_temp({.unit = kUnitSerial, .b = kBImm, .op = kSerMul}, kScratch), length, temp(kScratch)));
  set(many + 1, fork({.condition = kCondBulk}, none_fit));
  const uint8_t begin = add(fork({.is_a_zero = 1, .b = kBRegA, .shift = kShDown32, .condition = kCondZero,
      .is_inverted = 1},
                                 many, kRs3));

  const auto start = [&](Opcode opcode, uint8_t permission, uint8_t is_listed) {
    // A listed one clears the flag: choosing between 0 and the constant 1 then gives 1, which is not zero.
    at(opcode, then({.unit = kUnitMemory, .is_inverted = is_listed, .sets_flag = 1, .kind = kEntRegion,
                     .permission = permission}, begin, kRs3));
  };
  start(Opcode::kGatherS, kPermRead, 0);
  start(Opcode::kGatherL, kPermRead, 1);
  start(Opcode::kScatterS, kPermWrite, 0);
  start(Opcode::kScatterL, kPermWrite, 1);
}

// The host is the request's data; what else is needed goes before.
void Assembler::remote() {
  const auto request = [](OpCode op, DstCode dst) {
    return Uop{.unit = kUnitMemory, .is_absolute = 1, .b = kBImm, .dst = dst, .pc = kPcNext,
        .kind = kEntNone, .op = op,
               .align = kAlign8, .length = kLen8};
  };
  at(Opcode::kRLd8, request(kOpRemoteLoad, kDstRd));
  const Uop operand{.is_a_zero = 1, .b = kBRegA, .sets_operand = 1};
  const auto with_operand = [&](Opcode opcode, OpCode op, DstCode dst) {
    const uint8_t last = add(request(op, dst));
    const uint8_t third = add(then(operand, last));
    at(opcode, then({}, third, kRs3));
  };
  with_operand(Opcode::kRSt8, kOpRemoteStore, kDstNone);
  with_operand(Opcode::kRFaa, kOpRemoteFaa, kDstRd);
  with_operand(Opcode::kRSwp, kOpRemoteSwp, kDstRd);

  const Uop argument{.unit = kUnitMemory, .kind = kEntNone, .op = kOpRemoteArgument};
  const uint8_t cas = add(request(kOpRemoteCas, kDstRd));
  const uint8_t desired = add(then(operand, cas));
  const uint8_t expected = add(then(argument, desired, kRs3));
  at(Opcode::kRCas, then({}, expected, kRs1, kRd));

  Uop longer = to_temp({.b = kBRegB}, kReplyPosition);
  longer.pc = kPcNext;
  const uint8_t end = add(longer);
  Uop gather_row = request(kOpRemoteGather, kDstNone);
  gather_row.pc = kPcHold;
  gather_row.align = 0;
  gather_row.length = kLenOperand;
  const uint8_t gather = add(then(gather_row, end, temp(kReplyPosition), kRs3));
  const uint8_t position = add(then(argument, gather));
  const uint8_t room = add(then({.unit = kUnitMemory, .is_a_zero = 1, .b = kBRegA, .kind = kEntReply, .is_bounded = 1,
                                 .length = kLenOperand}, position, kRs1, temp(kReplyPosition)));
  const uint8_t length = add(then(operand, room, temp(kReplyPosition)));
  at(Opcode::kRGather, then({}, length, kRs3));
}

}  // namespace

Microcode assemble_microcode() { return Assembler().run(); }

}  // namespace tiara::nic::rtl
