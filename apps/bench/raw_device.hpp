#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

/// A device through its vendor's own interface, as a program would use it that has nothing else to do: for
/// the benchmark of devices, beside the same work through a platform.
namespace troupe::bench {

struct RawDevice {
  std::string name;
  /// So many empty kernels, one after the other in one queue, and their end.
  std::function<void(int)> chain;
  /// The same in several queues.
  std::function<void(int)> independent;
  /// One blocking copy of `bytes` bytes between ordinary memory of the host and the device.
  std::function<void(void*host, std::size_t bytes)> to_device, from_device;
  /// Between page-locked memory and the device; null: the interface has no such memory.
  std::function<void(std::size_t bytes)> pinned_to_device;
};

/// Null: there is none here. `most`: the largest copy.
std::unique_ptr<RawDevice> open_raw_opencl(std::size_t most);
std::unique_ptr<RawDevice> open_raw_cuda(std::size_t most);

}  // namespace troupe::bench
