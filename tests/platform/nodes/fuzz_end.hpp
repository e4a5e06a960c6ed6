#pragma once

// The far end of a link, for fuzz targets.

#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "wire/wire.hpp"

namespace troupe::test {

using namespace platform::isolation;

inline void require(bool holds) {
  if (!holds) std::abort();
}

/// One end of a socket pair, served by the thread that looks after both.
class End {
 public:
  End(comm::FileDescriptor socket, bool local)
      : stream_(local ? local_stream(std::move(socket)) : plain_stream(std::move(socket))) {}
  void say(std::span<const std::byte> bytes) { unsaid_.insert(unsaid_.end(), bytes.begin(), bytes.end()); }
  void say(Kind kind, std::uint64_t number, std::span<const std::byte> payload, int descriptor = -1) {
    FrameHeader header;
    header.kind = kind;
    header.number = number;
    header.bytes = static_cast<std::uint32_t>(payload.size());
    header.descriptors = descriptor >= 0 ? 1 : 0;
    Writer all;
    all.put(header).raw(payload.data(), payload.size());
    if (descriptor >= 0) {
      // It goes with the first of its bytes.
      if (!unsaid_.empty()) return;
      iovec part{const_cast<std::byte*>(all.bytes().data()), all.bytes().size()};
      const auto sent = stream_->send({&part, 1}, {&descriptor, 1});
      if (!sent.gone && sent.bytes != 0) say(all.bytes().subspan(sent.bytes));
      return;
    }
    say(all.bytes());
  }
  pollfd wanted() const {
    return {stream_->descriptor(), static_cast<short>(POLLIN | (unsaid_.empty() ? 0 : POLLOUT)), 0};
  }
  /// Nothing more comes from here.
  void say_no_more() {
    last_ = true;
    end_if_said();
  }
  /// False: the other end has closed.
  template <class Hear>
  bool go_on(Hear hear) {
    if (!unsaid_.empty()) {
      iovec part{unsaid_.data(), unsaid_.size()};
      const auto sent = stream_->send({&part, 1}, {});
      unsaid_.erase(unsaid_.begin(), unsaid_.begin() + static_cast<std::ptrdiff_t>(sent.bytes));
      if (sent.gone) unsaid_.clear();
    }
    end_if_said();
    for (;;) {
      auto came = stream_->receive(assembler_.room());
      if (came.nothing) return true;
      if (came.bytes == 0) return false;
      if (!came.descriptors.empty()) assembler_.took(std::move(came.descriptors));
      assembler_.took(came.bytes);
      Frame frame;
      for (;;) {
        const auto next = assembler_.next(frame);
        require(next.has_value());  // whatever came, what is said here are frames
        if (!*next) break;
        hear(frame);
      }
    }
  }

 private:
  void end_if_said() {
    if (unsaid_.empty() && last_) ::shutdown(stream_->descriptor(), SHUT_WR);
  }

  std::unique_ptr<Stream> stream_;
  Assembler assembler_;
  std::vector<std::byte> unsaid_;
  bool last_ = false;
};

inline std::pair<comm::FileDescriptor, comm::FileDescriptor> pair() {
  int ends[2];
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {comm::FileDescriptor(ends[0]), comm::FileDescriptor(ends[1])};
}

}  // namespace troupe::test
