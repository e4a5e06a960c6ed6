#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/comm/domain.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/comm/window.hpp"

namespace troupe::comm {

/// What ranks and the hub of a meeting say to each other. One packet each; descriptors travel beside it.
struct Message {
  enum class Kind : std::uint32_t {
    hello = 1,      ///< rank → hub: I am `rank` of `ranks` and want `bytes`
    welcome = 2,    ///< hub → rank: the domain is `domain`, `generation`; the hub is `rank`
    offer = 3,      ///< rank → hub: my window (one blob, one descriptor)
    roster = 4,     ///< hub → rank: everybody's windows (blobs and descriptors in the order of ranks)
    imported = 5,   ///< rank → hub: I see all windows
    committed = 6,  ///< hub → rank: all do
    failed = 7,     ///< either way: `code` and `text` say why; `rank` is where it comes from
    leave = 8,      ///< rank → hub: I stop waiting (`code`: deadline or aborted); answered by `failed`
  };
  Kind kind = Kind::hello;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  std::uint64_t bytes = 0;
  DomainId domain;
  std::uint64_t generation = 0;
  std::int32_t code = 0;
  std::string text;
  std::vector<WindowBlob> blobs;
};

using Descriptors = std::vector<FileDescriptor>;

/// No message is larger: a roster of 64 ranks, or a text of 1 KiB.
inline constexpr std::size_t max_message_text = 1024;
inline constexpr std::size_t max_message_bytes = 72 + max_ranks * window_blob_bytes;

std::vector<std::byte> encode(const Message& message);
/// Packets come from other processes: everything is checked. Errors: bad_blob.
Result<Message> decode_message(std::span<const std::byte> packet);

/// The error a `failed` message carries; unknown codes become `system`.
Error to_error(const Message& message);

/// Where a meeting's state machine sends; the driver owns it. Descriptors are only borrowed.
class Link {
 public:
  virtual ~Link() = default;
  virtual void send(const Message& message, std::span<const int> descriptors) = 0;
  void send(const Message& message) { send(message, {}); }
};

}  // namespace troupe::comm
