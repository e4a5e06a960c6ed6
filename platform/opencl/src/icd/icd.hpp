#pragma once

#include <memory>
#include <string>
#include <vector>

#include "icd/cl_types.hpp"
#include "troupe/runtime/error.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::opencl {

namespace cl {
/// OpenCL's functions, from the loader of this machine. Constant once filled; any thread.
struct Functions {
#define TROUPE_OPENCL_POINTER(name, answer, parameters) answer(*name) parameters = nullptr;
  TROUPE_OPENCL_FUNCTIONS(TROUPE_OPENCL_POINTER)
#undef TROUPE_OPENCL_POINTER
};
}  // namespace cl

/// libOpenCL.so.1, or what TROUPE_OPENCL_LIBRARY names. It stays loaded: its threads may be anywhere.
Result<cl::Functions> load_icd();

/// A device of one of OpenCL's platforms, and what it says of itself.
struct FoundDevice {
  cl::Device device = nullptr;
  std::string platform, name, version;
  std::uint64_t memory_bytes = 0;
  std::uint32_t units = 1;
  std::size_t most_lanes = 1;
  bool is_cpu = false, takes_spir = false, takes_spirv = false;
  std::string why_not;  ///< empty: it can be used
};
/// All there are, in OpenCL's order.
std::vector<FoundDevice> find_devices(const cl::Functions& cl);

/// "clFlush: CL_OUT_OF_RESOURCES (-5)".
Error cl_error(const char* function, cl::Int code);

}  // namespace troupe::platform::opencl
