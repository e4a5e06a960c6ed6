// CUDA's driver interface itself, for bench_device.
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
constexpr const char* empty_kernel =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry nothing(.param .u64 x)\n{\n  ret;\n}\n";

}  // namespace

std::unique_ptr<RawDevice> open_raw_cuda(std::size_t most) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr || get<int (*)(unsigned)>(library, "cuInit")(0) != 0) return nullptr;
  Handle context = nullptr, module = nullptr, kernel = nullptr;
  if (get<int (*)(Handle*, int)>(library, "cuDevicePrimaryCtxRetain")(&context, 0) != 0) return nullptr;
  (void)get<int (*)(Handle)>(library, "cuCtxSetCurrent")(context);
  if (get<int (*)(Handle*, const void*)>(library, "cuModuleLoadData")(&module, empty_kernel) != 0)
    return nullptr;
  (void)get<int (*)(Handle*, Handle, const char*)>(library, "cuModuleGetFunction")(&kernel, module,
                                                                                   "nothing");
  std::array<Handle, 4> streams{};
  for (auto& stream : streams) (void)get<int (*)(Handle*, unsigned)>(library, "cuStreamCreate")(&stream, 1);
  unsigned long long memory = 0;
  (void)get<int (*)(unsigned long long*, std::size_t)>(library, "cuMemAlloc_v2")(&memory, most);
  void* pinned = nullptr;
  (void)get<int (*)(void**, std::size_t, unsigned)>(library, "cuMemHostAlloc")(&pinned, most, 1);
  using Launch = int (*)(Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle,
                         void**, void**);
  const auto launch_kernel = get<Launch>(library, "cuLaunchKernel");
  const auto finish = get<int (*)(Handle)>(library, "cuStreamSynchronize");
  const auto to = get<int (*)(unsigned long long, const void*, std::size_t)>(library, "cuMemcpyHtoD_v2");
  const auto from = get<int (*)(void*, unsigned long long, std::size_t)>(library, "cuMemcpyDtoH_v2");
  auto raw = std::make_unique<RawDevice>();
  raw->name = "CUDA";
  const auto launch = [=](Handle stream) {
    unsigned long long argument = memory;
    void* parameters[] = {&argument};
    (void)launch_kernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
  };
  raw->chain = [=](int count) {
    for (int i = 0; i < count; ++i) launch(streams[0]);
    (void)finish(streams[0]);
  };
  raw->independent = [=](int count) {
    for (int i = 0; i < count; ++i) launch(streams[static_cast<std::size_t>(i) % streams.size()]);
    for (const Handle stream : streams) (void)finish(stream);
  };
  raw->to_device = [=](void* host, std::size_t bytes) { (void)to(memory, host, bytes); };
  raw->from_device = [=](void* host, std::size_t bytes) { (void)from(host, memory, bytes); };
  raw->pinned_to_device = [=](std::size_t bytes) { (void)to(memory, pinned, bytes); };
  return raw;
}

}  // namespace troupe::bench
