#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/comm/file_descriptor.hpp"
#include "wire/frame.hpp"

namespace troupe::platform::isolation {

/// What a link is made on: bytes to another process and back, in their order. Nothing here waits. One thread
/// receives; sending is for one thread at a time.
class Stream {
 public:
  struct Sent {
    std::size_t bytes = 0;
    bool gone = false;  ///< there is nobody at the other end
  };
  struct Received {
    std::size_t bytes = 0;
    bool nothing = false;  ///< now; neither this nor bytes: the other end has closed
    std::vector<comm::FileDescriptor> descriptors = {};
    bool lost_descriptors = false;  ///< some came that this process could not take
  };
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  virtual ~Stream() = default;

  /// For poll: of the reading, and of the writing when something was not sent as a whole.
  virtual int descriptor() const = 0;
  /// Whether descriptors go along. Where they do not, nothing that both have does either.
  virtual bool is_local() const = 0;
  /// As much as leaves now. What did not leave comes again, from where it stopped.
  virtual Sent send(std::span<iovec> parts, std::span<const int> descriptors) = 0;
  /// From now on it may keep what was sent until there is more of it, or until it is flushed.
  virtual void gather() {}
  enum class Flushed : std::uint8_t { all, not_yet, gone };
  virtual Flushed flush() { return Flushed::all; }
  virtual Received receive(std::span<std::byte> room) = 0;
  /// Ends it for both ends. From any thread.
  virtual void shut() noexcept = 0;
  /// Why it ended, if more is known: ": …".
  virtual std::string problem() const { return {}; }
};

/// On a stream socket of this machine.
std::unique_ptr<Stream> local_stream(comm::FileDescriptor socket);
/// The same, between two who share nothing: no descriptors go along. For a socket of a node on this machine.
std::unique_ptr<Stream> plain_stream(comm::FileDescriptor socket);

}  // namespace troupe::platform::isolation
