// libibverbs and librdmacm, loaded when the first rdma:// address is named: libtiara.so is in every process of a
// program, and most of them never touch RDMA. Only this folder includes their headers.
#pragma once

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "runtime/base/error.h"

// One line for each function; calls that the headers inline (posting, polling) need none.
#define TIARA_RDMACM_FUNCTIONS(X)                                                                              \
  X(rdma_create_event_channel) X(rdma_destroy_event_channel) X(rdma_create_id) X(rdma_destroy_id)              \
  X(rdma_bind_addr) X(rdma_listen) X(rdma_resolve_addr) X(rdma_resolve_route) X(rdma_connect) X(rdma_accept)   \
  X(rdma_reject) X(rdma_disconnect) X(rdma_create_qp) X(rdma_destroy_qp) X(rdma_get_cm_event)                  \
  X(rdma_ack_cm_event) X(rdma_event_str) X(rdma_get_src_port) X(rdma_set_option)
#define TIARA_IBVERBS_FUNCTIONS(X)                                                                             \
  X(ibv_alloc_pd) X(ibv_dealloc_pd) X(ibv_dereg_mr) X(ibv_create_comp_channel) X(ibv_destroy_comp_channel)     \
  X(ibv_create_cq) X(ibv_destroy_cq) X(ibv_get_cq_event) X(ibv_ack_cq_events) X(ibv_modify_qp) X(ibv_query_qp) \
  X(ibv_get_device_list) X(ibv_free_device_list) X(ibv_get_device_name) X(ibv_query_device) X(ibv_fork_init)

namespace tiara::nic::verbs {

struct Library {
#define X(name) decltype(&::name) name = nullptr;
  TIARA_RDMACM_FUNCTIONS(X)
  TIARA_IBVERBS_FUNCTIONS(X)
#undef X
  // A macro in the header, so named apart.
  ibv_mr* (*register_memory)(ibv_pd* domain, void* address, size_t length, int access) = nullptr;

  // Loads them once, and makes sure that there is a device; an error says what to do. Control path only.
  static Result<const Library*> load();
};

// After load() has succeeded.
const Library& library() noexcept;

}  // namespace tiara::nic::verbs
