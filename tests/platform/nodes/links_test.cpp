// One end of a link, where the system has little left.
#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "wire/wire.hpp"

using namespace troupe;
using namespace troupe::platform::isolation;

namespace {

/// This process has no more descriptors, and gets none.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit few{256, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    for (int next = ::dup(0); next >= 0; next = ::dup(0)) taken_.emplace_back(next);
  }
  ~NoDescriptors() { (void)::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
  std::vector<comm::FileDescriptor> taken_;
};

struct Hears final : Link::Receiver {
  Result<void> frame(Frame& frame) override {
    numbers.push_back(frame.number);
    return {};
  }
  bool may_lose_stream() const override { return true; }
  std::vector<std::uint64_t> numbers;
};

}  // namespace

TEST_CASE("a link whose stream may be lost hears what comes, also where there is no descriptor to watch it") {
  for (const bool has_few : {false, true}) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    Link here(local_stream(comm::FileDescriptor(ends[0])), Link::WhenFull::wait);
    {
      Link there(local_stream(comm::FileDescriptor(ends[1])), Link::WhenFull::wait);
      REQUIRE(there.send(Kind::ping, 7, {}));
    }
    Hears hears;
    std::optional<NoDescriptors> none;
    if (has_few) none.emplace();
    CHECK(here.serve(hears));
    none.reset();
    CHECK(hears.numbers == std::vector<std::uint64_t>{7});
    CHECK(here.was_closed());
  }
}
