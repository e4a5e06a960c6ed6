#include "troupe/comm/host_segment.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "comm/leaks.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::comm::test {
namespace {

TEST_CASE("a segment appears under its name with its bytes, and goes with its owner") {
  const auto before = held_descriptors();
  const std::string name = unique_name("plain");
  {
    auto owner = HostSegment::create(name, 100);
    REQUIRE(owner);
    CHECK(owner->name() == "/" + name);
    CHECK(owner->bytes().size() == 100);
    std::memcpy(owner->bytes().data(), "hello", 5);
    // Any program opens it in the usual way.
    const int fd = ::shm_open(("/" + name).c_str(), O_RDONLY, 0);
    REQUIRE(fd >= 0);
    char text[5];
    CHECK(::pread(fd, text, 5, 0) == 5);
    CHECK(std::memcmp(text, "hello", 5) == 0);
    ::close(fd);
    auto guest = HostSegment::attach("/" + name, 100);
    REQUIRE(guest);
    CHECK(guest->nonce() == owner->nonce());
    CHECK(std::memcmp(guest->bytes().data(), "hello", 5) == 0);
  }
  CHECK(own_shared_memory_names().empty());
  CHECK(held_descriptors() == before);
  CHECK(HostSegment::attach(name, 1).error() == Errc::not_found);
}

TEST_CASE("a guest never removes the name, and keeps the bytes after the owner has gone") {
  const std::string name = unique_name("guest");
  auto owner = HostSegment::create(name, 4096);
  REQUIRE(owner);
  { CHECK(HostSegment::attach(name, 4096)); }
  auto guest = HostSegment::attach(name, 4096);
  REQUIRE(guest);
  owner->bytes()[4095] = std::byte{7};
  owner->close();
  CHECK(own_shared_memory_names().empty());
  CHECK(guest->bytes()[4095] == std::byte{7});
}

TEST_CASE("the name of a live owner is refused, whoever asks") {
  const std::string name = unique_name("taken");
  auto owner = HostSegment::create(name, 10);
  REQUIRE(owner);
  CHECK(HostSegment::create(name, 10).error() == Errc::name_taken);
  CHECK(*HostSegment::remove_leftover(name) == false);
  CHECK(HostSegment::attach(name, 10));
}

TEST_CASE("what a killed owner left behind is recognised and taken over") {
  const std::string name = unique_name("leftover");
  // The lock of the segment lives in its open file; closing that without cleaning up is what a kill does.
  {
    auto owner = HostSegment::create(name, 5000);
    REQUIRE(owner);
    const std::string path = "/dev/shm/" + name;
    REQUIRE(::link(path.c_str(), (path + "-kept").c_str()) == 0);
    owner->close();
    REQUIRE(::rename((path + "-kept").c_str(), path.c_str()) == 0);
  }
  CHECK(own_shared_memory_names().size() == 1);
  CHECK(HostSegment::attach(name, 5000));
  SUBCASE("by the next owner") {
    auto next = HostSegment::create(name, 20);
    REQUIRE(next);
    CHECK(next->bytes()[0] == std::byte{0});
    CHECK(next->size() == 20);
  }
  SUBCASE("by request") { CHECK(*HostSegment::remove_leftover(name)); }
  CHECK(own_shared_memory_names().empty());
}

TEST_CASE("files of other programs are used but never removed") {
  const std::string name = unique_name("foreign");
  const int fd = ::shm_open(("/" + name).c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(::ftruncate(fd, 64) == 0);
  CHECK(HostSegment::create(name, 64).error() == Errc::name_taken);
  CHECK(*HostSegment::remove_leftover(name) == false);
  auto guest = HostSegment::attach(name, 64);
  REQUIRE(guest);
  CHECK(guest->nonce() == 0);
  CHECK(HostSegment::attach(name, 65).error() == Errc::out_of_bounds);

  // It shrinks under the guest: an error, not a fault.
  REQUIRE(::ftruncate(fd, 3) == 0);
  std::byte bytes[64];
  CHECK(guest->read(0, std::span(bytes, 3)));
  CHECK(guest->read(0, bytes).error() == Errc::out_of_bounds);
  ::close(fd);
  ::shm_unlink(("/" + name).c_str());
}

TEST_CASE("names and sizes that cannot be are refused") {
  for (const char* name : {"", "/", "a/b", "//x", ".", ".."}) {
    CAPTURE(name);
    CHECK(HostSegment::create(name, 1).error() == Errc::bad_argument);
    CHECK(HostSegment::attach(name, 1).error() == Errc::bad_argument);
  }
  CHECK(shared_memory_name(std::string(255, 'x')).error() == Errc::bad_argument);
  CHECK(HostSegment::create(unique_name("huge"), ~std::uint64_t{0}).error() == Errc::too_large);
  CHECK(HostSegment::create(unique_name("big"), std::uint64_t{1} << 43).error() == Errc::no_memory);
  CHECK(own_shared_memory_names().empty());
}

TEST_CASE("a segment beyond the file-size limit is no memory, and no signal") {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{8192, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto refused = HostSegment::create(unique_name("limit"), 8192);
  const auto fits = HostSegment::create(unique_name("limit"), 4096);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHECK(refused.error() == Errc::no_memory);
  CHECK(fits);
}

TEST_CASE("an empty segment is a name and nothing else") {
  const std::string name = unique_name("empty");
  auto owner = HostSegment::create(name, 0);
  REQUIRE(owner);
  CHECK(HostSegment::attach(name, 0));
  CHECK(HostSegment::attach(name, 1).error() == Errc::out_of_bounds);
}

TEST_CASE("reads and writes stay inside") {
  auto owner = HostSegment::create(unique_name("bounds"), 16);
  REQUIRE(owner);
  std::byte bytes[17] = {};
  CHECK(owner->write(0, std::span(bytes, 16)));
  CHECK(owner->write(16, std::span(bytes, 0)));
  CHECK(owner->write(1, std::span(bytes, 16)).error() == Errc::out_of_bounds);
  CHECK(owner->read(~std::uint64_t{0}, std::span(bytes, 1)).error() == Errc::out_of_bounds);
}

}  // namespace
}  // namespace troupe::comm::test
