// A Verilated core of any configuration behind one set of pins: the ports' types are the same, the classes are not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace tiara::nic::rtl {

struct CorePins {
  uint8_t &clk_i, &rst_ni;
  uint8_t& store_we_i;
  uint16_t& store_addr_i;
  uint64_t& store_data_i;
  uint8_t& entry_we_i;
  uint16_t& entry_index_i;
  uint64_t &entry_base_i, &entry_size_i;
  uint8_t &entry_permission_i, &entry_tenant_i, &entry_is_cacheable_i;
  uint8_t &in_valid_i, &in_ready_o, &in_kind_i, &in_ctx_i;
  uint64_t& in_data_i;
  uint8_t &in_fault_i, &in_reg_i;
  uint16_t &in_entry_i, &in_end_i;
  uint8_t &in_domain_i, &in_tenant_i;
  uint32_t &in_steps_i, &in_bytes_i;
  uint8_t &req_valid_o, &req_ready_i, &req_op_o, &req_ctx_o;
  uint64_t &req_addr_o, &req_length_o, &req_data_o, &req_operand_o;
  uint8_t &req_region_o, &req_is_scatter_o, &req_status_o, &req_fault_o, &req_result_o, &req_is_last_o;
  uint16_t& req_pc_o;
  uint32_t& req_steps_o;
  uint8_t &req_is_ahead_o, &trc_begin_o, &trc_ctx_o;
  uint16_t& trc_pc_o;
  uint8_t &trc_write_o, &trc_write_ctx_o, &trc_write_reg_o;
  uint64_t& trc_write_data_o;
  uint32_t contexts;
  const uint8_t *hit_o, *hit_ctx_o;   // of a table cache; null without one
  std::function<void()> eval;
  std::shared_ptr<void> owner;  // the model; ended when the pins go
};

// Null for a model without a cache.
template <typename Model>
const uint8_t* hit_o_of(const Model& model) {
  if constexpr (requires { model.hit_o; }) return &model.hit_o;
  else return nullptr;
}
template <typename Model>
const uint8_t* hit_ctx_o_of(const Model& model) {
  if constexpr (requires { model.hit_ctx_o; }) return &model.hit_ctx_o;
  else return nullptr;
}

// Of a new Verilated class of tiara_core, or of tiara_cached, which has the same ports.
template <typename Model>
CorePins make_core_pins(uint32_t contexts) {
  const std::shared_ptr<Model> model(new Model, [](Model* each) {
    each->final();
    delete each;
  });
  Model& m = *model;
  return {m.clk_i, m.rst_ni, m.store_we_i, m.store_addr_i, m.store_data_i, m.entry_we_i, m.entry_index_i,
          m.entry_base_i, m.entry_size_i, m.entry_permission_i, m.entry_tenant_i,
          m.entry_is_cacheable_i, m.in_valid_i, m.in_ready_o,
          m.in_kind_i, m.in_ctx_i, m.in_data_i, m.in_fault_i, m.in_reg_i, m.in_entry_i, m.in_end_i, m.in_domain_i,
          m.in_tenant_i, m.in_steps_i, m.in_bytes_i, m.req_valid_o, m.req_ready_i, m.req_op_o, m.req_ctx_o,
          m.req_addr_o, m.req_length_o, m.req_data_o, m.req_operand_o, m.req_region_o, m.req_is_scatter_o,
          m.req_status_o, m.req_fault_o, m.req_result_o, m.req_is_last_o, m.req_pc_o, m.req_steps_o,
          m.req_is_ahead_o, m.trc_begin_o, m.trc_ctx_o, m.trc_pc_o, m.trc_write_o, m.trc_write_ctx_o,
          m.trc_write_reg_o, m.trc_write_data_o, contexts, hit_o_of(m), hit_ctx_o_of(m), [&m] { m.eval(); }, model};
}

// The named configurations of docs/nic/rtl.md: 32 contexts, the same with HasSplitAdd, and 64 with a table cache.
CorePins make_core_32();
CorePins make_core_split();
CorePins make_cached_64();

}  // namespace tiara::nic::rtl
