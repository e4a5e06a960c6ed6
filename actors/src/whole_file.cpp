#include "whole_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "cannot_write.hpp"
#include "troupe/comm/file_descriptor.hpp"

namespace troupe::actors {

Result<void> write_whole_file(const std::string& file, const std::string& what,
                              std::span<const std::byte> bytes) {
  namespace fs = std::filesystem;
  std::error_code problem;
  const bool there = fs::exists(file, problem);
  if (there && !fs::is_regular_file(file, problem)) return cannot_write(what, EEXIST);
  const auto place = there ? fs::canonical(file, problem).string() : file;
  if (problem) return cannot_write(what, problem.value());
  auto beside = place + ".XXXXXX";
  const comm::FileDescriptor made(::mkostemp(beside.data(), O_CLOEXEC));
  if (!made.valid()) return cannot_write(what, errno);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto wrote = ::write(made.get(), bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) break;
    done += static_cast<std::size_t>(wrote);
  }
  if (done == bytes.size() && ::fchmod(made.get(), 0644) == 0 &&
      std::rename(beside.c_str(), place.c_str()) == 0)
    return {};
  const int why = errno;
  (void)::unlink(beside.c_str());
  return cannot_write(what, why);
}

}  // namespace troupe::actors
