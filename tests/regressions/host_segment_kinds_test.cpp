// Storing a buffer into shared memory that had been cut short meanwhile wrote past its end and made it long
// again, with zeros where the user's bytes had been; now it is an error. And what is no file (a FIFO, a
// directory, a link) under the name of a segment was reported as "belongs to another user".
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/shared_name.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/host_segment.hpp"

using namespace troupe;
using comm::Errc;
using comm::HostSegment;

namespace {

std::string path_of(const std::string& name) { return "/dev/shm" + name; }

}  // namespace

TEST_CASE("a segment that has shrunk is not written, and not made long again") {
  const auto name = test::shared_name("shrinks");
  const int fd = ::open(path_of(name).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(::ftruncate(fd, 8192) == 0);
  auto segment = HostSegment::attach(name, 8192).value();
  const std::vector<std::byte> data(8192, std::byte{7});
  CHECK(segment.write(0, data));
  REQUIRE(::ftruncate(fd, 4096) == 0);
  const auto written = segment.write(4000, std::span(data).first(200));
  REQUIRE_FALSE(written);
  CHECK(written.error() == Errc::out_of_bounds);
  CHECK(written.error().message().find("has shrunk") != std::string::npos);
  struct stat status {};
  REQUIRE(::fstat(fd, &status) == 0);
  CHECK(status.st_size == 4096);
  CHECK(segment.write(0, std::span(data).first(4096)));  // what is there can be written
  ::unlink(path_of(name).c_str());
  ::close(fd);
}

TEST_CASE("what is no file is called what it is") {
  const auto name = test::shared_name("kinds");
  const auto attached = [&](const std::string& what) {
    CAPTURE(what);
    const auto segment = HostSegment::attach(name, 64);
    REQUIRE_FALSE(segment);
    CHECK(segment.error() == Errc::bad_argument);
    CHECK_MESSAGE(segment.error().message().find("is " + what + ", not shared memory") != std::string::npos,
                  segment.error().message());
  };
  REQUIRE(::mkfifo(path_of(name).c_str(), 0600) == 0);
  attached("a FIFO");
  ::unlink(path_of(name).c_str());
  REQUIRE(::mkdir(path_of(name).c_str(), 0700) == 0);
  attached("a directory");
  ::rmdir(path_of(name).c_str());
  REQUIRE(::symlink("/dev/null", path_of(name).c_str()) == 0);
  attached("a symbolic link");
  ::unlink(path_of(name).c_str());
}
