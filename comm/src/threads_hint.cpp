#include "troupe/comm/threads_hint.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <cstdint>

namespace troupe::comm {

std::string threads_hint() {
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
  if ((problem == ENOMEM || problem == EAGAIN) && limited(RLIMIT_AS)) {
    return "ask for less, or raise the limit: this process has " + std::to_string(limit.rlim_cur >> 20U) +
           " MiB of addresses (ulimit -v)";
  }
  if (problem == EMFILE && limited(RLIMIT_NOFILE)) {
    return "raise the limit: this process has " + std::to_string(limit.rlim_cur) + " descriptors (ulimit -n)";
  }
  if (problem == EFBIG && limited(RLIMIT_FSIZE)) {
    return "ask for less, or raise the limit: files of this process have up to " +
           std::to_string(limit.rlim_cur >> 20U) + " MiB (ulimit -f)";
  }
  return "";
}

}  // namespace troupe::comm
