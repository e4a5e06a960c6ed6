#pragma once

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "errc.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// Opens, lets `write` fill the stream, and tells when any of it did not work.
template <class Write>
[[nodiscard]] Result<void> write_file(const std::string& path, Write&& write) {
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  if (out) write(out);
  out.close();
  if (out) return {};
  return Error(Errc::cannot_write,
               "cannot write \"" + path + "\": " + (errno != 0 ? std::strerror(errno) : "write failed"),
               "does the folder exist, and may you write there?");
}

}  // namespace troupe::apps
