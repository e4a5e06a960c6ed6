#include "troupe/comm/environment.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <limits>
#include <string>

#include "system_error.hpp"
#include "troupe/comm/memory_left.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace troupe::comm {

namespace {

constexpr int size_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int memfd(const char* name) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd >= 0 || errno != EINVAL) return fd;
  return ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);  // kernels before 6.3
}

}  // namespace

void FileDescriptor::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Environment::~Environment() = default;

Deadline Environment::now() const { return std::chrono::steady_clock::now(); }

void Environment::park(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline until) const {
  timespec absolute{};
  const timespec* limit = nullptr;
  if (until != never) {
    const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(until.time_since_epoch()).count();
    absolute.tv_sec = static_cast<std::time_t>(since / 1'000'000'000);
    absolute.tv_nsec = static_cast<long>(since % 1'000'000'000);
    limit = &absolute;
  }
  // FUTEX_WAIT_BITSET takes an absolute time on the monotonic clock, which is what steady_clock is.
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, limit, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void Environment::wake_all(const std::atomic<std::uint32_t>& word) const {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, std::numeric_limits<int>::max(), nullptr, nullptr, 0);
}

void Environment::yield() const { ::sched_yield(); }

Environment::ProcessorSet Environment::processors() const {
  ProcessorSet processors{};
  cpu_set_t set;
  static_assert(sizeof set == sizeof processors);
  CPU_ZERO(&set);
  // More processors than the set has room for: then spinning is affordable anyway.
  if (::sched_getaffinity(0, sizeof set, &set) != 0)
    processors.fill(~std::uint64_t{0});
  else
    std::memcpy(processors.data(), &set, sizeof set);
  return processors;
}

Result<FileDescriptor> Environment::create_memory(std::string_view name, std::uint64_t bytes) const {
  const std::string text(name);
  const std::string what = "reserving " + std::to_string(bytes) + " bytes for " + text;
  if (auto room = check_room(bytes, what); !room) return room.error();
  FileDescriptor fd(memfd(text.c_str()));
  if (!fd.valid()) return system_error("creating memory for " + text, errno);
  // Sparse first, so that the reservation below is the only thing that can run out of memory.
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return system_error(what, errno, room_hint);
  int refused = 0;
  do {
    refused = bytes == 0 ? 0 : ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
  } while (refused == EINTR);
  if (refused != 0) return system_error(what, refused, room_hint);
  if (::fcntl(fd.get(), F_ADD_SEALS, size_seals) != 0)
    return system_error("sealing memory for " + text, errno);
  return fd;
}

const Environment& Environment::machine() noexcept {
  static const Environment environment;
  return environment;
}

}  // namespace troupe::comm
