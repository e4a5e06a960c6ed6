#include "sim_hooks.hpp"

namespace {
// The foreign kernel ABI has no context argument in its hooks, so the thread must carry it.
thread_local const troupe_sim_core_binding* current_core = nullptr;
}  // namespace

extern "C" {

const troupe_sim_core_binding* troupe_sim_bind_core(const troupe_sim_core_binding* binding) noexcept {
  const auto* previous = current_core;
  current_core = binding;
  return previous;
}

uint32_t pto_sim_get_subblock_id() noexcept {
  return current_core != nullptr ? current_core->subblock_id : 0;
}

void* pto_sim_get_pipe_shared_state(uint64_t key, size_t size) noexcept {
  if (current_core == nullptr || current_core->pipe_storage == nullptr) return nullptr;
  return current_core->pipe_storage(current_core->pipes, key, size);
}
}
