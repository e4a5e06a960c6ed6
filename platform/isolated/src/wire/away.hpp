#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "wire/bytes.hpp"

// What a program and a node on another machine say to each other beside the calls: they share no memory, so
// the bytes go along.
namespace troupe::platform::isolation {

/// What is not to be guessed.
using Token = std::array<std::uint8_t, 16>;

/// The first frame to a node: who asks for what; then, as text, what he calls the node.
struct Claim {
  /// Instead of a number. The last two: many bytes of the chip whose `token` it has, each way.
  static constexpr std::int32_t only_asks = -1, any_chip = -2, to_device = -3, from_device = -4;
  std::uint32_t protocol = 1;
  std::uint32_t abi_version = TROUPE_DEVICE_ABI_VERSION;
  char build[24] = {};
  std::array<std::uint8_t, 16> pod = {};  ///< the same for all chips that one program has
  std::int32_t chip = only_asks;
  std::uint32_t incarnation = 0;
  std::uint64_t silence_ms = 0;  ///< so long the program waits for a sign of life, and it gives some
  Token token = {};
};
/// The answer; then two texts: why not (empty: welcome; `code` says it to programs), and the platform's name.
struct Welcome {
  std::uint32_t protocol = 1;
  std::uint32_t abi_version = TROUPE_DEVICE_ABI_VERSION;
  char build[24] = {};
  std::uint64_t node = 0;    ///< a number of this life of the node
  std::uint64_t now_ns = 0;  ///< by the node's clock
  std::uint64_t silence_ms =
      0;  ///< so long it waits for a sign of life, or as long as the program, if that is less
  std::uint32_t chips = 0;
  std::int32_t code = 0;
  Token token = {};  ///< for further connections to the chip, one of each kind
};

/// Bytes of one frame that carries many: small enough that others get their turn.
inline constexpr std::uint64_t part_bytes = std::uint64_t{256} << 10U;

/// Before bytes that are to be copied to the device. The answer comes after the last of them; `quiet`: only
/// when they cannot be.
struct PutPart {
  std::uint64_t device = 0;
  std::uint32_t last = 0, quiet = 0;
};
/// Calls whose answer nobody waits for.
inline constexpr std::uint64_t not_waited_for = std::uint64_t{1} << 62U;
struct GetCall {
  std::uint64_t device = 0, bytes = 0;
};
/// Before bytes that were read: where in what was asked for they belong.
struct GotPart {
  std::uint64_t offset = 0;
};
/// Before bytes of a piece of memory that each end has for itself.
struct PiecePart {
  std::uint64_t offset = 0;
  std::uint32_t piece = 0, reserved = 0;
};
/// Where a run writes into such pieces: that comes back when it has ended well. First its number.
struct Region {
  std::uint64_t offset = 0, bytes = 0;
  std::uint32_t piece = 0, reserved = 0;
};
/// Runs that are waited for have numbers of their own.
inline constexpr std::uint64_t waited_for = std::uint64_t{1} << 63U;

/// A module by what is in its file.
struct ModuleAsked {
  std::array<std::uint8_t, 32> digest = {};
  std::uint64_t bytes = 0;
};
struct ModulePart {
  std::array<std::uint8_t, 32> digest = {};
  std::uint64_t offset = 0;
};

/// What stands behind a window's description when its memory is a node's: which, and under what number.
struct WindowPlace {
  static constexpr std::uint64_t sign = 0x574F444E49572E54;  // "T.WINDOW"
  std::uint64_t magic = sign, node = 0, number = 0;
};
/// False: there is no room for it.
bool put_place(troupe_window_blob& blob, const WindowPlace& place) noexcept;
/// Takes it away again; false: there is none.
bool take_place(troupe_window_blob& blob, WindowPlace& place) noexcept;

}  // namespace troupe::platform::isolation
