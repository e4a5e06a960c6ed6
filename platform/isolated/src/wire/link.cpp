#include "wire/link.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr std::size_t most_kept = std::size_t{64} << 20U;
constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(int) * most_descriptors);

struct Sent {
  std::size_t bytes = 0;
  bool gone = false;  ///< there is nobody at the other end
};

/// As much as the socket takes now.
Sent send_now(int socket, std::span<iovec> parts, std::span<const int> descriptors) {
  alignas(cmsghdr) std::array<std::byte, control_bytes> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    auto* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * descriptors.size());
  }
  for (;;) {
    const auto sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return {static_cast<std::size_t>(sent), false};
    if (errno == EINTR) continue;
    const bool full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM ||
                      errno == ETOOMANYREFS;
    return {0, !full};
  }
}

}  // namespace

Link::Link(comm::FileDescriptor socket, WhenFull when_full)
    : socket_(std::move(socket)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), when_full_(when_full) {
  if (!wake_.valid()) down_ = true;
}

bool Link::send(Kind kind, std::uint64_t number, std::span<const std::byte> payload,
                std::span<const int> descriptors) {
  FrameHeader header;
  header.bytes = static_cast<std::uint32_t>(payload.size());
  header.kind = kind;
  header.descriptors = static_cast<std::uint16_t>(descriptors.size());
  header.number = number;
  std::array<iovec, 2> parts{
      {{&header, sizeof header}, {const_cast<std::byte*>(payload.data()), payload.size()}}};
  if (payload.size() > most_frame_bytes || is_down()) return false;
  std::unique_lock lock(mutex_);
  std::size_t sent = 0;
  if (rest_.empty()) {
    const auto now = send_now(socket_.get(), parts, descriptors);
    if (now.gone) {
      down_ = true;
      return false;
    }
    sent = now.bytes;
    if (sent == sizeof header + payload.size()) return true;
  }
  return keep(header, payload, sent, descriptors, lock);
}

bool Link::keep(const FrameHeader& header, std::span<const std::byte> payload, std::size_t sent,
                std::span<const int> descriptors, std::unique_lock<std::mutex>& lock) {
  Rest rest;
  rest.sent = sent;
  if (sent == 0) {
    for (const int descriptor : descriptors) {
      rest.descriptors.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
      if (!rest.descriptors.back().valid()) return false;
    }
  }
  if (rest_bytes_ > most_kept) {
    if (when_full_ == WhenFull::go_down) {
      lock.unlock();
      shut();
      return false;
    }
    // Who makes room must not wait for it.
    if (std::this_thread::get_id() != serving_.load()) {
      has_room_.wait(lock, [this] { return rest_bytes_ <= most_kept || is_down(); });
    }
    if (is_down()) return false;
  }
  rest.bytes.resize(sizeof header + payload.size());
  std::memcpy(rest.bytes.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(rest.bytes.data() + sizeof header, payload.data(), payload.size());
  rest_bytes_ += rest.bytes.size();
  rest_.push_back(std::move(rest));
  wake();
  return true;
}

void Link::send_rest() {
  const std::lock_guard lock(mutex_);
  while (!rest_.empty()) {
    auto& first = rest_.front();
    std::array<int, most_descriptors> descriptors{};
    for (std::size_t i = 0; i < first.descriptors.size(); ++i) descriptors[i] = first.descriptors[i].get();
    iovec part{first.bytes.data() + first.sent, first.bytes.size() - first.sent};
    const auto now =
        send_now(socket_.get(), {&part, 1}, std::span(descriptors).first(first.descriptors.size()));
    if (now.gone) {
      down_ = true;
      break;
    }
    if (now.bytes == 0) return;
    first.descriptors.clear();
    first.sent += now.bytes;
    if (first.sent != first.bytes.size()) return;
    rest_bytes_ -= first.bytes.size();
    rest_.pop_front();
  }
  has_room_.notify_all();
}

int Link::take_in(Assembler& to) {
  alignas(cmsghdr) std::array<std::byte, control_bytes> control;
  const auto room = to.room();
  iovec part{room.data(), room.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t came = 0;
  do came = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (came < 0 && errno == EINTR);
  if (came < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
  std::vector<comm::FileDescriptor> descriptors;
  for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
      descriptors.emplace_back(descriptor);
    }
  }
  if (!descriptors.empty() || (message.msg_flags & MSG_CTRUNC) != 0) to.took(std::move(descriptors));
  to.took(static_cast<std::size_t>(came));
  if (came > 0) heard_.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(came);
}

Result<void> Link::tell(Assembler& of, Receiver& receiver) {
  Frame frame;
  for (;;) {
    const auto there = of.next(frame);
    if (!there) return there.error();
    if (!*there) break;
    if (auto told = receiver.frame(frame); !told) return told;
  }
  receiver.caught_up();
  return {};
}

Result<void> Link::serve(Receiver& receiver, int also) {
  Assembler assembler;
  std::array<pollfd, 3> waiting{{{socket_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}, {also, POLLIN, 0}}};
  serving_.store(std::this_thread::get_id());
  for (bool over = false; !over && !shut_.load();) {
    {
      const std::lock_guard lock(mutex_);
      if (finishing_.load() && rest_.empty()) break;
      waiting[0].events = static_cast<short>(rest_.empty() ? POLLIN : POLLIN | POLLOUT);
    }
    if (::poll(waiting.data(), waiting.size(), -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if ((waiting[1].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      (void)!::read(wake_.get(), &count, sizeof count);
      receiver.caught_up();
    }
    if ((waiting[0].revents & POLLOUT) != 0) send_rest();
    over = (waiting[2].revents & POLLIN) != 0;  // what it has sent before is still heard
    if (!over && (waiting[0].revents & ~POLLOUT) == 0) continue;
    do {
      const int came = take_in(assembler);
      if (came == 0) over = true;
      if (came <= 0) break;
      if (auto told = tell(assembler, receiver); !told) {
        shut();
        return told;
      }
    } while (over);
  }
  shut();
  return {};
}

void Link::shut() noexcept {
  shut_.store(true);
  down_.store(true, std::memory_order_release);
  ::shutdown(socket_.get(), SHUT_RDWR);
  wake();
  const std::lock_guard lock(mutex_);
  has_room_.notify_all();
}

void Link::finish() noexcept {
  finishing_.store(true);
  wake();
}

void Link::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

}  // namespace troupe::platform::isolation
