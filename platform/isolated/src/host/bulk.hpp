#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
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
  /// They have left; the answer to the call says when they are there. False: there can be no such connection
  /// now, and nothing was said. An error: it is lost.
  Result<bool> put(std::uint64_t number, std::uint64_t device, std::span<const std::byte> bytes,
                   const GoOn& go_on);
  /// None: there can be no such connection now, and nothing was said.
  Result<std::optional<Got>> get(std::uint64_t device, std::span<std::byte> bytes, const GoOn& go_on);
  /// Of the first that could not be made, why; once.
  std::optional<Error> why_not();
  /// Ends all of it. From any thread.
  void shut() noexcept;

 private:
  Result<Stream*> stream_of(Way way);
  bool can_be_used(Stream& stream, Way way);
  Error lost() const;
  Result<Got> read(Stream& stream, std::span<std::byte> bytes, const GoOn& go_on);

  const OpenBulk open_;
  std::array<std::mutex, 2> turns_;  ///< of who says something, by way
  std::mutex mutex_;
  std::condition_variable next_;
  std::array<std::unique_ptr<Stream>, 2> streams_;
  std::array<std::chrono::steady_clock::time_point, 2> not_before_{};  ///< is one tried again
  std::uint64_t asked_ = 0, read_ = 0;                                 ///< transfers from the device
  std::optional<Error> why_not_;
  bool told_why_not_ = false;
  bool over_ = false;
};

}  // namespace troupe::platform::isolation
