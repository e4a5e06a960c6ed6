#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libcuda/cuda_types.hpp"
#include "troupe/runtime/error.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::cuda {

/// CUDA's driver library: libcuda.so.1, or what TROUPE_CUDA_LIBRARY names; initialised. It stays loaded: its
/// threads may be anywhere.
troupe::Result<cu::Functions> load_libcuda();

/// A device, and what it says of itself.
struct FoundDevice {
  cu::Device device = 0;
  std::string name, driver;
  std::uint64_t memory_bytes = 0;
  std::uint32_t multiprocessors = 1, most_lanes = 1;
  std::string why_not;  ///< empty: it can be used
};
std::vector<FoundDevice> find_devices(const cu::Functions& cu);

/// "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2), out of memory".
Error cuda_error(const cu::Functions& cu, const char* function, cu::Result code);

}  // namespace troupe::platform::cuda
