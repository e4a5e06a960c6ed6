#include "memory.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform {

namespace {
constexpr std::align_val_t alignment{64};
}

void AlignedDelete::operator()(std::byte* memory) const noexcept { ::operator delete[](memory, alignment); }

AlignedBytes aligned_bytes(std::uint64_t size) noexcept {
  return AlignedBytes{static_cast<std::byte*>(::operator new[](size, alignment, std::nothrow))};
}

std::string hex(std::uint64_t address) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), digits[address & 15]);
    address >>= 4;
  } while (address != 0);
  return "0x" + text;
}

Result<std::uint64_t> ScriptedMemory::allocate(std::uint64_t bytes) {
  if (bytes == 0) return Error{Errc::invalid_argument, "an allocation of 0 bytes"};
  AlignedBytes memory;
  if (bytes <= limit_ - std::min(used_, limit_)) memory = aligned_bytes(bytes);
  if (!memory) {
    return Error{Errc::out_of_memory, "no room for " + std::to_string(bytes) + " bytes: " +
                                          std::to_string(used_) + " of " + std::to_string(limit_) +
                                          " in use by " + std::to_string(blocks_.size()) + " allocations"};
  }
  const auto address = address_of(memory.get());
  freed_.erase(address);
  blocks_.emplace(address, Block{bytes, std::move(memory)});
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return address;
}

Result<void> ScriptedMemory::free(std::uint64_t address) {
  const auto found = blocks_.find(address);
  if (found == blocks_.end()) {
    if (freed_.contains(address)) return Error{Errc::double_free, hex(address) + " was freed before"};
    const auto block = block_of(address);
    return Error{Errc::bad_address,
                 block != 0 ? hex(address) + " is inside the allocation at " + hex(block) + ", not its start"
                            : hex(address) + " is no allocation of this context"};
  }
  used_ -= found->second.bytes;
  blocks_.erase(found);
  freed_.insert(address);
  return {};
}

Result<void> ScriptedMemory::check(std::uint64_t address, std::uint64_t bytes) const {
  const auto start = block_of(address);
  if (start == 0) {
    const auto next = freed_.upper_bound(address);
    const bool was_freed = next != freed_.begin() && *std::prev(next) == address;
    return Error{Errc::bad_address,
                 hex(address) + (was_freed ? " was freed" : " is no device memory of this context")};
  }
  const auto room = blocks_.at(start).bytes - (address - start);
  if (bytes > room) {
    return Error{Errc::out_of_range, std::to_string(bytes) + " bytes at " + hex(address) +
                                         " leave the allocation at " + hex(start) + ", which has " +
                                         std::to_string(room) + " bytes from there"};
  }
  return {};
}

std::uint64_t ScriptedMemory::block_of(std::uint64_t address) const {
  auto after = blocks_.upper_bound(address);
  if (after == blocks_.begin()) return 0;
  const auto& [start, block] = *std::prev(after);
  return address - start < block.bytes ? start : 0;
}

void ScriptedMemory::clear() {
  blocks_.clear();
  freed_.clear();
  used_ = 0;
}

}  // namespace troupe::platform
