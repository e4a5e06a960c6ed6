#include "kernels/pipes.hpp"

#include <new>

#include "common.hpp"
#include "memory/memory.hpp"

namespace troupe::platform::sim {

namespace {
constexpr std::size_t largest_piece = std::size_t{1} << 30;
}

void* Pipes::storage(std::uint32_t cluster, std::uint64_t key, std::size_t size) noexcept {
  if (size == 0 || size > largest_piece) return nullptr;
  try {
    const std::lock_guard lock(mutex_);
    auto& piece = pieces_[{cluster, key}];
    if (piece.memory == nullptr) {
      // Bytes, which start as zero all of them (a wider type may have padding), aligned by hand.
      piece.memory = std::make_unique<std::byte[]>(size + 63);
      piece.size = size;
    }
    if (piece.size < size) return nullptr;
    const auto address = reinterpret_cast<std::uintptr_t>(piece.memory.get());
    return pointer((address + 63) / 64 * 64);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void Pipes::reset() noexcept {
  const std::lock_guard lock(mutex_);
  pieces_.clear();
}

}  // namespace troupe::platform::sim
