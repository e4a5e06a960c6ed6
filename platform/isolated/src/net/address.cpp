#include "net/address.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr std::string_view local_prefix = "unix:";

Error failed(const std::string& doing, int problem) {
  return Error(Errc::system, doing + ": " + std::generic_category().message(problem));
}

/// The same of a connection, with what is mostly behind it.
Error not_connected(const std::string& doing, int problem) {
  auto hint = comm::limit_hint(problem);
  if (problem == ECONNREFUSED || problem == ENOENT)
    hint = "nobody listens there: is `troupe node` running, with this address as its --listen?";
  if (problem == EHOSTUNREACH || problem == ENETUNREACH || problem == ETIMEDOUT)
    hint =
        "is the machine on, and does the network between, or a firewall, let connections to that port "
        "through?";
  return Error(Errc::system, doing + ": " + std::generic_category().message(problem), hint);
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
    return Error(Errc::system, "no address for '" + address.text() + "': " + ::gai_strerror(problem),
                 "is the name of the host spelt right? its address in numbers does, too");
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
      return not_connected(doing, errno);
    return socket;
  }
  auto found = look_up(address, AI_ADDRCONFIG);
  if (!found) return found.error();
  std::vector<Place> places;
  for (auto* one = found->first; one != nullptr; one = one->ai_next) {
    auto& place = places.emplace_back();
    place.size = std::min<socklen_t>(one->ai_addrlen, sizeof place.address);
    std::memcpy(&place.address, one->ai_addr, place.size);
  }
  return connect_to_one(places, doing, until);
}

Result<comm::FileDescriptor> connect_to_one(std::span<const Place> places, const std::string& doing,
                                            Deadline until) {
  Error last(Errc::system, doing);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& place = places[i];
    comm::FileDescriptor socket(
        ::socket(place.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid() ||
        (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&place.address), place.size) != 0 &&
         errno != EINPROGRESS)) {
      last = not_connected(doing, errno);
      continue;
    }
    // One that does not answer leaves time to the next.
    const auto now = std::chrono::steady_clock::now();
    const auto part = (until - now) / static_cast<std::int64_t>(places.size() - i);
    if (const auto ready = wait_for(socket.get(), true, now + part); !ready) {
      last =
          Error(Errc::system, doing + ": " + ready.error().message(), not_connected(doing, ETIMEDOUT).hint());
      continue;
    }
    int problem = 0;
    socklen_t size = sizeof problem;
    (void)::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem != 0) {
      last = not_connected(doing, problem);
      continue;
    }
    answer_at_once(socket.get());
    return socket;
  }
  return last;
}

FileMark mark_of(const std::string& path) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0) return {};
  return {there.st_dev, there.st_ino};
}

namespace {

/// A name beside that one that nobody else takes.
std::string name_beside(const std::string& path) {
  std::uint32_t number = 0;
  (void)!::getrandom(&number, sizeof number, 0);
  std::array<char, 16> name{};
  (void)std::snprintf(name.data(), name.size(), ".%08x", number);
  return path.substr(0, path.find_last_of('/') + 1) + name.data();
}

/// A socket of this user's that nobody listens at any more.
bool is_left_over(const std::string& path) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0 || !S_ISSOCK(there.st_mode) || there.st_uid != ::geteuid())
    return false;
  const auto where = local_address({true, path, {}});
  const comm::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return where && socket.valid() &&
         ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*where), sizeof *where) != 0 &&
         errno == ECONNREFUSED;
}

/// Gives a file another name, unless one has it: then EEXIST.
int rename_if_free(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system that cannot do that, but links.
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  (void)::unlink(from.c_str());
  return 0;
}

/// Gives a socket that listens its public name. A stale socket of that name is removed first, under a lock:
/// otherwise a slower process could remove the socket that a faster one has just made.
int publish(const std::string& fresh, const std::string& path) {
  comm::FileDescriptor folder;
  for (;;) {
    const int problem = rename_if_free(fresh, path);
    if (problem != EEXIST) return problem;
    if (!is_left_over(path)) return EADDRINUSE;
    if (!folder.valid()) {
      const auto parent = path.substr(0, path.find_last_of('/') + 1);
      folder.reset(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!folder.valid()) return errno;
      if (::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) return EADDRINUSE;  // somebody else begins here
      continue;                                                              // and may have begun
    }
    if (::unlink(path.c_str()) != 0) return errno;
  }
}

Result<comm::FileDescriptor> listen_here(const Address& address, const std::string& doing, int backlog) {
  if (const auto where = local_address(address); !where) return where.error();
  const auto fresh = name_beside(address.host);
  const auto where = local_address({true, fresh, {}});
  if (!where) return where.error();
  comm::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid() || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*where), sizeof *where) != 0)
    return failed(doing, errno);
  int problem = 0;
  if (::chmod(fresh.c_str(), 0600) != 0 || ::listen(socket.get(), backlog) != 0) problem = errno;
  if (problem == 0) problem = publish(fresh, address.host);
  if (problem == 0) return socket;
  (void)::unlink(fresh.c_str());
  return failed(doing, problem);
}

}  // namespace

Result<comm::FileDescriptor> listen_at(Address& address) {
  const std::string doing = "cannot listen at " + address.text();
  constexpr int backlog = 256;
  if (address.is_local) return listen_here(address, doing, backlog);
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
