#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "host/peer.hpp"
#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// The program's ends of the connections for many bytes, which are made when they are needed first.
/// Thread-safe; transfers of one way take turns, and the next one is asked for before the last has ended.
class Bulk {
 public:
  explicit Bulk(OpenBulk open) : open_(std::move(open)) {}

  struct Got {
    std::int32_t code = 0;
    std::string text;
  };
  /// They have left; the answer to the call says when they are there. An error: the connection is lost, or
  /// cannot be made.
  Result<void> put(std::uint64_t number, std::uint64_t device, std::span<const std::byte> bytes,
                   const GoOn& go_on);
  Result<Got> get(std::uint64_t device, std::span<std::byte> bytes, const GoOn& go_on);
  /// Ends all of it. From any thread.
  void shut() noexcept;

 private:
  Result<Stream*> stream_of(Way way);
  Error lost() const;
  Result<Got> read(Stream& stream, std::span<std::byte> bytes, const GoOn& go_on);

  const OpenBulk open_;
  std::array<std::mutex, 2> turns_;  ///< of who says something, by way
  std::mutex mutex_;
  std::condition_variable next_;
  std::array<std::unique_ptr<Stream>, 2> streams_;
  std::uint64_t asked_ = 0, read_ = 0;  ///< transfers from the device
  bool over_ = false;
};

}  // namespace troupe::platform::isolation
