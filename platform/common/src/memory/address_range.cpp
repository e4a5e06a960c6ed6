#include "memory/address_range.hpp"

#include <sys/mman.h>

#include <string>
#include <utility>

#include "memory/addresses.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

Result<AddressRange> AddressRange::reserve(std::size_t size) {
  size = round_up(size, page_size);
  void* base = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return Error(Errc::out_of_memory,
                 "cannot reserve " + std::to_string(size >> 20) + " MiB of address space for a device",
                 "raise the address space limit (ulimit -v) or make the device's memory smaller");
  }
  return AddressRange(reinterpret_cast<std::uint64_t>(base), size);
}

AddressRange::AddressRange(AddressRange&& other) noexcept
    : base_(std::exchange(other.base_, 0)), size_(std::exchange(other.size_, 0)) {}

AddressRange& AddressRange::operator=(AddressRange&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  return *this;
}

AddressRange::~AddressRange() {
  if (size_ != 0) munmap(pointer(base_), size_);
}

bool AddressRange::commit(std::uint64_t address, std::size_t size) noexcept {
  return mprotect(pointer(address), size, PROT_READ | PROT_WRITE) == 0;
}

void AddressRange::decommit(std::uint64_t address, std::size_t size) noexcept {
  // Mapping afresh drops the pages and the access right in one step.
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  if (mmap(pointer(address), size, PROT_NONE, flags, -1, 0) == MAP_FAILED) {
    mprotect(pointer(address), size, PROT_NONE);  // keeps the pages, but nobody reaches them
  }
}

}  // namespace troupe::platform::common
