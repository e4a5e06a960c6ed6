#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "troupe/runtime/result.hpp"

namespace troupe::platform {

struct AlignedDelete {
  void operator()(std::byte* memory) const noexcept;
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;
/// 64-byte aligned; null when there is no memory.
AlignedBytes aligned_bytes(std::uint64_t size) noexcept;

inline std::uint64_t address_of(const void* memory) noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(memory));
}
inline std::byte* pointer_to(std::uint64_t address) noexcept {
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address));
}

/// The memory of a scripted device: heap blocks with a limit, known by address. Not thread-safe.
class ScriptedMemory {
 public:
  explicit ScriptedMemory(std::uint64_t limit) : limit_(limit) {}

  Result<std::uint64_t> allocate(std::uint64_t bytes);
  Result<void> free(std::uint64_t address);
  /// Whether [address, address + bytes) lies in one live allocation; the error says why not.
  Result<void> check(std::uint64_t address, std::uint64_t bytes) const;
  /// The start of the allocation that holds the address; 0: none.
  std::uint64_t block_of(std::uint64_t address) const;
  void clear();

  void set_limit(std::uint64_t limit) { limit_ = limit; }
  std::uint64_t used() const { return used_; }
  std::uint64_t peak() const { return peak_; }
  std::uint64_t limit() const { return limit_; }
  std::size_t allocations() const { return blocks_.size(); }

 private:
  struct Block {
    std::uint64_t bytes;
    AlignedBytes memory;
  };
  std::uint64_t limit_;
  std::uint64_t used_ = 0, peak_ = 0;
  std::map<std::uint64_t, Block> blocks_;
  std::set<std::uint64_t> freed_;  // starts that are not given out again yet
};

std::string hex(std::uint64_t address);

}  // namespace troupe::platform
