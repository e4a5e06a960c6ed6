#include "icd/icd.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <string_view>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::opencl {

namespace {

std::string text_of(std::size_t size, const auto& ask) {
  std::string text(size, '\0');
  if (size == 0 || ask(text) != cl::success) return {};
  text.resize(std::char_traits<char>::length(text.c_str()));
  return text;
}

std::string text_of(const cl::Functions& cl, cl::Device device, cl::UInt what) {
  std::size_t size = 0;
  if (cl.clGetDeviceInfo(device, what, 0, nullptr, &size) != cl::success) return {};
  return text_of(size, [&](std::string& text) {
    return cl.clGetDeviceInfo(device, what, text.size(), text.data(), nullptr);
  });
}

template <class T>
T value_of(const cl::Functions& cl, cl::Device device, cl::UInt what) {
  T value{};
  if (cl.clGetDeviceInfo(device, what, sizeof value, &value, nullptr) != cl::success) return T{};
  return value;
}

std::string reason_against(const cl::Functions& cl, const FoundDevice& found) {
  if (value_of<cl::Bool>(cl, found.device, cl::device_available) == 0)
    return "it says that it is not available";
  if (value_of<cl::Bool>(cl, found.device, cl::device_compiler_available) == 0) return "it has no compiler";
  constexpr auto needed = cl::svm_fine_grain_buffer | cl::svm_atomics;
  if ((value_of<cl::Bits>(cl, found.device, cl::device_svm_capabilities) & needed) != needed) {
    return "it shares no memory with the host in small pieces (fine-grained SVM with atomics)";
  }
  return {};
}

FoundDevice describe(const cl::Functions& cl, cl::Device device, const std::string& platform) {
  FoundDevice found;
  found.device = device;
  found.platform = platform;
  found.name = text_of(cl, device, cl::device_name);
  found.version = text_of(cl, device, cl::driver_version);
  found.memory_bytes = value_of<cl::ULong>(cl, device, cl::device_global_mem_size);
  found.units = std::max(1U, value_of<cl::UInt>(cl, device, cl::device_max_compute_units));
  found.most_lanes =
      std::max<std::size_t>(1, value_of<std::size_t>(cl, device, cl::device_max_work_group_size));
  found.is_cpu = (value_of<cl::Bits>(cl, device, cl::device_type) & cl::device_type_cpu) != 0;
  found.takes_spir = text_of(cl, device, cl::device_extensions).find("cl_khr_spir") != std::string::npos;
  found.takes_spirv = !text_of(cl, device, cl::device_il_version).empty();
  found.why_not = reason_against(cl, found);
  return found;
}

const char* name_of(cl::Int code) {
  switch (code) {
    case cl::device_not_found:
      return "CL_DEVICE_NOT_FOUND";
    case cl::device_not_available:
      return "CL_DEVICE_NOT_AVAILABLE";
    case cl::mem_object_allocation_failure:
      return "CL_MEM_OBJECT_ALLOCATION_FAILURE";
    case cl::out_of_resources:
      return "CL_OUT_OF_RESOURCES";
    case cl::out_of_host_memory:
      return "CL_OUT_OF_HOST_MEMORY";
    case cl::build_program_failure:
      return "CL_BUILD_PROGRAM_FAILURE";
    case cl::exec_status_error_for_events_in_wait_list:
      return "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST";
    case cl::invalid_value:
      return "CL_INVALID_VALUE";
    case cl::invalid_binary:
      return "CL_INVALID_BINARY";
    case cl::invalid_kernel_name:
      return "CL_INVALID_KERNEL_NAME";
    case cl::platform_not_found_khr:
      return "CL_PLATFORM_NOT_FOUND_KHR";
    default:
      return "OpenCL's code";
  }
}

}  // namespace

Result<cl::Functions> load_icd() {
  const char* given = std::getenv("TROUPE_OPENCL_LIBRARY");  // NOLINT(concurrency-mt-unsafe): read only
  const std::string file = given != nullptr ? given : "libOpenCL.so.1";
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
    return Error(Errc::load_failed,
                 std::string("OpenCL's loader cannot be loaded: ") + (reason != nullptr ? reason : "?"),
                 "install an OpenCL driver with its loader, on Debian: apt-get install pocl-opencl-icd "
                 "ocl-icd-libopencl1");
  }
  cl::Functions cl;
  std::string missing;
#define TROUPE_OPENCL_LOAD(name, answer, parameters)                    \
  cl.name = reinterpret_cast<decltype(cl.name)>(dlsym(library, #name)); \
  if (cl.name == nullptr) missing += (missing.empty() ? "" : ", ") + std::string(#name);
  TROUPE_OPENCL_FUNCTIONS(TROUPE_OPENCL_LOAD)
#undef TROUPE_OPENCL_LOAD
  if (missing.empty()) return cl;
  return Error(Errc::missing_symbol, "'" + file + "' lacks " + missing, "OpenCL 2.1 or newer is needed");
}

std::vector<FoundDevice> find_devices(const cl::Functions& cl) {
  // For the whole process: implementations crash when several threads enumerate for the first time.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  constexpr cl::UInt most = 64;
  std::vector<FoundDevice> all;
  cl::Platform platforms[most];
  cl::UInt platform_count = 0;
  if (cl.clGetPlatformIDs(most, platforms, &platform_count) != cl::success) return all;
  for (cl::UInt p = 0; p < std::min(platform_count, most); ++p) {
    std::size_t size = 0;
    (void)cl.clGetPlatformInfo(platforms[p], cl::platform_name, 0, nullptr, &size);
    const auto platform = text_of(size, [&](std::string& text) {
      return cl.clGetPlatformInfo(platforms[p], cl::platform_name, text.size(), text.data(), nullptr);
    });
    cl::Device devices[most];
    cl::UInt device_count = 0;
    if (cl.clGetDeviceIDs(platforms[p], cl::device_type_all, most, devices, &device_count) != cl::success)
      continue;
    for (cl::UInt d = 0; d < std::min(device_count, most); ++d)
      all.push_back(describe(cl, devices[d], platform));
  }
  return all;
}

Error cl_error(const char* function, cl::Int code) {
  Errc errc = Errc::system;
  const char* hint = "`clinfo` shows the device; the pages of OpenCL say what the function means by the code";
  if (code == cl::device_not_available) {
    errc = Errc::lost;
    hint = "reset the chip, or use another device";
  } else if (code == cl::mem_object_allocation_failure || code == cl::out_of_host_memory) {
    errc = Errc::out_of_memory;
    hint = "free device tensors, or split the work";
  }
  return {errc, std::string(function) + ": " + name_of(code) + " (" + std::to_string(code) + ")", hint};
}

}  // namespace troupe::platform::opencl
