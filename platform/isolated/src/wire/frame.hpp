#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// What a frame is. Calls have a number, which their answer has, too; launches, aborts and news have none.
enum class Kind : std::uint16_t {
  // To the process of the chip: what the host calls,
  set_up = 1,
  set_option,
  set_device,
  reset,
  destroy,
  allocate,
  free,
  copy_to,
  copy_from,
  register_callable,
  unregister_callable,
  run,
  properties,
  status,
  window_create,
  window_import,
  window_commit,
  window_abort,
  window_release,
  comm_init,
  comm_alloc_windows,
  comm_local_base,
  comm_window_size,
  comm_barrier,
  comm_destroy,
  comm_abort,
  acl_ready,
  create_stream,
  destroy_stream,
  ping,
  // what gets no answer,
  launch = 64,
  abort,
  share,
  unshare,
  // of a chip on another machine also: whose it is, the bytes that are not shared,
  claim = 96,
  put,
  get,
  fill,
  returns,
  // modules,
  find_module,
  module_part,
  // from either end,
  alive = 127,
  // and what comes from it.
  hello = 128,
  answer,
  completions,
  log,
  trace,
  dump,
  // Of a node: that the chip may be used, what was read, what runs wrote, of what the chip died.
  welcome = 160,
  part,
  spill,
  obituary,
};

struct FrameHeader {
  static constexpr std::uint32_t sign = 0x50495254;  // "TRIP"
  std::uint32_t magic = sign;
  std::uint32_t bytes = 0;  ///< behind the header
  Kind kind{};
  std::uint16_t descriptors = 0;  ///< that come along
  std::uint32_t reserved = 0;
  std::uint64_t number = 0;
};
static_assert(sizeof(FrameHeader) == 24);

/// Longer ones are not sent, and end the link when they come.
inline constexpr std::uint32_t most_frame_bytes = 16U << 20U;
inline constexpr std::uint16_t most_descriptors = 4;

/// A frame that has come. The payload is good until the next bytes are taken in.
struct Frame {
  Kind kind{};
  std::uint64_t number = 0;
  std::span<const std::byte> payload;
  /// As many as the sender sent; invalid ones got lost on the way, because this process has too many open.
  std::vector<comm::FileDescriptor> descriptors;
};

/// Makes frames of the bytes of a stream, which may be anything. Takes no more memory than a frame whose
/// bytes have really come.
class Assembler {
 public:
  /// Where the next bytes go; call `took` with how many came.
  std::span<std::byte> room();
  void took(std::size_t bytes) { end_ += bytes; }
  /// Descriptors that came with those bytes, or should have.
  void took(std::vector<comm::FileDescriptor> descriptors);

  /// The next frame; false: it has not come as a whole. An error: what comes is no frame.
  Result<bool> next(Frame& frame);

 private:
  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0, end_ = 0;
  std::deque<std::vector<comm::FileDescriptor>> descriptors_;
};

}  // namespace troupe::platform::isolation
