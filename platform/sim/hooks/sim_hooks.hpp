#pragma once

#include <cstddef>
#include <cstdint>

// The two symbols that kernels built for the simulator look up globally, and the binding behind them. This
// library is the only process-wide thing of the simulator: it is loaded RTLD_GLOBAL before the first foreign
// kernel and never unloaded, because such kernels cache the addresses they found. It holds no state but the
// binding of the calling thread to the core it currently plays.

extern "C" {

/// Which core a thread plays while it is inside a foreign kernel. Filled by the simulated chip.
struct troupe_sim_core_binding {
  uint32_t subblock_id;  ///< 0 for AIC and AIV0, 1 for AIV1
  void* pipes;           ///< owner of the pipe storage of this core's cluster
  /// Zeroed storage for `key`, the same for all cores of one cluster until the run ends; null if it cannot be
  /// had.
  void* (*pipe_storage)(void* pipes, uint64_t key, size_t size);
};

/// Binds the calling thread (null unbinds); returns what was bound before. Called around each foreign kernel.
__attribute__((visibility("default"))) const troupe_sim_core_binding* troupe_sim_bind_core(
    const troupe_sim_core_binding* binding) noexcept;

/// For kernels: the vector lane of the calling core; 0 outside a kernel.
__attribute__((visibility("default"))) uint32_t pto_sim_get_subblock_id() noexcept;

/// For kernels: storage shared by the cores of one cluster, keyed by (device, cluster, key), zeroed at the
/// start of each run; null outside a kernel.
__attribute__((visibility("default"))) void* pto_sim_get_pipe_shared_state(uint64_t key,
                                                                           size_t size) noexcept;
}
