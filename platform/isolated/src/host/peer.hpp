#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// Makes another connection to the same chip, for many bytes.
using OpenBulk = std::function<Result<std::unique_ptr<Stream>>(Way way)>;

/// Who is at the other end of a context's link: a process that was started for it, or a chip of a node on
/// another machine. Made, and ended, by the thread that serves the context.
class Peer {
 public:
  Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  /// It has gone.
  virtual ~Peer() = default;

  /// Once.
  virtual std::unique_ptr<Stream> take_stream() = 0;
  /// Can be read once it has ended; -1: the stream tells.
  virtual int ended() const { return -1; }
  /// None: memory is shared.
  virtual OpenBulk bulk() const { return {}; }
  /// After so long without a byte it gives this end up; 0: after as long as this end does.
  virtual std::uint64_t silence_ns() const { return 0; }
  /// By how much its clock is ahead of this machine's.
  virtual std::int64_t clock_ahead_ns() const { return 0; }
  /// Nothing of it can touch memory of ours any more. What became of it, in words: "exited with code 3".
  /// `closed`: its end of the stream is closed, so it should have ended, or be about to.
  virtual std::string end(bool closed) = 0;
};

}  // namespace troupe::platform::isolation
