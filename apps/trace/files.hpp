#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <system_error>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "errc.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

inline Error cannot_write(const std::string& path, int problem) {
  const auto limit = comm::limit_hint(problem);
  return Error(Errc::cannot_write,
               "cannot write \"" + path +
                   "\": " + (problem != 0 ? std::generic_category().message(problem) : "write failed"),
               problem == ENOSPC ? "the disk is full"
               : limit.empty()   ? "does the folder exist, and may you write there?"
                                 : limit);
}

/// What would keep a file from being written, found before the work that fills it is done.
[[nodiscard]] inline Result<void> can_write(const std::string& path) {
  std::error_code problem;
  const std::filesystem::path target(path);
  if (std::filesystem::is_directory(target, problem)) return cannot_write(path, EISDIR);
  const bool exists = std::filesystem::exists(target, problem);
  const auto asked = exists                     ? target
                     : target.has_parent_path() ? target.parent_path()
                                                : std::filesystem::path(".");
  if (!exists && !std::filesystem::is_directory(asked, problem)) {
    return cannot_write(path, std::filesystem::exists(asked, problem) ? ENOTDIR : ENOENT);
  }
  if (::access(asked.c_str(), W_OK) != 0) return cannot_write(path, errno);
  if (exists) return {};
  // Where files cannot be made (/proc, /sys) only the attempt tells.
  const int made = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (made < 0) return cannot_write(path, errno);
  ::close(made);
  ::unlink(path.c_str());
  return {};
}

/// Opens, lets `write` fill the stream, and tells when any of it did not work.
template <class Write>
[[nodiscard]] Result<void> write_file(const std::string& path, Write&& write) {
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  if (out) write(out);
  out.close();
  if (out) return {};
  Error error = cannot_write(path, errno);
  std::error_code problem;
  if (std::filesystem::is_regular_file(path, problem)) std::filesystem::remove(path, problem);  // half of it
  return error;
}

}  // namespace troupe::apps
