#include "wire/stream.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::platform::isolation {
namespace {

constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(int) * most_descriptors);

class SocketStream final : public Stream {
 public:
  SocketStream(comm::FileDescriptor socket, bool local) : socket_(std::move(socket)), local_(local) {}

  int descriptor() const override { return socket_.get(); }
  bool is_local() const override { return local_; }

  Sent send(std::span<iovec> parts, std::span<const int> descriptors) override {
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
      const auto sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0) return {static_cast<std::size_t>(sent), false};
      if (errno == EINTR) continue;
      const bool full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM ||
                        errno == ETOOMANYREFS;
      return {0, !full};
    }
  }

  Received receive(std::span<std::byte> room) override {
    alignas(cmsghdr) std::array<std::byte, control_bytes> control;
    iovec part{room.data(), room.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (local_) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
    }
    ssize_t came = 0;
    do came = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (came < 0 && errno == EINTR);
    Received received;
    if (came < 0) {
      received.nothing = errno == EAGAIN || errno == EWOULDBLOCK;
      return received;
    }
    received.bytes = static_cast<std::size_t>(came);
    if (!local_) return received;
    for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
        received.descriptors.emplace_back(descriptor);
      }
    }
    received.lost_descriptors = (message.msg_flags & MSG_CTRUNC) != 0;
    return received;
  }

  void shut() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }

 private:
  const comm::FileDescriptor socket_;
  const bool local_;
};

}  // namespace

std::unique_ptr<Stream> local_stream(comm::FileDescriptor socket) {
  return std::make_unique<SocketStream>(std::move(socket), true);
}

std::unique_ptr<Stream> plain_stream(comm::FileDescriptor socket) {
  return std::make_unique<SocketStream>(std::move(socket), false);
}

}  // namespace troupe::platform::isolation
