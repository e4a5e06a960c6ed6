#pragma once

#include <cstddef>
#include <cstdint>

#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// A reserved stretch of the process's address space. Nothing in it can be touched until it is committed, so
/// a stray pointer into it faults at once, and everything between two committed pieces is a guard.
class AddressRange {
 public:
  static Result<AddressRange> reserve(std::size_t size);
  AddressRange(AddressRange&& other) noexcept;
  AddressRange& operator=(AddressRange&& other) noexcept;
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;
  ~AddressRange();

  std::uint64_t base() const noexcept { return base_; }
  std::size_t size() const noexcept { return size_; }

  /// Makes whole pages readable and writable; they read as zero the first time. False: the host has no
  /// memory.
  static bool commit(std::uint64_t address, std::size_t size) noexcept;
  /// Gives the pages back to the host and makes them fault again.
  static void decommit(std::uint64_t address, std::size_t size) noexcept;

 private:
  AddressRange(std::uint64_t base, std::size_t size) noexcept : base_(base), size_(size) {}
  std::uint64_t base_ = 0;
  std::size_t size_ = 0;
};

/// The host's page size; reservations and commits are multiples of it.
inline constexpr std::size_t page_size = 4096;

constexpr std::size_t round_up(std::size_t size, std::size_t alignment) noexcept {
  return (size + alignment - 1) / alignment * alignment;
}

}  // namespace troupe::platform::common
