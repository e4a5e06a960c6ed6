// Signs of life while the thread that serves a link has something else to do, or waits for who has.
#include <doctest/doctest.h>

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <vector>

#include "host/staging.hpp"
#include "troupe/platform/run_args.hpp"

using namespace troupe;
using namespace troupe::platform::isolation;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20U;

/// A link that nobody serves, and what leaves it. A sign is due at each moment.
class Unserved {
 public:
  Unserved() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    link.emplace(plain_stream(comm::FileDescriptor(ends[0])), Link::WhenFull::go_down, 1);
    other_.reset(ends[1]);
  }
  /// The bytes that are there.
  std::size_t take() {
    std::array<std::byte, 65536> some{};
    for (std::size_t all = 0;;) {
      const auto came = ::recv(other_.get(), some.data(), some.size(), MSG_DONTWAIT);
      if (came <= 0) return all;
      all += static_cast<std::size_t>(came);
      came_.insert(came_.end(), some.begin(), some.begin() + came);
    }
  }
  /// The signs of life among all that has been taken.
  std::size_t signs() {
    (void)take();
    std::size_t count = 0;
    FrameHeader header;
    for (std::size_t at = 0; at + sizeof header <= came_.size(); at += sizeof header + header.bytes) {
      std::memcpy(&header, came_.data() + at, sizeof header);
      REQUIRE(header.magic == FrameHeader::sign);
      count += header.kind == Kind::alive ? 1 : 0;
    }
    came_.clear();
    return count;
  }

  std::optional<Link> link;

 private:
  comm::FileDescriptor other_;
  std::vector<std::byte> came_;
};

/// Stages it, and copies it back; the signs that were given meanwhile, at least, of both.
std::size_t signs_of_copying(Unserved& unserved, const runtime::Tensor& tensor) {
  Pieces pieces(nullptr);
  Staging staging(nullptr, 0, 0);
  StagedRun run;
  auto arg = platform::tensor_arg(tensor, runtime::Tag::inout);
  run.extents.push_back(*extent_of(arg));
  REQUIRE(staging.stage({&arg, 1}, *unserved.link, pieces, run) == Staging::Made::done);
  const auto there = unserved.signs();
  run.copy_back(*unserved.link);
  const auto back = unserved.signs();
  staging.unstage(run, *unserved.link, pieces);
  return std::min(there, back);
}

}  // namespace

TEST_CASE(
    "while a large host tensor is copied for another machine, there and back, that hears signs of life") {
  Unserved unserved;
  std::vector<std::byte> large(64 * mib), small(64);
  CHECK(signs_of_copying(unserved, runtime::Tensor::host(reinterpret_cast<float*>(large.data()),
                                                         {static_cast<std::uint32_t>(16 * mib)})) >= 16);
  // One column of a matrix: few bytes, which lie far from each other.
  const auto matrix = runtime::Tensor::host(reinterpret_cast<float*>(large.data()), {16384, 1024});
  CHECK(signs_of_copying(unserved, matrix.slice(1, 0, 1)) >= 4);
  // Many small ones take long, too.
  CHECK(signs_of_copying(unserved, runtime::Tensor::host(reinterpret_cast<float*>(small.data()), {16})) >= 1);
}

TEST_CASE("what a link has kept leaves with a sign of life, also when nobody serves it") {
  Unserved unserved;
  const std::vector<std::byte> some(65536);
  std::size_t sent = 0;
  for (; unserved.link->has_room(); sent += sizeof(FrameHeader) + some.size())
    REQUIRE(unserved.link->send(Kind::fill, 0, some));
  std::size_t came = 0;
  for (int turn = 0; turn < 10'000 && came < sent; ++turn) {
    came += unserved.take();
    unserved.link->say_alive();
  }
  CHECK(came >= sent);
  unserved.link->say_alive();
  CHECK(unserved.signs() != 0);
}

TEST_CASE("a link within one machine gives no signs of life") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Link link(local_stream(comm::FileDescriptor(ends[0])), Link::WhenFull::go_down);
  const comm::FileDescriptor other(ends[1]);
  link.say_alive();
  std::byte byte{};
  CHECK(::recv(other.get(), &byte, 1, MSG_DONTWAIT) < 0);
}
