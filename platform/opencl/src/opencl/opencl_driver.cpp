#include "opencl/opencl_driver.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::opencl {

namespace {

template <class Object>
Object object(auto number) noexcept {
  return reinterpret_cast<Object>(  // NOLINT(performance-no-int-to-ptr): it was one
      static_cast<std::uintptr_t>(number));
}
template <class Number>
Number number(const void* object) noexcept {
  return static_cast<Number>(reinterpret_cast<std::uintptr_t>(object));
}

// Numbers of events are their handles, so a list of the former is one of the latter.
static_assert(sizeof(Event) == sizeof(cl::Event));
const cl::Event* list(std::span<const Event> events) noexcept {
  return events.empty() ? nullptr : reinterpret_cast<const cl::Event*>(events.data());
}

/// What bytes are that came without a word.
std::uint32_t format_of(std::span<const std::byte> bytes) {
  constexpr unsigned char bitcode[] = {'B', 'C', 0xC0, 0xDE}, spirv[] = {0x03, 0x02, 0x23, 0x07};
  const auto begins_with = [&](const auto& magic) {
    return bytes.size() > sizeof magic && std::memcmp(bytes.data(), magic, sizeof magic) == 0;
  };
  if (begins_with(bitcode)) return TROUPE_IMAGE_SPIR;
  return begins_with(spirv) ? std::uint32_t{TROUPE_IMAGE_SPIRV} : 0U;
}

Error bad(const Image& image, const std::string& why) {
  return {Errc::bad_callable,
          "'" + std::string(image.name) + "' cannot be loaded on an OpenCL device: " + why,
          "OpenCL C source, SPIR bitcode, and SPIR-V where the device takes it"};
}

}  // namespace

Result<std::unique_ptr<Driver>> OpenClDriver::open(const cl::Functions& cl, const FoundDevice& device) {
  cl::Int code = cl::success;
  const cl::Context context = cl.clCreateContext(nullptr, 1, &device.device, nullptr, nullptr, &code);
  if (context == nullptr) return cl_error("clCreateContext", code);
  return std::unique_ptr<Driver>(new OpenClDriver(cl, device, context));
}

OpenClDriver::~OpenClDriver() { cl_.clReleaseContext(context_); }

Result<Address> OpenClDriver::allocate(std::size_t bytes, cl::Bits flags) {
  void* memory = cl_.clSVMAlloc(context_, flags, bytes, 0);
  if (memory == nullptr) {
    return Error(Errc::out_of_memory,
                 "OpenCL device '" + device_.name + "' has no " + std::to_string(bytes) + " bytes",
                 "free device tensors, or split the work");
  }
  const std::lock_guard lock(mutex_);
  allocations_.push_back(memory);
  ++allocations_version_;
  return number<Address>(memory);
}

Result<Address> OpenClDriver::allocate(std::size_t bytes) { return allocate(bytes, cl::mem_read_write); }

void OpenClDriver::free(Address address, std::size_t /*bytes*/) noexcept {
  {
    const std::lock_guard lock(mutex_);
    std::erase(allocations_, object<void*>(address));
    ++allocations_version_;
  }
  cl_.clSVMFree(context_, object<void*>(address));
}

Result<SharedMemory> OpenClDriver::allocate_shared(std::size_t bytes) {
  auto address = allocate(bytes, cl::mem_read_write | cl::mem_svm_fine_grain_buffer | cl::mem_svm_atomics);
  if (!address) return address.error();
  return SharedMemory{object<void*>(*address), *address, bytes};
}

void OpenClDriver::free_shared(const SharedMemory& memory) noexcept { free(memory.device, memory.bytes); }

bool OpenClDriver::takes(std::uint32_t format) const noexcept {
  return (format == TROUPE_IMAGE_SPIR && device_.takes_spir) ||
         (format == TROUPE_IMAGE_SPIRV && device_.takes_spirv);
}

Result<cl::Program> OpenClDriver::make_program(const Image& image, std::uint32_t format) {
  cl::Int code = cl::success;
  const auto* bytes = reinterpret_cast<const unsigned char*>(image.bytes.data());
  std::size_t size = image.bytes.size();
  cl::Program program = nullptr;
  if (format == TROUPE_IMAGE_SPIR) {
    program = cl_.clCreateProgramWithBinary(context_, 1, &device_.device, &size, &bytes, nullptr, &code);
  } else if (format == TROUPE_IMAGE_SPIRV) {
    program = cl_.clCreateProgramWithIL(context_, bytes, size, &code);
  } else {
    while (size > 0 && bytes[size - 1] == 0) --size;
    if (std::find(bytes, bytes + size, 0) != bytes + size)
      return bad(image, "it is neither text nor a known image");
    const auto* text = reinterpret_cast<const char*>(bytes);
    program = cl_.clCreateProgramWithSource(context_, 1, &text, &size, &code);
  }
  if (program == nullptr) return bad(image, cl_error("creating the program", code).message());
  return program;
}

Result<Program> OpenClDriver::load(const Image& image) {
  const std::uint32_t format = image.format != 0 ? image.format : format_of(image.bytes);
  if (format != 0 && !takes(format)) return bad(image, "this device takes no such image");
  auto program = make_program(image, format);
  if (!program) return program.error();
  const char* options = format == TROUPE_IMAGE_SPIR ? "-x spir -spir-std=1.2" : "";
  const cl::Int code = cl_.clBuildProgram(*program, 1, &device_.device, options, nullptr, nullptr);
  if (code == cl::success) return number<Program>(*program);
  std::string log(4096, '\0');
  if (cl_.clGetProgramBuildInfo(*program, device_.device, cl::program_build_log, log.size(), log.data(),
                                nullptr) != cl::success) {
    log.clear();
  }
  log.resize(std::char_traits<char>::length(log.c_str()));
  cl_.clReleaseProgram(*program);
  return bad(image, cl_error("clBuildProgram", code).message() + (log.empty() ? "" : "\n" + log));
}

void OpenClDriver::unload(Program program) noexcept { cl_.clReleaseProgram(object<cl::Program>(program)); }

Result<Function> OpenClDriver::find(Program program, const std::string& name) {
  cl::Int code = cl::success;
  const cl::Kernel kernel = cl_.clCreateKernel(object<cl::Program>(program), name.c_str(), &code);
  if (kernel == nullptr) {
    return Error(code == cl::invalid_kernel_name ? Errc::unknown_callable : Errc::bad_callable,
                 "no kernel '" + name + "': " + cl_error("clCreateKernel", code).message());
  }
  return number<Function>(new Kernel{kernel, 0});
}

void OpenClDriver::forget(Function function) noexcept {
  const std::unique_ptr<Kernel> kernel(object<Kernel*>(function));
  cl_.clReleaseKernel(kernel->kernel);
}

Result<Queue> OpenClDriver::open_queue() {
  cl::Int code = cl::success;
  const auto queue = cl_.clCreateCommandQueueWithProperties(context_, device_.device, nullptr, &code);
  if (queue == nullptr) return cl_error("clCreateCommandQueueWithProperties", code);
  return number<Queue>(queue);
}

void OpenClDriver::close_queue(Queue queue) noexcept {
  cl_.clReleaseCommandQueue(object<cl::CommandQueue>(queue));
}

// Kernels reach memory through addresses that they find in memory; the implementation has to know which.
Result<void> OpenClDriver::tell_of_allocations(Kernel& kernel) {
  const std::lock_guard lock(mutex_);
  if (kernel.allocations_seen == allocations_version_) return {};
  const cl::Int code = cl_.clSetKernelExecInfo(kernel.kernel, cl::kernel_exec_info_svm_ptrs,
                                               allocations_.size() * sizeof(void*), allocations_.data());
  if (code != cl::success) return cl_error("clSetKernelExecInfo", code);
  kernel.allocations_seen = allocations_version_;
  return {};
}

Result<Event> OpenClDriver::launch(Queue queue, const Launch& what, std::span<const Event> after) {
  Kernel& kernel = *object<Kernel*>(what.function);
  if (auto told = tell_of_allocations(kernel); !told) return told.error();
  cl::Int code = cl_.clSetKernelArgSVMPointer(kernel.kernel, 0, object<void*>(what.argument));
  if (code != cl::success) return cl_error("clSetKernelArgSVMPointer", code);
  const std::size_t lanes = what.lanes, all = lanes * what.blocks;
  cl::Event event = nullptr;
  code = cl_.clEnqueueNDRangeKernel(object<cl::CommandQueue>(queue), kernel.kernel, 1, nullptr, &all, &lanes,
                                    static_cast<cl::UInt>(after.size()), list(after), &event);
  if (code != cl::success) return cl_error("clEnqueueNDRangeKernel", code);
  return number<Event>(event);
}

Result<Event> OpenClDriver::copy(Queue queue, const Copy& what, std::span<const Event> after) {
  cl::Event event = nullptr;
  const cl::Int code = cl_.clEnqueueSVMMemcpy(object<cl::CommandQueue>(queue), 0, object<void*>(what.to),
                                              object<void*>(what.from), what.bytes,
                                              static_cast<cl::UInt>(after.size()), list(after), &event);
  if (code != cl::success) return cl_error("clEnqueueSVMMemcpy", code);
  return number<Event>(event);
}

Result<void> OpenClDriver::flush(Queue queue) {
  const cl::Int code = cl_.clFlush(object<cl::CommandQueue>(queue));
  return code == cl::success ? Result<void>() : Result<void>(cl_error("clFlush", code));
}

Result<bool> OpenClDriver::has_ended(Event event) {
  cl::Int status = 0;
  const cl::Int code = cl_.clGetEventInfo(object<cl::Event>(event), cl::event_command_execution_status,
                                          sizeof status, &status, nullptr);
  if (code != cl::success) return cl_error("clGetEventInfo", code);
  if (status < 0) return cl_error("execution on the device", status);
  return status == cl::complete;
}

Result<void> OpenClDriver::wait(Event event) {
  const auto handle = object<cl::Event>(event);
  const cl::Int code = cl_.clWaitForEvents(1, &handle);
  return code == cl::success ? Result<void>() : Result<void>(cl_error("clWaitForEvents", code));
}

void OpenClDriver::release(Event event) noexcept { cl_.clReleaseEvent(object<cl::Event>(event)); }

}  // namespace troupe::platform::opencl
