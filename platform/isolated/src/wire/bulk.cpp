#include "wire/bulk.hpp"

#include <poll.h>

#include <cerrno>
#include <utility>

namespace troupe::platform::isolation {
namespace {

bool wait(const Stream& stream, short what, const GoOn& go_on, bool& moved) {
  const int longest_ms = go_on(std::exchange(moved, false));
  pollfd one{stream.descriptor(), what, 0};
  return longest_ms != 0 && (::poll(&one, 1, longest_ms) >= 0 || errno == EINTR);
}

}  // namespace

bool send_all(Stream& stream, std::span<const std::byte> bytes, const GoOn& go_on, bool more) {
  bool moved = true;
  while (!bytes.empty()) {
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    const auto sent = stream.send({&part, 1}, {});
    if (sent.gone) return false;
    bytes = bytes.subspan(sent.bytes);
    moved = moved || sent.bytes != 0;
    if (!bytes.empty() && !wait(stream, POLLOUT, go_on, moved)) return false;
  }
  while (!more) {
    const auto flushed = stream.flush();
    if (flushed != Stream::Flushed::not_yet) return flushed == Stream::Flushed::all;
    if (!wait(stream, POLLOUT, go_on, moved)) return false;
  }
  return true;
}

bool receive_all(Stream& stream, std::span<std::byte> room, const GoOn& go_on) {
  bool moved = true;
  while (!room.empty()) {
    const auto came = stream.receive(room);
    if (came.bytes == 0 && !came.nothing) return false;
    room = room.subspan(came.bytes);
    moved = moved || came.bytes != 0;
    if (came.nothing && !wait(stream, POLLIN, go_on, moved)) return false;
  }
  return true;
}

}  // namespace troupe::platform::isolation
