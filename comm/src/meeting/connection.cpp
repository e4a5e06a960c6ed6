#include "meeting/connection.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "system_error.hpp"

namespace troupe::comm {

namespace {

struct Name {
  sockaddr_un address{};
  socklen_t length = 0;
};

std::uint64_t fnv1a(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

Name name_of(const MeetingAddress& at) {
  // Two independent 64-bit hashes: meetings may be paths of any length, names have 107 bytes.
  std::array<char, 96> text{};
  const int size = std::snprintf(text.data(), text.size(), "troupe-meeting-%u-%016llx%016llx", at.user,
                                 static_cast<unsigned long long>(fnv1a(at.meeting, 0xcbf29ce484222325U)),
                                 static_cast<unsigned long long>(fnv1a(at.meeting, 0x9ae16a3b2f90404fU)));
  Name name;
  name.address.sun_family = AF_UNIX;
  // The leading NUL makes it abstract.
  std::memcpy(name.address.sun_path + 1, text.data(), static_cast<std::size_t>(size));
  name.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(size));
  return name;
}

FileDescriptor make_socket() {
  return FileDescriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

bool same_user(int socket, std::uint32_t user) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == user;
}

}  // namespace

Result<FileDescriptor> listen_at(const MeetingAddress& address) {
  FileDescriptor socket = make_socket();
  if (!socket.valid()) return system_error("opening a socket to meet at", errno);
  const Name name = name_of(address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) != 0) {
    if (errno == EADDRINUSE) return FileDescriptor();
    return system_error("taking the name of the meeting \"" + address.meeting + "\"", errno);
  }
  if (::listen(socket.get(), SOMAXCONN) != 0) return system_error("listening for ranks", errno);
  return socket;
}

Result<FileDescriptor> connect_to(const MeetingAddress& address) {
  FileDescriptor socket = make_socket();
  if (!socket.valid()) return system_error("opening a socket to meet at", errno);
  const Name name = name_of(address);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) != 0) {
    // Nobody, or bound but not listening yet, or its queue of newcomers is full.
    if (errno == ECONNREFUSED || errno == EAGAIN || errno == EINTR) return FileDescriptor();
    return system_error("joining the meeting \"" + address.meeting + "\"", errno);
  }
  if (!same_user(socket.get(), address.user))
    return Error(Errc::foreign_peer, "the meeting \"" + address.meeting + "\" is held by another user",
                 "choose another name for the meeting");
  return socket;
}

Result<FileDescriptor> accept_from(int listener, std::uint32_t user) {
  for (;;) {
    FileDescriptor socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return FileDescriptor();
      return system_error("letting a rank in", errno, "too many open files? (ulimit -n)");
    }
    if (same_user(socket.get(), user)) return socket;
  }
}

Connection::Connection(boost::asio::io_context& io, FileDescriptor socket) : socket_(io, socket.release()) {}

Connection::~Connection() { *alive_ = false; }

void Connection::start(Events events) {
  events_ = std::move(events);
  wait_readable();
}

void Connection::wait_readable() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [this, alive = alive_](const boost::system::error_code& error) {
                       if (*alive && !error) read_all();
                     });
}

void Connection::read_all() {
  std::array<std::byte, max_message_bytes> packet;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_ranks)> control;
  const std::shared_ptr<bool> alive = alive_;
  while (*alive && !ended_) {
    iovec data{packet.data(), packet.size()};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.native_handle(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // A reset is reported once, ahead of packets that are still queued: the next call has them, or the end.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return wait_readable();
    if (size <= 0) return end();
    Descriptors descriptors;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
        descriptors.emplace_back(fd);
      }
    }
    if ((header.msg_flags & MSG_TRUNC) != 0)
      events_.packet(Error(Errc::bad_blob, "not a message of a meeting: too long"), {});
    else
      events_.packet(decode_message({packet.data(), static_cast<std::size_t>(size)}), std::move(descriptors));
  }
}

Connection::Sent Connection::try_send(std::span<const std::byte> packet, std::span<const int> descriptors) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_ranks)> control{};
  iovec data{const_cast<std::byte*>(packet.data()), packet.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket_.native_handle(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Sent::yes;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Sent::later;
    // Anything else (a peer that is gone, too many descriptors in flight) ends the connection.
    if (errno != EINTR) return Sent::refused;
  }
}

void Connection::send(const Message& message, std::span<const int> descriptors) {
  if (ended_) return;
  std::vector<std::byte> packet = encode(message);
  if (outgoing_.empty()) {
    const Sent sent = try_send(packet, descriptors);
    if (sent == Sent::yes) return;
    if (sent == Sent::refused) {
      // Only the sending half: what the peer said last may still wait to be read, then comes its end.
      ::shutdown(socket_.native_handle(), SHUT_WR);
      return;
    }
  }
  Outgoing waiting{.packet = std::move(packet), .descriptors = {}};
  for (const int fd : descriptors) waiting.descriptors.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  outgoing_.push_back(std::move(waiting));
  if (outgoing_.size() == 1) wait_writable();
}

void Connection::wait_writable() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                     [this, alive = alive_](const boost::system::error_code& error) {
                       if (!*alive || error || ended_) return;
                       while (!outgoing_.empty()) {
                         std::vector<int> descriptors;
                         for (const FileDescriptor& fd : outgoing_.front().descriptors)
                           descriptors.push_back(fd.get());
                         if (try_send(outgoing_.front().packet, descriptors) == Sent::later)
                           return wait_writable();
                         outgoing_.pop_front();
                       }
                     });
}

void Connection::end() {
  if (ended_) return;
  ended_ = true;
  outgoing_.clear();
  events_.closed();
}

}  // namespace troupe::comm
