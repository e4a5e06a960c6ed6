#include "cuda/cuda_driver.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::cuda {

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

/// What bytes are that came without a word; 0: nothing that is known.
std::uint32_t format_of(std::span<const std::byte> bytes) {
  constexpr unsigned char fatbin[] = {0x50, 0xED, 0x55, 0xBA}, elf[] = {0x7F, 'E', 'L', 'F'};
  const auto begins_with = [&](const auto& magic) {
    return bytes.size() > sizeof magic && std::memcmp(bytes.data(), magic, sizeof magic) == 0;
  };
  if (begins_with(fatbin) || begins_with(elf)) return TROUPE_IMAGE_FATBIN;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.find(".version") != std::string_view::npos && text.find(".target") != std::string_view::npos
             ? std::uint32_t{TROUPE_IMAGE_PTX}
             : 0U;
}

}  // namespace

Answer<std::unique_ptr<Driver>> CudaDriver::open(const cu::Functions& cu, const FoundDevice& device) {
  cu::Context context = nullptr;
  const auto code = cu.cuDevicePrimaryCtxRetain(&context, device.device);
  if (code != cu::success) return cuda_error(cu, "cuDevicePrimaryCtxRetain", code);
  return std::unique_ptr<Driver>(new CudaDriver(cu, device, context));
}

CudaDriver::~CudaDriver() {
  enter();
  drop_spare_memory();
  for (const cu::Event event : spare_events_) (void)cu_.cuEventDestroy_v2(event);
  (void)cu_.cuCtxSetCurrent(nullptr);
  (void)cu_.cuDevicePrimaryCtxRelease_v2(device_.device);
}

Answer<void> CudaDriver::checked(const char* function, cu::Result code) const {
  if (code == cu::success) return {};
  return cuda_error(cu_, function, code);
}

Answer<Address> CudaDriver::allocate(std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = spare_memory_.find(bytes); found != spare_memory_.end()) {
      const Address address = found->second;
      spare_memory_.erase(found);
      return address;
    }
  }
  enter();
  cu::Pointer address = 0;
  auto code = cu_.cuMemAlloc_v2(&address, bytes);
  if (code == cu::out_of_memory) {
    drop_spare_memory();
    code = cu_.cuMemAlloc_v2(&address, bytes);
  }
  if (auto done = checked("cuMemAlloc", code); !done) return done.error();
  return static_cast<Address>(address);
}

void CudaDriver::free(Address address, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  spare_memory_.emplace(bytes, address);
}

void CudaDriver::drop_spare_memory() noexcept {
  std::multimap<std::size_t, Address> spare;
  {
    const std::lock_guard lock(mutex_);
    spare.swap(spare_memory_);
  }
  for (const auto& [bytes, address] : spare) (void)cu_.cuMemFree_v2(address);
}

Answer<SharedMemory> CudaDriver::allocate_shared(std::size_t bytes) {
  enter();
  SharedMemory memory{.host = nullptr, .device = 0, .bytes = bytes};
  auto done = checked("cuMemHostAlloc",
                      cu_.cuMemHostAlloc(&memory.host, bytes, cu::memory_portable | cu::memory_device_map));
  if (!done) return done.error();
  cu::Pointer device = 0;
  done = checked("cuMemHostGetDevicePointer", cu_.cuMemHostGetDevicePointer_v2(&device, memory.host, 0));
  if (!done) {
    (void)cu_.cuMemFreeHost(memory.host);
    return done.error();
  }
  memory.device = device;
  return memory;
}

void CudaDriver::free_shared(const SharedMemory& memory) noexcept {
  enter();
  (void)cu_.cuMemFreeHost(memory.host);
}

bool CudaDriver::takes(std::uint32_t format) const noexcept {
  return format == TROUPE_IMAGE_PTX || format == TROUPE_IMAGE_FATBIN;
}

Error CudaDriver::bad(const Image& image, const std::string& why) const {
  return {Errc::bad_callable,
          "'" + std::string(image.name) + "' cannot be loaded on " + device_.name + ": " + why,
          "PTX, a cubin or a fatbin, for this device or an older one"};
}

Answer<Program> CudaDriver::load(const Image& image) {
  const std::uint32_t format = image.format != 0 ? image.format : format_of(image.bytes);
  if (!takes(format)) return bad(image, "it is no code for CUDA devices");
  // As text it ends with a null; what is not text knows its own end.
  std::vector<char> code(image.bytes.size() + 1);
  std::memcpy(code.data(), image.bytes.data(), image.bytes.size());
  enter();
  cu::Module module = nullptr;
  const auto done = checked("cuModuleLoadData", cu_.cuModuleLoadData(&module, code.data()));
  if (done) return number<Program>(module);
  if (done.error() == Errc::lost || done.error() == Errc::out_of_memory) return done.error();
  return bad(image, done.error().message());
}

void CudaDriver::unload(Program program) noexcept {
  enter();
  (void)cu_.cuModuleUnload(object<cu::Module>(program));
}

Answer<Function> CudaDriver::find(Program program, const std::string& name) {
  enter();
  cu::Function function = nullptr;
  const auto code = cu_.cuModuleGetFunction(&function, object<cu::Module>(program), name.c_str());
  if (code == cu::not_found) return Error(Errc::unknown_callable, "no kernel '" + name + "'");
  if (auto done = checked("cuModuleGetFunction", code); !done) return done.error();
  // A driver may load a function when it is first launched, and waits for everything that runs to do so.
  if (cu_.cuFuncLoad != nullptr) {
    if (auto done = checked("cuFuncLoad", cu_.cuFuncLoad(function)); !done) return done.error();
  }
  return number<Function>(function);
}

void CudaDriver::forget(Function /*function*/) noexcept {}  // it goes with its module

Answer<Queue> CudaDriver::open_queue() {
  enter();
  cu::Stream stream = nullptr;
  if (auto done = checked("cuStreamCreate", cu_.cuStreamCreate(&stream, cu::stream_non_blocking)); !done) {
    return done.error();
  }
  return number<Queue>(stream);
}

void CudaDriver::close_queue(Queue queue) noexcept {
  enter();
  (void)cu_.cuStreamDestroy_v2(object<cu::Stream>(queue));
}

Answer<void> CudaDriver::order(cu::Stream stream, std::span<const Event> after) {
  for (const Event event : after) {
    auto done = checked("cuStreamWaitEvent", cu_.cuStreamWaitEvent(stream, object<cu::Event>(event), 0));
    if (!done) return done;
  }
  return {};
}

Answer<cu::Event> CudaDriver::take_event() {
  {
    const std::lock_guard lock(mutex_);
    if (!spare_events_.empty()) {
      const cu::Event event = spare_events_.back();
      spare_events_.pop_back();
      return event;
    }
  }
  cu::Event event = nullptr;
  auto made =
      checked("cuEventCreate", cu_.cuEventCreate(&event, cu::event_disable_timing | cu::event_blocking_sync));
  if (!made) return made.error();
  return event;
}

/// Gives the stream something, and an event that ends with it.
template <class Begin>
Answer<Event> CudaDriver::give(Queue queue, std::span<const Event> after, const char* function, Begin begin) {
  enter();
  const auto stream = object<cu::Stream>(queue);
  const auto event = take_event();
  if (!event) return event.error();
  auto done = order(stream, after);
  if (done) done = checked(function, begin(stream));
  if (done) done = checked("cuEventRecord", cu_.cuEventRecord(*event, stream));
  if (done) return number<Event>(*event);
  release(number<Event>(*event));
  return done.error();
}

Answer<Event> CudaDriver::launch(Queue queue, const Launch& what, std::span<const Event> after) {
  return give(queue, after, "cuLaunchKernel", [&](cu::Stream stream) {
    Address argument = what.argument;
    void* parameters[] = {&argument};
    return cu_.cuLaunchKernel(object<cu::Function>(what.function), what.blocks, 1, 1, what.lanes, 1, 1, 0,
                              stream, parameters, nullptr);
  });
}

Answer<Event> CudaDriver::copy(Queue queue, const Copy& what, std::span<const Event> after) {
  return give(queue, after, "cuMemcpyAsync", [&](cu::Stream stream) {
    switch (what.way) {
      case Copy::Way::to_device:
        return cu_.cuMemcpyHtoDAsync_v2(what.to, object<const void*>(what.from), what.bytes, stream);
      case Copy::Way::from_device:
        return cu_.cuMemcpyDtoHAsync_v2(object<void*>(what.to), what.from, what.bytes, stream);
      default:
        return cu_.cuMemcpyDtoDAsync_v2(what.to, what.from, what.bytes, stream);
    }
  });
}

Answer<void> CudaDriver::add_nodes(cu::Graph graph, std::span<const GraphNode> nodes) const {
  std::vector<cu::GraphNode> made;
  std::vector<cu::GraphNode> before;
  for (const auto& node : nodes) {
    before.clear();
    for (const auto earlier : node.after) before.push_back(made[earlier]);
    Address argument = node.launch.argument;
    void* parameters[] = {&argument};  // copied by the call
    cu::KernelNode kernel;
    kernel.function = object<cu::Function>(node.launch.function);
    kernel.grid_x = node.launch.blocks;
    kernel.block_x = node.launch.lanes;
    kernel.parameters = parameters;
    auto added =
        checked("cuGraphAddKernelNode",
                cu_.cuGraphAddKernelNode(&made.emplace_back(), graph, before.data(), before.size(), &kernel));
    if (!added) return added;
  }
  return {};
}

Answer<Graph> CudaDriver::make_graph(std::span<const GraphNode> nodes) {
  enter();
  cu::Graph graph = nullptr;
  auto done = checked("cuGraphCreate", cu_.cuGraphCreate(&graph, 0));
  if (!done) return done.error();
  cu::GraphExec ready = nullptr;
  done = add_nodes(graph, nodes);
  if (done) {
    done = checked("cuGraphInstantiateWithFlags", cu_.cuGraphInstantiateWithFlags(&ready, graph, 0));
  }
  (void)cu_.cuGraphDestroy(graph);  // what is ready to be launched does not need it
  if (!done) return done.error();
  return number<Graph>(ready);
}

void CudaDriver::drop_graph(Graph graph) noexcept {
  enter();
  (void)cu_.cuGraphExecDestroy(object<cu::GraphExec>(graph));
}

Answer<Event> CudaDriver::launch_graph(Queue queue, Graph graph, std::span<const Event> after) {
  return give(queue, after, "cuGraphLaunch",
              [&](cu::Stream stream) { return cu_.cuGraphLaunch(object<cu::GraphExec>(graph), stream); });
}

Answer<void> CudaDriver::flush(Queue /*queue*/) { return {}; }  // nothing is held back

Answer<bool> CudaDriver::has_ended(Event event) {
  enter();
  const auto code = cu_.cuEventQuery(object<cu::Event>(event));
  if (code == cu::not_ready) return false;
  if (auto done = checked("execution on the device", code); !done) return done.error();
  return true;
}

Answer<void> CudaDriver::wait(Event event) {
  enter();
  return checked("cuEventSynchronize", cu_.cuEventSynchronize(object<cu::Event>(event)));
}

void CudaDriver::release(Event event) noexcept {
  const std::lock_guard lock(mutex_);
  spare_events_.push_back(object<cu::Event>(event));
}

}  // namespace troupe::platform::cuda
