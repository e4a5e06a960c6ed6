// OpenCL itself, for bench_device.
#include <dlfcn.h>

#include <array>

#include "raw_device.hpp"

namespace troupe::bench {

namespace {

using Handle = void*;
template <class Function>
Function get(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

}  // namespace

std::unique_ptr<RawDevice> open_raw_opencl(std::size_t most) {
  void* library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  using Get = int (*)(unsigned, Handle*, unsigned*);
  using GetDevices = int (*)(Handle, std::uint64_t, unsigned, Handle*, unsigned*);
  Handle platform = nullptr, device = nullptr;
  if (get<Get>(library, "clGetPlatformIDs")(1, &platform, nullptr) != 0) return nullptr;
  if (get<GetDevices>(library, "clGetDeviceIDs")(platform, 0xFFFFFFFF, 1, &device, nullptr) != 0)
    return nullptr;
  int code = 0;
  using CreateContext = Handle (*)(const void*, unsigned, const Handle*, void*, void*, int*);
  const Handle context =
      get<CreateContext>(library, "clCreateContext")(nullptr, 1, &device, nullptr, nullptr, &code);
  using CreateQueue = Handle (*)(Handle, Handle, const void*, int*);
  std::array<Handle, 4> queues{};
  for (auto& queue : queues) {
    queue = get<CreateQueue>(library, "clCreateCommandQueueWithProperties")(context, device, nullptr, &code);
  }
  const char* source = "kernel void nothing(global int* x) {}";
  using CreateProgram = Handle (*)(Handle, unsigned, const char**, const std::size_t*, int*);
  const Handle program =
      get<CreateProgram>(library, "clCreateProgramWithSource")(context, 1, &source, nullptr, &code);
  using Build = int (*)(Handle, unsigned, const Handle*, const char*, void*, void*);
  if (get<Build>(library, "clBuildProgram")(program, 1, &device, "", nullptr, nullptr) != 0) return nullptr;
  using CreateKernel = Handle (*)(Handle, const char*, int*);
  const Handle kernel = get<CreateKernel>(library, "clCreateKernel")(program, "nothing", &code);
  using Allocate = void* (*)(Handle, std::uint64_t, std::size_t, unsigned);
  void* memory = get<Allocate>(library, "clSVMAlloc")(context, 1, most, 0);
  using SetArgument = int (*)(Handle, unsigned, const void*);
  (void)get<SetArgument>(library, "clSetKernelArgSVMPointer")(kernel, 0, memory);
  using Enqueue = int (*)(Handle, Handle, unsigned, const std::size_t*, const std::size_t*,
                          const std::size_t*, unsigned, const Handle*, Handle*);
  const auto enqueue = get<Enqueue>(library, "clEnqueueNDRangeKernel");
  const auto finish = get<int (*)(Handle)>(library, "clFinish");
  using Copy = int (*)(Handle, unsigned, void*, const void*, std::size_t, unsigned, const Handle*, Handle*);
  const auto copy = get<Copy>(library, "clEnqueueSVMMemcpy");
  auto raw = std::make_unique<RawDevice>();
  raw->name = "OpenCL";
  const auto launch = [=](Handle queue) {
    const std::size_t one = 1;
    (void)enqueue(queue, kernel, 1, nullptr, &one, &one, 0, nullptr, nullptr);
  };
  raw->chain = [=](int count) {
    for (int i = 0; i < count; ++i) launch(queues[0]);
    (void)finish(queues[0]);
  };
  raw->independent = [=](int count) {
    for (int i = 0; i < count; ++i) launch(queues[static_cast<std::size_t>(i) % queues.size()]);
    for (const Handle queue : queues) (void)finish(queue);
  };
  raw->to_device = [=](void* host, std::size_t bytes) {
    (void)copy(queues[0], 1, memory, host, bytes, 0, nullptr, nullptr);
  };
  raw->from_device = [=](void* host, std::size_t bytes) {
    (void)copy(queues[0], 1, host, memory, bytes, 0, nullptr, nullptr);
  };
  return raw;
}

}  // namespace troupe::bench
