#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "troupe/platform/isolated.hpp"
#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// Which memory the process of a chip has mapped, and under what number it knows it. Thread-safe.
class Pieces {
 public:
  struct Place {
    std::uint32_t piece = 0;
    std::uint64_t offset = 0;
  };

  explicit Pieces(std::shared_ptr<MappableMemory> memory) : memory_(std::move(memory)) {}

  /// Where all of these bytes lie in memory that both have; it is passed on first, if that is new. None: in
  /// no such memory.
  std::optional<Place> find(Link& link, const std::byte* address, std::uint64_t bytes);
  /// Passes on memory of ours. 0: that cannot be done now.
  std::uint32_t share(Link& link, const SharedPages& pages);
  void unshare(Link& link, std::uint32_t piece);
  /// Memory that the other end has a copy of: bytes of it have come. False: there is none such.
  bool filled(std::uint32_t piece, std::uint64_t offset, std::span<const std::byte> bytes);
  void is_copied(std::uint32_t piece, std::span<std::byte> memory);

 private:
  struct Known {
    std::weak_ptr<const void> alive;
    const std::byte* base = nullptr;
    std::uint64_t bytes = 0;
    std::uint32_t number = 0;
  };
  std::uint32_t pass_on(Link& link, std::uint64_t bytes, int descriptor);

  const std::shared_ptr<MappableMemory> memory_;
  std::mutex mutex_;
  std::vector<Known> known_;
  std::uint32_t last_ = staging_piece;
  std::mutex copied_mutex_;
  std::map<std::uint32_t, std::span<std::byte>> copied_;
};

}  // namespace troupe::platform::isolation
