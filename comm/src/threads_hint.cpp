#include "troupe/comm/threads_hint.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>

namespace troupe::comm {
namespace {

/// When this process has as many mappings as it may have: the sentence that says so. It tries to get some
/// more; to count them would take long, and what fails by this limit fails a thousand times.
std::optional<std::string> mappings_hint() {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const pages = ::mmap(nullptr, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    // Then it may be the addresses.
    rlimit limit{};
    if (errno != ENOMEM || ::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY)
      return std::nullopt;
  } else {
    const bool more = ::mprotect(static_cast<std::byte*>(pages) + page, page, PROT_READ) == 0;  // splits it
    (void)::munmap(pages, 3 * page);
    if (more) return std::nullopt;
  }
  std::string most;
  std::ifstream("/proc/sys/vm/max_map_count") >> most;
  return "use fewer chips, or raise the limit: this process has all mappings of memory that it may have" +
         (most.empty() ? most : ", " + most) + " (sysctl vm.max_map_count)";
}

/// "64 MiB", or in KiB what is less or no whole number of MiB, in bytes what is very little.
std::string size_of(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;
  const bool whole = bytes >= mebibyte && (bytes % mebibyte == 0 || bytes >= 64 * mebibyte);
  return whole ? std::to_string(bytes / mebibyte) + " MiB" : std::to_string(bytes >> 10U) + " KiB";
}

}  // namespace

std::string threads_hint() {
  if (auto mappings = mappings_hint()) return *std::move(mappings);
  std::string limits;
  const auto add = [&limits](const std::string& limit) { limits += (limits.empty() ? "" : ", ") + limit; };
  rlimit limit{};
  if (::getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    add(std::to_string(limit.rlim_cur) + " processes and threads of one user (ulimit -u)");
  }
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const std::uint64_t mebibytes = limit.rlim_cur >> 20U;
    add(std::to_string(mebibytes) + " MiB of addresses, stacks included (ulimit -v)");
  }
  if (limits.empty()) limits = "none of this process (ulimit -u, -v), so its control group's (pids.max)";
  return "use fewer chips, or raise the limits: " + limits;
}

std::string limit_hint(int problem) {
  rlimit limit{};
  const auto limited = [&limit](auto which) {
    return ::getrlimit(which, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  };
  if (problem == ENOMEM || problem == EAGAIN) {
    if (auto mappings = mappings_hint()) return *std::move(mappings);
    if (!limited(RLIMIT_AS)) return "";
    return "ask for less, or raise the limit: this process has " + std::to_string(limit.rlim_cur >> 20U) +
           " MiB of addresses (ulimit -v)";
  }
  if (problem == EMFILE && limited(RLIMIT_NOFILE)) {
    return "raise the limit: this process has " + std::to_string(limit.rlim_cur) + " descriptors (ulimit -n)";
  }
  if (problem == EFBIG && limited(RLIMIT_FSIZE)) {
    return "raise the limit: a file of this process, or memory that it shares, has up to " +
           size_of(limit.rlim_cur) + " (ulimit -f)";
  }
  return "";
}

}  // namespace troupe::comm
