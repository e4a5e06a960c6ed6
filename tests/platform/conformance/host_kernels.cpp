#include <thread>

#include "platform/conformance/probe.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/kernel.hpp"

// What rules run on platforms whose kernels are functions of this process.
using troupe::runtime::KernelArgs;

// Does not return until the host word at the address has become 1.
TROUPE_KERNEL(conformance_stuck)(KernelArgs& k) {
  const auto* word = reinterpret_cast<const std::int32_t*>(k.scalar<std::uint64_t>(0));
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != 1) std::this_thread::yield();
}

// Writes 100 + the own rank into the first word of every rank's window.
TROUPE_KERNEL(conformance_put)(KernelArgs& k) {
  const auto* comm = reinterpret_cast<const troupe::runtime::CommContext*>(k.scalar<std::uint64_t>(0));
  for (std::uint32_t rank = 0; rank < comm->rank_count; ++rank) {
    reinterpret_cast<std::int32_t*>(comm->windows_in[rank])[comm->rank] =
        static_cast<std::int32_t>(100 + comm->rank);
  }
}

TROUPE_MODULE("troupe_conformance");

const troupe_module_v1& troupe::conformance::kernels() { return troupe_this_module; }
