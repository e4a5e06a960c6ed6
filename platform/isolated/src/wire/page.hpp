#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// Memory of a size that cannot change, for two processes.
class SharedPages {
 public:
  SharedPages() = default;
  static Result<SharedPages> make(std::size_t bytes);
  /// What another process has made. An error: it is not so large, or cannot be mapped.
  static Result<SharedPages> map(comm::FileDescriptor descriptor, std::size_t bytes);
  SharedPages(SharedPages&& other) noexcept;
  SharedPages& operator=(SharedPages&& other) noexcept;
  ~SharedPages();

  std::byte* base() const { return base_; }
  std::size_t size() const { return bytes_; }
  int descriptor() const { return descriptor_.get(); }
  /// The mapping stays.
  void close_descriptor() { descriptor_.reset(); }

 private:
  comm::FileDescriptor descriptor_;
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
};

/// What a thread of the chip's process is inside of.
struct Running {
  std::uint64_t correlation = 0, since_ns = 0;
  std::uint32_t core = 0, core_kind = 0, block = 0;
  std::string what, name, task;
};

/// What a chip's process leaves behind, however it ends: what its threads are inside of, and the sentence of
/// a crash. It is written by that process, while and until it crashes, and believed as little as what it
/// sends.
struct Page {
  struct Slot {
    std::atomic<std::uint64_t> thread;   ///< whose it is; 0: nobody's
    std::atomic<std::uint32_t> version;  ///< odd: it is being written
    std::uint32_t inside;
    std::uint64_t correlation, since_ns;
    std::uint32_t core, core_kind, block;
    char what[24], name[64], task[64];
  };
  std::atomic<std::uint32_t> said;
  std::atomic<std::uint32_t> lost_descriptors;  ///< something has closed what it hears its program with
  char sentence[1024];
  std::array<Slot, 256> slots;

  /// The calling thread is inside of that now; null: of nothing.
  void note(const troupe_running* running, std::uint64_t now) noexcept;
  void say(std::string_view crash) noexcept;

  std::string crash() const;
  std::vector<Running> running() const;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace troupe::platform::isolation
