#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "driver/driver.hpp"
#include "icd/icd.hpp"

namespace troupe::platform::opencl {

using namespace queued;

/// One OpenCL device. Addresses are those of shared virtual memory; queues are in order.
class OpenClDriver final : public Driver {
 public:
  static Result<std::unique_ptr<Driver>> open(const cl::Functions& cl, const FoundDevice& device);
  ~OpenClDriver() override;

  Result<Address> allocate(std::size_t bytes) override;
  void free(Address address, std::size_t bytes) noexcept override;
  Result<SharedMemory> allocate_shared(std::size_t bytes) override;
  void free_shared(const SharedMemory& memory) noexcept override;
  bool takes(std::uint32_t format) const noexcept override;
  Result<Program> load(const Image& image) override;
  void unload(Program program) noexcept override;
  Result<Function> find(Program program, const std::string& name) override;
  void forget(Function function) noexcept override;
  Result<Queue> open_queue() override;
  void close_queue(Queue queue) noexcept override;
  Result<Event> launch(Queue queue, const Launch& what, std::span<const Event> after) override;
  Result<Event> copy(Queue queue, const Copy& what, std::span<const Event> after) override;
  Result<void> flush(Queue queue) override;
  Result<bool> has_ended(Event event) override;
  Result<void> wait(Event event) override;
  void release(Event event) noexcept override;

 private:
  /// A kernel, and which allocations it was told that it may reach.
  struct Kernel {
    cl::Kernel kernel = nullptr;
    std::uint64_t allocations_seen = 0;
  };
  OpenClDriver(const cl::Functions& cl, const FoundDevice& device, cl::Context context)
      : cl_(cl), device_(device), context_(context) {}
  Result<Address> allocate(std::size_t bytes, cl::Bits flags);
  Result<cl::Program> make_program(const Image& image, std::uint32_t format);
  Result<void> tell_of_allocations(Kernel& kernel);

  const cl::Functions cl_;
  const FoundDevice device_;
  const cl::Context context_;
  std::mutex mutex_;
  std::vector<void*> allocations_;
  std::uint64_t allocations_version_ = 1;
};

}  // namespace troupe::platform::opencl
