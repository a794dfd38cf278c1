// Translates a verified program to x86-64, one instruction after the other.
//
// There are two variants of the body, each with a frame of its own: one without the checks that the verifier proved for
// regions of at least some size, and one with all of them, for an invocation whose regions are smaller.
//
// Counts cost almost nothing: they are kept at compile time along each path ("pending") and added to the Outcome only
// where paths of different counts meet, where loops end, and at exits. An iteration counts nothing: whoever leaves a
// loop adds the loop's index times what one iteration counts. Where paths would meet just before a RET or FAIL, each
// gets its own copy of those few instructions instead ("tail"). Checks that can fail jump to stubs behind the
// code, which know the instruction, the reason, and the counts to add: faults are as precise as the interpreter's.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "nic/engine/jit_code.h"
#include "nic/engine/jit_frame.h"
#include "runtime/base/check.h"

namespace tiara::nic::jit {

// Counts since they were last added to the Outcome.
struct Pending {
  int32_t steps = 0, loads = 0, stores = 0, lines = 0, atomics = 0;
  friend bool operator==(const Pending&, const Pending&) = default;
  bool is_zero() const { return *this == Pending{}; }
  friend Pending operator-(const Pending& a, const Pending& b) {
    return {a.steps - b.steps, a.loads - b.loads, a.stores - b.stores, a.lines - b.lines, a.atomics - b.atomics};
  }
};

// Fields of the Outcome.
inline constexpr int32_t kStatusAt = offsetof(Outcome, status);
inline constexpr int32_t kCodeAt = offsetof(Outcome, code);
inline constexpr int32_t kPcAt = offsetof(Outcome, pc);
inline constexpr int32_t kResultsAt = offsetof(Outcome, results);
inline constexpr int32_t kCountsAt = offsetof(Outcome, counts);

class Compiler {
 public:
  Compiler(const VerifiedProgram& program, Checks checks, asmjit::CodeHolder& code);

  void compile();
  bool needs_machine() const { return needs_machine_; }

 private:
  enum class Variant : uint8_t { kChecked, kElided };

  struct Target {
    asmjit::Label label;
    std::optional<Pending> pending;  // what every path to here has; none: nothing has come yet
  };
  // What one iteration of a loop counts is known at its end; stubs are written after that.
  struct LoopCounts {
    std::optional<Gp> host;   // of the index
    Mem slot;                 // of the index, without a host or when a call has destroyed it
    Pending per_iteration;
  };
  using LoopIds = std::vector<uint32_t>;  // into loop_counts_
  struct FaultStub {
    asmjit::Label label;
    std::optional<Fault> fault;  // none: in eax
    uint32_t pc;
    Pending pending;
    LoopIds loops;
  };
  struct MergeStub {
    asmjit::Label from;
    asmjit::Label to;
    Pending difference;
    LoopIds loops;  // left by this edge
  };
  // Arithmetic, a few instructions at most, and the RET or FAIL at `last`.
  struct Tail {
    uint32_t first, last;
  };
  struct ExitStub {
    asmjit::Label label;
    Tail tail;
    Pending pending;  // before `first`
    LoopIds loops;
  };
  struct OpenLoop {
    uint32_t pc;
    uint32_t end;
    uint32_t id;              // into loop_counts_
    Pending at_head;
    asmjit::Label head;
    bool has_own_index;   // the body writes rd: the index is kept apart
    bool has_own_trips;   // the body writes rs1: the trip count is kept apart
  };
  // An address inside a region, or in the scratchpad: register + displacement.
  struct Address {
    std::optional<Gp> reg;
    int32_t displacement = 0;
  };

  // --- the whole (jit_compiler.cc) ---
  void find_proved();
  void check_arguments();
  void check_regions();
  bool check_extents(const asmjit::Label& too_small);
  void variant(Variant variant);
  void prologue();
  void enter(const std::array<uint64_t, kValues>& weights);
  void body();
  void epilogue();
  bool is_elided(uint32_t pc) const { return variant_ == Variant::kElided && proved_[pc]; }

  // --- one instruction ---
  void instruction(const Instruction& i);
  void control(const Instruction& i);
  void loop(const Instruction& i);
  void end_loop();
  void branch(const Instruction& i);
  OpenLoop open_loop(uint32_t pc) const;
  void call(const Instruction& i);

  // --- arithmetic (jit_arithmetic.cc) ---
  void arithmetic(const Instruction& i);
  void two_operands(const Instruction& i);
  void in_place(asmjit::InstId id, const Instruction& i, const asmjit::Operand& b);
  void shift(const Instruction& i, bool is_immediate);
  void divide(const Instruction& i, const asmjit::Operand& b, bool wants_remainder);
  void choose(const Instruction& i, const asmjit::Operand& b, asmjit::x86::CondCode take_b);
  void set(const Instruction& i, const asmjit::Operand& b, asmjit::x86::CondCode condition);
  void extract(const Gp& to, const Gp& from, uint32_t lsb, uint32_t width);

  // --- memory (jit_memory.cc) ---
  void memory(const Instruction& i);
  void load(const Instruction& i);
  void load_indexed(const Instruction& i);
  void store(const Instruction& i);
  void load_line(const Instruction& i);
  void scratchpad(const Instruction& i, bool is_load);
  void atomic(const Instruction& i);
  void prefetch(const Instruction& i);
  Address address(const Instruction& i);
  Gp offset_of(Address& address);
  void check_bounds(Address& address, uint32_t region, uint32_t bytes);
  void check_alignment(Address& address, uint32_t bytes);
  Mem at(const Address& address, const Gp& base, uint32_t bytes);
  void read(const Gp& to, const Mem& from, Opcode opcode);
  void write(const Mem& to, const Gp& from, uint32_t bytes);

  // --- values ---
  // The register that holds the value, or `scratch` after loading it.
  Gp use(uint32_t value, const Gp& scratch);
  // The operand that holds the value: a register or its slot.
  asmjit::Operand operand(uint32_t value) const;
  // The register to compute rd in, and what must follow.
  Gp target(uint32_t reg, const Gp& scratch) const;
  void commit(uint32_t reg, const Gp& computed);
  void move(const Gp& to, uint32_t value);
  void emit(asmjit::InstId id, const asmjit::Operand& a, const asmjit::Operand& b);

  // --- paths, counts and exits (jit_paths.cc) ---
  Gp outcome();  // its address; uses rax
  enum class After : uint8_t { kCode, kCall };
  // What is pending, and the iterations of `loops`. Uses rax and rdx.
  void add_to_counts(const Pending& pending, const LoopIds& loops, After after);
  // rdx = count + iterations of the loop times what each counts.
  void multiply_add(const LoopCounts& loop, After after, int32_t by, int32_t count);
  // The loops that are open here and do not reach `to`; all of them for an exit.
  LoopIds loops_left(uint32_t to) const;
  void retire() { ++pending_->steps; }
  // Jumps to the instruction at `to` when `condition` holds (none: always), with the counts of here.
  void edge(std::optional<asmjit::x86::CondCode> condition, uint32_t to);
  void fault_if(asmjit::x86::CondCode condition, Fault fault);
  asmjit::Label fault_stub(std::optional<Fault> fault);
  std::optional<Tail> tail_at(uint32_t pc) const;
  void ret();
  void leave(const Tail& tail, Pending pending, const LoopIds& loops);
  void stubs();

  const VerifiedProgram& verified_;
  const Program& program_;
  Checks checks_;
  asmjit::x86::Assembler a_;
  bool has_calls_ = false;       // some instruction is Machine::execute()'s
  bool needs_machine_ = false;   // for that, or for the scratchpad
  std::vector<bool> proved_;                       // by pc: the bounds check is not needed in the elided variant
  std::array<uint64_t, kMaxRegions> extents_{};    // sizes that make `proved_` true
  bool has_elided_ = false;
  std::optional<Frame> frame_;

  Variant variant_ = Variant::kChecked;
  uint32_t pc_ = 0;
  std::optional<Pending> pending_;                 // none: no path leads here
  std::vector<Target> targets_;
  std::vector<OpenLoop> loops_;
  std::vector<FaultStub> fault_stubs_;
  std::vector<MergeStub> merge_stubs_;
  std::vector<ExitStub> exit_stubs_;
  std::vector<LoopCounts> loop_counts_;
  asmjit::Label argument_refused_, region_refused_;
};

}  // namespace tiara::nic::jit
