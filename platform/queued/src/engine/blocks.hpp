#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "driver/driver.hpp"
#include "troupe/runtime/device_block.h"

namespace troupe::platform::queued {

/// The argument block of one call. Others look at it too: the calls that come after it on the device.
struct Block {
  troupe_device_block* host = nullptr;
  Address device = 0;
  std::uint32_t users = 0;  ///< the call, and calls that look at it and have not ended
};

/// Argument blocks, in memory that host and device share; kept for the next call. One thread.
class Blocks {
 public:
  /// `most`: that are there at the same time.
  Blocks(Driver& driver, std::size_t most) : driver_(driver), most_(most) {}
  ~Blocks();
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;

  /// One with one user, whose header is empty. Null: all are in use.
  Result<Block*> take();
  void use(Block& block) noexcept { ++block.users; }
  void leave(Block& block) noexcept;
  std::size_t in_use() const noexcept { return all_.size() - free_.size(); }

 private:
  Result<void> grow();

  Driver& driver_;
  const std::size_t most_;
  std::vector<SharedMemory> slabs_;
  std::deque<Block> all_;
  std::vector<Block*> free_;
};

}  // namespace troupe::platform::queued
