// What has no translation is refused with the line of the C and words that say what to do.
#include "tests/unit/nic/cc/compile.h"

using namespace tiara;
using namespace tiara::nic::cc;

namespace {

const std::string kHead = R"(#include "tiara_op.h"
TIARA_OPERATOR(subject, 1, .reply_bytes = 64);
TIARA_REGION(0, data, TIARA_READ | TIARA_WRITE | TIARA_ATOMIC);
TIARA_ARGUMENT(0, a, 0, 1000, 0);
TIARA_ARGUMENT(1, b, 0, ~0ull, 0);
)";

struct Case {
  const char* name;
  const char* text;     // behind kHead, so that its first line is line 6
  const char* message;  // a part of it
  int line;             // 0: the message names none
};

const Case kCases[] = {
    {"a loop without a bound",
     "u64 subject(u64 a, u64 b) {\n"
     "  u64 sum = 0;\n"
     "  for (u64 i = 0; i < a; ++i)\n"
     "    sum += tiara_ld8(data, i * 8);\n"
     "  return sum;\n}\n",
     "a loop without a bound; write TIARA_LOOP", 9},
    {"a bound that is not constant",
     "u64 subject(u64 a, u64 b) {\n"
     "  u64 sum = 0;\n"
     "  TIARA_LOOP(i, a, b) sum += tiara_ld8(data, i * 8);\n"
     "  return sum;\n}\n",
     "the bound of a loop is a constant from 1", 8},
    {"five loops inside each other",
     "u64 subject(u64 a, u64 b) {\n"
     "  TIARA_LOOP(i, a, 9) TIARA_LOOP(j, a, 9) TIARA_LOOP(k, a, 9) TIARA_LOOP(l, a, 9)\n"
     "    TIARA_LOOP(m, a, 9) tiara_st8(data, m, i + j + k + l);\n"
     "  return 0;\n}\n",
     "loops nest deeper than 4", 8},
    {"an indirect call",
     "u64 subject(u64 a, u64 b) {\n"
     "  u64 (*f)(u64) = (u64 (*)(u64))b;\n"
     "  return f(a);\n}\n",
     "an indirect call", 8},
    {"an unknown function",
     "extern u64 outside(u64);\n"
     "u64 subject(u64 a, u64 b) {\n"
     "  return outside(a);\n}\n",
     "a call of outside, which tiara_op.h does not have", 8},
    {"a BPF helper",
     "u64 subject(u64 a, u64 b) {\n"
     "  return ((u64 (*)(void))5)();\n}\n",
     "a call of BPF helper 5", 7},
    {"a recursive function",
     "static __attribute__((noinline)) u64 f(u64 n) { return n < 2 ? n : f(n - 1) * f(n - 2); }\n"
     "u64 subject(u64 a, u64 b) {\n"
     "  return f(a);\n}\n",
     "a call of a function that was not inlined", 8},
    {"an atomic operation on C memory",
     "u64 subject(u64 a, u64 b) {\n"
     "  u64 local = a;\n"
     "  __sync_fetch_and_add(&local, b);\n"
     "  return local;\n}\n",
     "an atomic operation on C memory", 8},
    {"an address as a number",
     "u64 subject(u64 a, u64 b) {\n"
     "  volatile u64 local = a;\n"
     "  tiara_emit((u64)&local);\n"
     "  return 0;\n}\n",
     "the address of a local variable is used as a number", 8},
    {"a pointer from nowhere",
     "u64 subject(u64 a, u64 b) {\n"
     "  return *(u64 *)b;\n}\n",
     "a pointer is followed", 7},
    {"a global variable",
     "u64 counter;\n"
     "u64 subject(u64 a, u64 b) {\n"
     "  return ++counter;\n}\n",
     "the global variable or string counter", 8},
    {"a change of byte order",
     "u64 subject(u64 a, u64 b) {\n"
     "  return __builtin_bswap64(a);\n}\n",
     "a change of byte order", 7},
    {"a region that is not constant",
     "u64 subject(u64 a, u64 b) {\n"
     "  return tiara_ld8(a, b);\n}\n",
     "tiara_ld8: parameter 1 is a region number", 7},
    {"a region that is not declared",
     "u64 subject(u64 a, u64 b) {\n"
     "  return tiara_ld8(3, b);\n}\n",
     "tiara_ld8: parameter 1 is a region number", 7},
    {"a reason that is not constant",
     "u64 subject(u64 a, u64 b) {\n"
     "  tiara_fail(a);\n}\n",
     "tiara_fail takes a constant", 7},
    {"a line that is not aligned in the scratchpad",
     "u64 subject(u64 a, u64 b) {\n"
     "  tiara_ldline(8, data, a);\n"
     "  return 0;\n}\n",
     "tiara_ldline: parameter 1 is a scratchpad offset", 7},
    {"an argument that is not declared",
     "u64 subject(u64 a, u64 b, u64 c) {\n"
     "  return a + c;\n}\n",
     "argument 2 is used but not declared", 0},
    {"a function of another name", "u64 other(u64 a, u64 b) { return a; }\n",
     "there is no function subject", 0},
    {"two operators in a file",
     "TIARA_META_(second, .kind = 1, .index = 1, .name = \"second\");\n"
     "u64 subject(u64 a, u64 b) { return a; }\n",
     "declares two operators", 0},
    {"a region number with a gap",
     "TIARA_REGION(2, other, TIARA_READ);\n"
     "u64 subject(u64 a, u64 b) { return a; }\n",
     "numbered from 0 without gaps", 0},
};

}  // namespace

TEST_CASE("C that has no translation is refused with its line and the reason") {
  for (const Case& each : kCases) {
    INFO(each.name);
    const auto made = translate(compile_text(kHead + each.text));
    REQUIRE_FALSE(made.has_value());
    INFO(made.error().message);
    CHECK(made.error().code == ErrorCode::kRejected);
    CHECK(made.error().message.find(each.message) != std::string::npos);
    if (each.line != 0) {
      CHECK(made.error().message.find("subject.c:" + std::to_string(each.line) + ":") !=
            std::string::npos);
    }
  }
}

TEST_CASE("an object without declarations is refused") {
  const auto made =
      translate(compile_text("unsigned long long subject(unsigned long long a) { return a; }\n"));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().message.find("no operator is declared") != std::string::npos);
}

TEST_CASE("without -g the reason comes without a line") {
  const auto made = translate(compile_text(kHead + kCases[0].text, "-g0"));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().message.rfind("a loop without a bound", 0) == 0);
}

TEST_CASE("an object for this machine is refused") {
  const auto made = translate(compile_text(kHead + "u64 subject(u64 a, u64 b) { return a; }\n",
                                           "-target x86_64-linux-gnu -mcpu=x86-64"));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().message.find("clang -target bpf") != std::string::npos);
}
