#include "net/address.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr std::string_view local_prefix = "unix:";

Error failed(const std::string& doing, int problem) {
  return Error(Errc::system, doing + ": " + std::generic_category().message(problem));
}

struct Found {
  addrinfo* first = nullptr;
  Found() = default;
  Found(Found&& other) noexcept : first(std::exchange(other.first, nullptr)) {}
  Found& operator=(Found&&) = delete;
  ~Found() {
    if (first != nullptr) ::freeaddrinfo(first);
  }
};

Result<Found> look_up(const Address& address, int flags) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = flags;
  Found found;
  const int problem = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &wanted, &found.first);
  if (problem != 0)
    return Error(Errc::system, "no address for '" + address.text() + "': " + ::gai_strerror(problem));
  return found;
}

Result<sockaddr_un> local_address(const Address& address) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (address.host.empty() || address.host.size() >= sizeof where.sun_path)
    return Error(Errc::invalid_argument, "'" + address.text() + "' is too long a path for a socket, or none");
  std::memcpy(where.sun_path, address.host.c_str(), address.host.size() + 1);
  return where;
}

void answer_at_once(int socket) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

std::string Address::text() const {
  if (is_local) return std::string(local_prefix) + host;
  return (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + port;
}

Result<Address> read_address(std::string_view text) {
  const auto wrong = [&] {
    return Error(Errc::invalid_argument, "'" + std::string(text) + "' is no address of a node",
                 "HOST:PORT, [ADDRESS]:PORT, or unix:PATH");
  };
  if (text.starts_with(local_prefix)) return Address{true, std::string(text.substr(local_prefix.size())), {}};
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return wrong();
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return wrong();
  }
  const bool is_number = !port.empty() && port.size() <= 5 &&
                         std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!is_number || std::stoi(std::string(port)) > 65535 || host.empty()) return wrong();
  return Address{false, std::string(host), std::string(port)};
}

Result<void> wait_for(int descriptor, bool to_write, Deadline until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Error(Errc::system, "no answer in time");
    pollfd one{descriptor, static_cast<short>(to_write ? POLLOUT : POLLIN), 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return failed("waiting", errno);
  }
}

Result<comm::FileDescriptor> connect_to(const Address& address, Deadline until) {
  const std::string doing = "cannot connect to " + address.text();
  if (address.is_local) {
    const auto where = local_address(address);
    if (!where) return where.error();
    comm::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid() ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*where), sizeof *where) != 0)
      return failed(doing, errno);
    return socket;
  }
  auto found = look_up(address, AI_ADDRCONFIG);
  if (!found) return found.error();
  Error last(Errc::system, doing);
  for (auto* one = found->first; one != nullptr; one = one->ai_next) {
    comm::FileDescriptor socket(::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return failed(doing, errno);
    if (::connect(socket.get(), one->ai_addr, one->ai_addrlen) != 0 && errno != EINPROGRESS) {
      last = failed(doing, errno);
      continue;
    }
    if (const auto ready = wait_for(socket.get(), true, until); !ready) {
      last = Error(Errc::system, doing + ": " + ready.error().message());
      continue;
    }
    int problem = 0;
    socklen_t size = sizeof problem;
    (void)::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem != 0) {
      last = failed(doing, problem);
      continue;
    }
    answer_at_once(socket.get());
    return socket;
  }
  return last;
}

Result<comm::FileDescriptor> listen_at(Address& address) {
  const std::string doing = "cannot listen at " + address.text();
  constexpr int backlog = 256;
  if (address.is_local) {
    const auto where = local_address(address);
    if (!where) return where.error();
    comm::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return failed(doing, errno);
    // One that nobody listens at any more is left over.
    struct stat there {};
    if (::lstat(address.host.c_str(), &there) == 0 && S_ISSOCK(there.st_mode) &&
        there.st_uid == ::geteuid() &&
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*where), sizeof *where) != 0 &&
        errno == ECONNREFUSED) {
      (void)::unlink(address.host.c_str());
    }
    socket.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid() ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*where), sizeof *where) != 0 ||
        ::chmod(address.host.c_str(), 0600) != 0 || ::listen(socket.get(), backlog) != 0)
      return failed(doing, errno);
    return socket;
  }
  auto found = look_up(address, AI_PASSIVE | AI_ADDRCONFIG);
  if (!found) return found.error();
  comm::FileDescriptor socket(
      ::socket(found->first->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!socket.valid() || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.get(), found->first->ai_addr, found->first->ai_addrlen) != 0 ||
      ::listen(socket.get(), backlog) != 0)
    return failed(doing, errno);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  std::array<char, 32> port{};
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&bound), size, nullptr, 0, port.data(), port.size(),
                    NI_NUMERICSERV) == 0) {
    address.port = port.data();
  }
  return socket;
}

bool is_own_user(int socket) {
  ucred who{};
  socklen_t size = sizeof who;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == ::geteuid();
}

std::string peer_of(int socket) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  std::array<char, 64> host{};
  std::array<char, 16> port{};
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.ss_family == AF_UNIX ||
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&peer), size, host.data(), host.size(), port.data(),
                    port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "this machine";
  answer_at_once(socket);
  return Address{false, host.data(), port.data()}.text();
}

}  // namespace troupe::platform::isolation
