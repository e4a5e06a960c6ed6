#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "driver/driver.hpp"
#include "libcuda/libcuda.hpp"

namespace troupe::platform::cuda {

using namespace queued;
template <class T>
using Answer = troupe::Result<T>;

/// One CUDA device, through its primary context, which all users of the device in this process share: a fault
/// in a kernel of one of them ends it for all. Queues are streams; argument blocks lie in mapped memory of
/// the host.
class CudaDriver final : public Driver {
 public:
  static Answer<std::unique_ptr<Driver>> open(const cu::Functions& cu, const FoundDevice& device);
  ~CudaDriver() override;

  Answer<Address> allocate(std::size_t bytes) override;
  void free(Address address, std::size_t bytes) noexcept override;
  Answer<SharedMemory> allocate_shared(std::size_t bytes) override;
  void free_shared(const SharedMemory& memory) noexcept override;
  bool takes(std::uint32_t format) const noexcept override;
  Answer<Program> load(const Image& image) override;
  void unload(Program program) noexcept override;
  Answer<Function> find(Program program, const std::string& name) override;
  void forget(Function function) noexcept override;
  Answer<Queue> open_queue() override;
  void close_queue(Queue queue) noexcept override;
  Answer<Event> launch(Queue queue, const Launch& what, std::span<const Event> after) override;
  Answer<Event> copy(Queue queue, const Copy& what, std::span<const Event> after) override;
  Answer<void> flush(Queue queue) override;
  Answer<bool> has_ended(Event event) override;
  Answer<void> wait(Event event) override;
  void release(Event event) noexcept override;
  bool has_graphs() const noexcept override { return cu_.have_graphs(); }
  Answer<Graph> make_graph(std::span<const GraphNode> nodes) override;
  void drop_graph(Graph graph) noexcept override;
  Answer<Event> launch_graph(Queue queue, Graph graph, std::span<const Event> after) override;

 private:
  CudaDriver(const cu::Functions& cu, const FoundDevice& device, cu::Context context)
      : cu_(cu), device_(device), context_(context) {}
  /// Gives memory that nobody uses back to the device.
  void drop_spare_memory() noexcept;
  /// The calling thread works with the device from now on. CUDA remembers that for each thread.
  void enter() const noexcept { (void)cu_.cuCtxSetCurrent(context_); }
  Answer<void> checked(const char* function, cu::Result code) const;
  Answer<void> order(cu::Stream stream, std::span<const Event> after);
  Answer<cu::Event> take_event();
  template <class Begin>
  Answer<Event> give(Queue queue, std::span<const Event> after, const char* function, Begin begin);
  Answer<void> add_nodes(cu::Graph graph, std::span<const GraphNode> nodes) const;
  Error bad(const Image& image, const std::string& why) const;

  const cu::Functions cu_;
  const FoundDevice device_;
  const cu::Context context_;
  std::mutex mutex_;
  std::vector<cu::Event> spare_events_;
  /// Given back and kept by size: cuMemFree waits for every kernel that runs.
  std::multimap<std::size_t, Address> spare_memory_;
};

}  // namespace troupe::platform::cuda
