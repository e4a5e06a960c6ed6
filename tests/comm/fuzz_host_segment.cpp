// A file in shared memory whose record holds any bytes: a guest never gets more than the file has, and a name
// is removed only when that was said.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "troupe/comm/errc.hpp"
#include "troupe/comm/host_segment.hpp"

namespace {

using namespace troupe::comm;

void require(bool promise) {
  if (!promise) std::abort();
}

}  // namespace

/// The first byte says how many pages come before the record, the rest is the record.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr std::uint64_t page = 4096;
  const std::string name = "/troupe-fuzz-" + std::to_string(::getpid()), path = "/dev/shm" + name;
  const std::uint64_t before = data[0] % 4 * page, all = before + page;
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  require(file.valid());
  require(::ftruncate(file.get(), static_cast<off_t>(all)) == 0);
  const std::size_t record = std::min(size - 1, static_cast<std::size_t>(page));
  require(::pwrite(file.get(), data + 1, record, static_cast<off_t>(before)) == static_cast<ssize_t>(record));

  for (const std::uint64_t wanted : {std::uint64_t{0}, before, before + 1, all, all + 1}) {
    const auto guest = HostSegment::attach(name, wanted);
    if (!guest) {
      require(wanted != 0 && guest.error() == Errc::out_of_bounds);
      continue;
    }
    require(wanted <= all && guest->size() == wanted && !guest->owner());
    std::vector<std::byte> bytes(wanted);
    require(guest->read(0, bytes).has_value());
    require(std::equal(bytes.begin(), bytes.end(), guest->bytes().begin()));
  }
  const auto removed = HostSegment::remove_leftover(name);
  require(removed && *removed == (::access(path.c_str(), F_OK) != 0));
  ::unlink(path.c_str());
  return 0;
}
