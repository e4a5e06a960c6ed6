#include "libcuda/libcuda.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::cuda {

namespace {

/// After which nothing works in the context any more: the device, or all that shares the context, has to
/// begin anew.
bool is_end(cu::Result code) {
  constexpr cu::Result ends[] = {cu::deinitialized,
                                 cu::illegal_address,
                                 cu::launch_timeout,
                                 cu::context_is_destroyed,
                                 cu::assert,
                                 cu::hardware_stack_error,
                                 cu::illegal_instruction,
                                 cu::misaligned_address,
                                 cu::invalid_address_space,
                                 cu::invalid_pc,
                                 cu::launch_failed};
  return std::find(std::begin(ends), std::end(ends), code) != std::end(ends);
}

FoundDevice describe(const cu::Functions& cu, int number, const std::string& driver) {
  FoundDevice found;
  found.driver = driver;
  std::array<char, 256> name{};
  if (cu.cuDeviceGet(&found.device, number) != cu::success ||
      cu.cuDeviceGetName(name.data(), static_cast<int>(name.size() - 1), found.device) != cu::success) {
    found.name = "device " + std::to_string(number);
    found.why_not = "it does not answer";
    return found;
  }
  found.name = name.data();
  std::size_t bytes = 0;
  if (cu.cuDeviceTotalMem_v2(&bytes, found.device) == cu::success) found.memory_bytes = bytes;
  const auto attribute = [&](int which) {
    int value = 0;
    return cu.cuDeviceGetAttribute(&value, which, found.device) == cu::success ? value : 0;
  };
  found.multiprocessors =
      static_cast<std::uint32_t>(std::max(1, attribute(cu::attribute_multiprocessor_count)));
  found.most_lanes = static_cast<std::uint32_t>(std::max(1, attribute(cu::attribute_max_threads_per_block)));
  if (attribute(cu::attribute_can_map_host_memory) == 0 || attribute(cu::attribute_unified_addressing) == 0) {
    found.why_not = "it cannot reach memory of the host";
  }
  return found;
}

}  // namespace

troupe::Result<cu::Functions> load_libcuda() {
  const char* given = std::getenv("TROUPE_CUDA_LIBRARY");  // NOLINT(concurrency-mt-unsafe): read only
  const std::string file = given != nullptr ? given : "libcuda.so.1";
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
    return Error(Errc::load_failed,
                 std::string("CUDA's driver library cannot be loaded: ") + (reason != nullptr ? reason : "?"),
                 "it comes with the NVIDIA driver of the machine");
  }
  cu::Functions cu;
  std::string missing;
#define TROUPE_CUDA_LOAD(name, parameters) \
  cu.name = reinterpret_cast<decltype(cu.name)>(dlsym(library, #name));
#define TROUPE_CUDA_LOAD_REQUIRED(name, parameters) \
  TROUPE_CUDA_LOAD(name, parameters)                \
  if (cu.name == nullptr) missing += (missing.empty() ? "" : ", ") + std::string(#name);
  TROUPE_CUDA_FUNCTIONS(TROUPE_CUDA_LOAD_REQUIRED)
  TROUPE_CUDA_OPTIONAL_FUNCTIONS(TROUPE_CUDA_LOAD)
#undef TROUPE_CUDA_LOAD_REQUIRED
#undef TROUPE_CUDA_LOAD
  if (!missing.empty()) {
    return Error(Errc::missing_symbol, "'" + file + "' lacks " + missing,
                 "a driver for CUDA 11 or newer is needed");
  }
  if (const auto code = cu.cuInit(0); code != cu::success) return cuda_error(cu, "cuInit", code);
  return cu;
}

std::vector<FoundDevice> find_devices(const cu::Functions& cu) {
  std::vector<FoundDevice> all;
  int count = 0, version = 0;
  if (cu.cuDeviceGetCount(&count) != cu::success) return all;
  (void)cu.cuDriverGetVersion(&version);
  const auto driver = "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  for (int number = 0; number < count; ++number) all.push_back(describe(cu, number, driver));
  return all;
}

Error cuda_error(const cu::Functions& cu, const char* function, cu::Result code) {
  const char *name = nullptr, *text = nullptr;
  (void)cu.cuGetErrorName(code, &name);
  (void)cu.cuGetErrorString(code, &text);
  Errc errc = Errc::system;
  const char* hint = "`nvidia-smi` shows the state of the device, CUDA's pages what the code means";
  if (code == cu::out_of_memory) {
    errc = Errc::out_of_memory;
    hint = "free device tensors, or split the work; `nvidia-smi` shows who else has memory of the device";
  } else if (is_end(code)) {
    errc = Errc::lost;
    hint =
        "a kernel did what ends all work in this process' context; compute-sanitizer shows which access it "
        "was";
  }
  return {errc,
          std::string(function) + ": " + (name != nullptr ? name : "CUDA's code") + " (" +
              std::to_string(code) + ")" + (text != nullptr ? std::string(", ") + text : ""),
          hint};
}

}  // namespace troupe::platform::cuda
