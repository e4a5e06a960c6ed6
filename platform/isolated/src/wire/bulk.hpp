#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "wire/stream.hpp"

// How many bytes go to a chip of a node on another machine, and back: over connections of their own, so that
// nothing else waits behind them, and straight into the memory where they belong.
namespace troupe::platform::isolation {

/// Each way has its connection.
enum class Way : std::uint8_t { to_device, from_device };

/// What the program says before a transfer. The bytes to the device follow.
struct BulkOrder {
  static constexpr std::uint32_t sign = 0x4B4C5542;  // "BULK"
  std::uint32_t magic = sign, reserved = 0;
  std::uint64_t number = 0;  ///< of the call that is answered when all of them are there
  std::uint64_t device = 0, bytes = 0;
};
/// What the node says before a slice of bytes from the device; of a failure (`code`) its sentence follows,
/// and nothing more of that transfer.
struct BulkSlice {
  std::int32_t code = 0;
  std::uint32_t bytes = 0;
};
inline constexpr std::uint32_t most_bulk_text = 65536;

/// Asked when nothing moves now: for how many milliseconds to wait for more until it is asked again; -1: for
/// ever; 0: not at all. `moved`: something has moved since it was asked last.
using GoOn = std::function<int(bool moved)>;

/// All of it, with as few looks at the socket as that takes. False: the other end has gone, or `go_on` said
/// no. `more` follows at once: it need not leave before that.
bool send_all(Stream& stream, std::span<const std::byte> bytes, const GoOn& go_on, bool more = false);
bool receive_all(Stream& stream, std::span<std::byte> room, const GoOn& go_on);

}  // namespace troupe::platform::isolation
