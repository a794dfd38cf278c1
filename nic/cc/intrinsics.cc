#include "nic/cc/intrinsics.h"

#include <algorithm>
#include <iterator>

namespace tiara::nic::cc {
namespace {

using enum IntrinsicKind;

constexpr Intrinsic kIntrinsics[] = {
    {"tiara_loop_begin", kLoopBegin, Opcode::kLoop, "aII"},
    {"tiara_loop_next", kLoopNext, Opcode::kEndLoop, "I"},
    {"tiara_argument", kArgument, Opcode::kMov, "I"},
    {"tiara_ret0", kReturn, Opcode::kRet, ""},
    {"tiara_ret1", kReturn, Opcode::kRet, "a"},
    {"tiara_ret2", kReturn, Opcode::kRet, "aa"},
    {"tiara_ret3", kReturn, Opcode::kRet, "aaa"},
    {"tiara_ret4", kReturn, Opcode::kRet, "aaaa"},
    {"tiara_fail", kFail, Opcode::kFail, "I"},
    {"tiara_popcnt", kInstruction, Opcode::kPopcnt, "a"},
    {"tiara_ctz", kInstruction, Opcode::kCtz, "a"},
    {"tiara_clz", kInstruction, Opcode::kClz, "a"},
    {"tiara_ld1", kInstruction, Opcode::kLd1, "Ra"},
    {"tiara_ld2", kInstruction, Opcode::kLd2, "Ra"},
    {"tiara_ld4", kInstruction, Opcode::kLd4, "Ra"},
    {"tiara_ld8", kInstruction, Opcode::kLd8, "Ra"},
    {"tiara_lds1", kInstruction, Opcode::kLds1, "Ra"},
    {"tiara_lds2", kInstruction, Opcode::kLds2, "Ra"},
    {"tiara_lds4", kInstruction, Opcode::kLds4, "Ra"},
    {"tiara_st1", kInstruction, Opcode::kSt1, "Rat"},
    {"tiara_st2", kInstruction, Opcode::kSt2, "Rat"},
    {"tiara_st4", kInstruction, Opcode::kSt4, "Rat"},
    {"tiara_st8", kInstruction, Opcode::kSt8, "Rat"},
    {"tiara_prefetch", kInstruction, Opcode::kPrefetch, "Ra"},
    {"tiara_cas", kInstruction, Opcode::kCas, "Ratu"},
    {"tiara_faa", kInstruction, Opcode::kFaa, "Rat"},
    {"tiara_swp", kInstruction, Opcode::kSwp, "Rat"},
    {"tiara_pad_ld1", kInstruction, Opcode::kSpLd1, "p"},
    {"tiara_pad_ld2", kInstruction, Opcode::kSpLd2, "p"},
    {"tiara_pad_ld4", kInstruction, Opcode::kSpLd4, "p"},
    {"tiara_pad_ld8", kInstruction, Opcode::kSpLd8, "p"},
    {"tiara_pad_st1", kInstruction, Opcode::kSpSt1, "pt"},
    {"tiara_pad_st2", kInstruction, Opcode::kSpSt2, "pt"},
    {"tiara_pad_st4", kInstruction, Opcode::kSpSt4, "pt"},
    {"tiara_pad_st8", kInstruction, Opcode::kSpSt8, "pt"},
    {"tiara_ldline", kInstruction, Opcode::kLdLine, "PRa"},
    {"tiara_payload_bytes", kInstruction, Opcode::kPlen, ""},
    {"tiara_payload_ld8", kInstruction, Opcode::kPlLd8, "a"},
    {"tiara_emit", kInstruction, Opcode::kEmit, "a"},
    {"tiara_gather", kInstruction, Opcode::kGather, "Rat"},
    {"tiara_gather_strided", kInstruction, Opcode::kGatherS, "RatuI"},
    {"tiara_gather_list", kInstruction, Opcode::kGatherL, "RaluI"},
    {"tiara_scatter", kInstruction, Opcode::kScatter, "Ratu"},
    {"tiara_scatter_strided_", kInstruction, Opcode::kScatterS, "Eadtu"},
    {"tiara_scatter_list_", kInstruction, Opcode::kScatterL, "Eadlu"},
    {"tiara_fill", kInstruction, Opcode::kFill, "Ratu"},
    {"tiara_copy", kInstruction, Opcode::kCopy, "Rartu"},
    {"tiara_wait", kInstruction, Opcode::kWait, ""},
    {"tiara_rld8", kInstruction, Opcode::kRLd8, "Rta"},
    {"tiara_rst8", kInstruction, Opcode::kRSt8, "Rtau"},
    {"tiara_rcas", kInstruction, Opcode::kRCas, "Rtadu"},
    {"tiara_rfaa", kInstruction, Opcode::kRFaa, "Rtau"},
    {"tiara_rswp", kInstruction, Opcode::kRSwp, "Rtau"},
    {"tiara_rgather", kInstruction, Opcode::kRGather, "Rtau"},
};

}  // namespace

const Intrinsic* find_intrinsic(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kIntrinsics), std::end(kIntrinsics),
                                         [&](const Intrinsic& row) { return row.name == name; });
  return found == std::end(kIntrinsics) ? nullptr : found;
}

}  // namespace tiara::nic::cc
