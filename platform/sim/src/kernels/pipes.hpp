#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace troupe::platform::sim {

/// Storage that the cores of one cluster share, by key: the state of the FIFOs between matrix and vector
/// cores. Zeroed when a run first asks for it. Safe from any thread.
class Pipes {
 public:
  /// Null: no memory, or the key was used with a smaller size before.
  void* storage(std::uint32_t cluster, std::uint64_t key, std::size_t size) noexcept;
  /// Between runs.
  void reset() noexcept;

 private:
  struct Piece {
    std::unique_ptr<std::byte[]> memory;
    std::size_t size;
  };
  std::mutex mutex_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Piece> pieces_;
};

}  // namespace troupe::platform::sim
