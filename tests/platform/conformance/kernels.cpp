#include <stdexcept>
#include <thread>

#include "platform/conformance/probe.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/kernel.hpp"

// What the rules run. A platform that cannot run functions of the host process brings a module with kernels
// of the same names and meaning.
using troupe::runtime::KernelArgs;

// y = x
TROUPE_KERNEL(conformance_copy)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  const auto y = k.tensor<float>(1);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i];
}

// x += s, for a tensor of two dimensions with any strides
TROUPE_KERNEL(conformance_add_scalar)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (std::size_t i = 0; i < x.extent(0); ++i) {
    for (std::size_t j = 0; j < x.extent(1); ++j) x(i, j) += k.scalar<float>(0);
  }
}

// Writes into its input, which nobody may ever see on the host.
TROUPE_KERNEL(conformance_scribble)(KernelArgs& k) {
  for (auto& x : k.tensor<float>(0)) x = -1.0f;
  for (auto& y : k.tensor<float>(1)) y = 1.0f;
}

TROUPE_KERNEL(conformance_fail)(KernelArgs& k) {
  for (auto& x : k.tensor<float>(0)) x = -1.0f;
  throw std::runtime_error{"this kernel fails on purpose"};
}

// Goes on until its run is aborted: a long computation that asks between its steps.
TROUPE_KERNEL(conformance_until_aborted)(KernelArgs& k) {
  while (!k.aborted()) std::this_thread::yield();
}

// Waits until the first element is 1. In a window, since there another rank could raise it: a wait that
// nobody can end may be answered with DEADLOCK.
TROUPE_KERNEL(conformance_wait)(KernelArgs& k) {
  (void)k.wait_until(k.tensor<std::int32_t>(0)[0], troupe::runtime::Compare::equal, 1);
}

// x[block] = number of blocks
TROUPE_KERNEL(conformance_blocks)(KernelArgs& k) {
  k.tensor<std::int32_t>(0)[static_cast<std::size_t>(k.block_idx())] += k.block_num();
}

// Does not return until the host word at the address has become 1. Only for platforms in this process.
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
