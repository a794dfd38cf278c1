/* tiara_op.h: what an operator written in C may use. `tiara cc FILE.c -o FILE.tiara` compiles it.
 *
 *   #include "tiara_op.h"
 *
 *   TIARA_OPERATOR(sum, 1);                             // name and version
 *   TIARA_REGION(0, data, TIARA_READ);                  // region number, name, permissions
 *   TIARA_ARGUMENT(0, first, 0, 0xfffff8, 7);           // number, name, min, max, bits that must be zero
 *   TIARA_ARGUMENT(1, count, 0, 1000, 0);
 *
 *   u64 sum(u64 first, u64 count) {                     // the function that has the operator's name
 *     u64 total = 0;
 *     TIARA_LOOP(i, count, 1000) total += tiara_ld8(data, first + i * 8);
 *     return total;                                     // one result; tiara_ret0 to tiara_ret4 give others
 *   }
 *
 * The C is ordinary C with these limits: no floating point, no global variables, no pointers but to local arrays
 * (they live in the scratchpad), no function that is not inlined, and no loop but TIARA_LOOP. docs/nic/cc.md has
 * the rules and what each refusal means; docs/nic/isa.md has what each instruction does exactly.
 *
 * Region numbers, element sizes, scratchpad offsets of tiara_ldline and the code of tiara_fail are constants.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

/* --- declarations; each becomes one record of the section .tiara.meta --- */

#define TIARA_READ 1u
#define TIARA_WRITE 2u
#define TIARA_ATOMIC 4u
#define TIARA_CACHEABLE 16u /* a hint: the NIC may keep lines of the region on chip */
#define TIARA_REMOTE 32u    /* the region lies on other nodes: only the tiara_r... calls may name it */

struct tiara_meta {
  u32 magic; /* TIARA_META_MAGIC */
  u32 kind;  /* 1 operator, 2 region, 3 argument */
  u32 index; /* version, region number, argument number */
  u32 flags; /* of a region */
  union {
    struct {
      u64 reply_bytes;      /* the most that the operator gathers and emits; proved by the verifier */
      u64 max_steps;        /* 0: no promise beyond what the verifier proves */
      u64 scratchpad_bytes; /* for tiara_pad_...; local arrays and spilled registers come on top */
    };
    struct {
      u64 min, max, known_zero;
    };
  };
  char name[64];
};
#define TIARA_META_MAGIC 0x4d415254u /* "TRAM" */

#define TIARA_META_(variable, ...)                                                                    \
  static const struct tiara_meta variable __attribute__((used, section(".tiara.meta"), aligned(8))) = { \
      .magic = TIARA_META_MAGIC, __VA_ARGS__}

/* TIARA_OPERATOR(name, version, .reply_bytes = N, .max_steps = N, .scratchpad_bytes = N), the rest optional. */
#define TIARA_OPERATOR(operator_name, operator_version, ...) \
  TIARA_META_(tiara_operator_, .kind = 1, .index = (operator_version), .name = #operator_name, __VA_ARGS__)
/* Also declares `region_name` as a constant for the calls below. */
#define TIARA_REGION(number, region_name, permissions) \
  enum { region_name = (number) };                     \
  TIARA_META_(tiara_region_##region_name, .kind = 2, .index = (number), .flags = (permissions), .name = #region_name)
#define TIARA_ARGUMENT(number, argument_name, least, most, zero_bits)                                         \
  TIARA_META_(tiara_argument_##argument_name, .kind = 3, .index = (number), .min = (least), .max = (most),    \
              .known_zero = (zero_bits), .name = #argument_name)

/* --- loops --- */

#define TIARA_CALL extern __attribute__((nomerge))
/* Convergent: the compiler may not duplicate or rotate what it cannot see through. */
#define TIARA_MARK extern __attribute__((nomerge, convergent))

TIARA_MARK void tiara_loop_begin(u64 trips, u64 bound, u64 id);
TIARA_MARK u64 tiara_loop_next(u64 id);

/* TIARA_LOOP(i, trips, bound) statement: i counts from 0 to trips - 1. `trips` is evaluated once; more than `bound`
 * (a constant from 1 to 2^20 - 1) is a fault. `break` and `continue` work. At most 4 loops inside each other. */
#define TIARA_LOOP(i, trips, bound) TIARA_LOOP_(i, trips, bound, __COUNTER__)
#define TIARA_LOOP_(i, trips, bound, id) TIARA_LOOP_ID_(i, trips, bound, id)
#define TIARA_LOOP_ID_(i, trips, bound, id)                          \
  for (u64 i = (tiara_loop_begin((trips), (bound), (id)), 0);        \
       (i = tiara_loop_next(id)) != ~0ull && ({ __asm__ volatile(""); 1; });)

/* --- bits --- */

#define TIARA_PURE extern __attribute__((const))
TIARA_PURE u64 tiara_popcnt(u64 value);
TIARA_PURE u64 tiara_ctz(u64 value); /* 64 for 0 */
TIARA_PURE u64 tiara_clz(u64 value); /* 64 for 0 */
/* Argument number 5, 6 or 7: a C function takes no more than five here. */
TIARA_PURE u64 tiara_argument(u64 number);

/* --- regions: [offset, offset + bytes) must lie inside, else the operator faults --- */

TIARA_CALL u64 tiara_ld1(u64 region, u64 offset);
TIARA_CALL u64 tiara_ld2(u64 region, u64 offset);
TIARA_CALL u64 tiara_ld4(u64 region, u64 offset);
TIARA_CALL u64 tiara_ld8(u64 region, u64 offset);
TIARA_CALL u64 tiara_lds1(u64 region, u64 offset); /* sign-extended */
TIARA_CALL u64 tiara_lds2(u64 region, u64 offset);
TIARA_CALL u64 tiara_lds4(u64 region, u64 offset);
TIARA_CALL void tiara_st1(u64 region, u64 offset, u64 value);
TIARA_CALL void tiara_st2(u64 region, u64 offset, u64 value);
TIARA_CALL void tiara_st4(u64 region, u64 offset, u64 value);
TIARA_CALL void tiara_st8(u64 region, u64 offset, u64 value);
TIARA_CALL void tiara_prefetch(u64 region, u64 offset);
/* Atomics on 8 aligned bytes; all give the old value. */
TIARA_CALL u64 tiara_cas(u64 region, u64 offset, u64 expected, u64 desired);
TIARA_CALL u64 tiara_faa(u64 region, u64 offset, u64 addend);
TIARA_CALL u64 tiara_swp(u64 region, u64 offset, u64 value);

/* --- scratchpad: .scratchpad_bytes of TIARA_OPERATOR, undefined at the start --- */

TIARA_CALL u64 tiara_pad_ld1(u64 offset);
TIARA_CALL u64 tiara_pad_ld2(u64 offset);
TIARA_CALL u64 tiara_pad_ld4(u64 offset);
TIARA_CALL u64 tiara_pad_ld8(u64 offset);
TIARA_CALL void tiara_pad_st1(u64 offset, u64 value);
TIARA_CALL void tiara_pad_st2(u64 offset, u64 value);
TIARA_CALL void tiara_pad_st4(u64 offset, u64 value);
TIARA_CALL void tiara_pad_st8(u64 offset, u64 value);
/* The 64-byte aligned line at the region's offset goes to the scratchpad. */
TIARA_CALL void tiara_ldline(u64 pad_offset, u64 region, u64 offset);

/* --- payload and reply --- */

TIARA_PURE u64 tiara_payload_bytes(void);
TIARA_CALL u64 tiara_payload_ld8(u64 offset);
TIARA_CALL void tiara_emit(u64 value); /* appends 8 bytes to the reply */

/* --- bulk operations: asynchronous; tiara_wait orders them, the end of the operator waits --- */

TIARA_CALL void tiara_gather(u64 region, u64 offset, u64 bytes); /* appends to the reply, as the next two */
TIARA_CALL void tiara_gather_strided(u64 region, u64 offset, u64 stride, u64 count, u64 element_bytes);
/* `list`: offset of `count` 8-byte offsets in the scratchpad, or the address of a local array. */
TIARA_CALL void tiara_gather_list(u64 region, u64 offset, u64 list, u64 count, u64 element_bytes);
TIARA_CALL void tiara_scatter(u64 region, u64 offset, u64 payload_offset, u64 bytes);
TIARA_CALL void tiara_scatter_strided_(u64 element_and_region, u64 offset, u64 payload_offset, u64 stride, u64 count);
TIARA_CALL void tiara_scatter_list_(u64 element_and_region, u64 offset, u64 payload_offset, u64 list, u64 count);
#define tiara_scatter_strided(region, offset, payload_offset, stride, count, element_bytes) \
  tiara_scatter_strided_((u64)(element_bytes) << 8 | (region), offset, payload_offset, stride, count)
#define tiara_scatter_list(region, offset, payload_offset, list, count, element_bytes) \
  tiara_scatter_list_((u64)(element_bytes) << 8 | (region), offset, payload_offset, list, count)
TIARA_CALL void tiara_fill(u64 region, u64 offset, u64 bytes, u64 value); /* with the value's low byte */
TIARA_CALL void tiara_copy(u64 to_region, u64 to_offset, u64 from_region, u64 from_offset, u64 bytes);
TIARA_CALL void tiara_wait(void);

/* --- regions of other nodes --- */

TIARA_CALL u64 tiara_rld8(u64 region, u64 host, u64 offset);
TIARA_CALL void tiara_rst8(u64 region, u64 host, u64 offset, u64 value);
TIARA_CALL u64 tiara_rcas(u64 region, u64 host, u64 offset, u64 expected, u64 desired);
TIARA_CALL u64 tiara_rfaa(u64 region, u64 host, u64 offset, u64 addend);
TIARA_CALL u64 tiara_rswp(u64 region, u64 host, u64 offset, u64 value);
TIARA_CALL void tiara_rgather(u64 region, u64 host, u64 offset, u64 bytes);

/* --- the end: results in r0 to r3, or a reason from 0 to 65535 that only the caller understands --- */

#define TIARA_END extern __attribute__((nomerge, noreturn))
TIARA_END void tiara_ret0(void);
TIARA_END void tiara_ret1(u64 a);
TIARA_END void tiara_ret2(u64 a, u64 b);
TIARA_END void tiara_ret3(u64 a, u64 b, u64 c);
TIARA_END void tiara_ret4(u64 a, u64 b, u64 c, u64 d);
TIARA_END void tiara_fail(u64 reason);
