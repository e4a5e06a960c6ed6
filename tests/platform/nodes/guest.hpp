#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>

#include "fixture.hpp"
#include "wire/wire.hpp"

namespace troupe::test {

using namespace platform::isolation;

/// Somebody who knows the address.
class Guest {
 public:
  explicit Guest(const TestNode& node) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    const auto path = node.address().substr(5);
    std::memcpy(where.sun_path, path.c_str(), path.size() + 1);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
  }
  void say(std::span<const std::byte> bytes) const {
    (void)!::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void say(Kind kind, const Writer& payload, std::uint64_t number = 0) const {
    FrameHeader header;
    header.kind = kind;
    header.number = number;
    header.bytes = static_cast<std::uint32_t>(payload.bytes().size());
    Writer all;
    all.put(header).raw(payload.bytes().data(), payload.bytes().size());
    say(all.bytes());
  }
  void say_no_more() const { ::shutdown(socket_.get(), SHUT_WR); }
  /// Until the node has closed.
  std::size_t rest() const {
    std::size_t all = 0;
    std::byte some[4096];
    for (;;) {
      const auto came = ::recv(socket_.get(), some, sizeof some, 0);
      if (came <= 0) return all;
      all += static_cast<std::size_t>(came);
    }
  }
  bool hears(std::size_t bytes) const {
    std::byte some[4096];
    return ::recv(socket_.get(), some, std::min(bytes, sizeof some), MSG_WAITALL) > 0;
  }

 private:
  comm::FileDescriptor socket_;
};

/// Somebody where a node should be.
class Host {
 public:
  explicit Host(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::memcpy(where.sun_path, path.c_str(), path.size() + 1);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(socket_.get(), 4) == 0);
  }
  /// Lets one in, says that it is welcome, and nothing more until it has gone.
  void welcome_one() const {
    const comm::FileDescriptor guest(::accept(socket_.get(), nullptr, nullptr));
    Welcome welcome;
    const auto build = this_build();
    std::memcpy(welcome.build, build.build, sizeof welcome.build);
    welcome.chips = 1;
    Writer words;
    words.put(welcome).text("").text("a2a3sim");
    FrameHeader header;
    header.kind = Kind::welcome;
    header.bytes = static_cast<std::uint32_t>(words.bytes().size());
    Writer all;
    all.put(header).raw(words.bytes().data(), words.bytes().size());
    (void)!::send(guest.get(), all.bytes().data(), all.bytes().size(), MSG_NOSIGNAL);
    std::byte some[4096];
    while (::recv(guest.get(), some, sizeof some, 0) > 0) {
    }
  }

 private:
  comm::FileDescriptor socket_;
};

inline Claim claim_of_this_build() {
  Claim claim;
  const auto build = this_build();
  std::memcpy(claim.build, build.build, sizeof claim.build);
  claim.silence_ms = 20'000;
  return claim;
}

}  // namespace troupe::test
